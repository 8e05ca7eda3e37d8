//! The lakehouse: Delta tables, ingest, the SQL session, run state, tracking
//! and the model registry.
//!
//! Start at [`Lakehouse`]: it is a folder with `<layer>/<table>/` Delta tables.
//! [`delta`] reads and writes them, [`ingest`] turns files into streams of
//! batches, [`catalog`] shows the tables to DataFusion at pinned versions.

pub mod error;
pub mod name;

pub use error::LakeError;
pub use name::{InvalidName, TableName};
