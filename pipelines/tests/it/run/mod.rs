//! Whole runs over real Delta tables.

mod wine;
