//! Whole runs over real Delta tables.

mod broken_off;
mod ingest;
mod models;
mod rebuilt;
mod recorded;
mod rejected;
mod remembered;
mod reports;
mod rules;
mod same_rows;
mod scored;
mod tokenizers;
mod wine;
