//! Whole runs over real Delta tables.

mod append;
mod broken_off;
mod contracts;
mod evaluations;
mod ingest;
mod interval_quarantine;
mod intervals;
mod keyed;
mod keyed_aside;
mod models;
mod owners;
mod partitions;
mod quarantine;
mod rebuilt;
mod recorded;
mod rejected;
mod remembered;
mod reports;
mod rules;
mod same_rows;
mod scored;
mod table_rules;
mod text_functions;
mod text_models;
mod tokenizers;
mod wine;
