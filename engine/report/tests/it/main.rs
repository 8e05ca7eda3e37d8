//! Integration tests, in one binary.

mod any_order;
mod kinds;
mod large;
mod tables;
mod wine;
