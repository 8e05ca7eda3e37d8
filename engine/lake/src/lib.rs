//! The lakehouse: Delta tables, ingest, the SQL session, run state, tracking
//! and the model registry.
//!
//! Start at [`Lakehouse`]: it is a folder with `<layer>/<table>/` Delta tables.
//! [`delta`] reads and writes them, [`ingest`] turns files into streams of
//! batches, [`catalog`] shows the tables to DataFusion at pinned versions, [`hub`] finds
//! models that others have published.

mod artifacts;
pub mod catalog;
mod definitions;
pub mod delta;
pub mod error;
pub mod fail_points;
mod folder;
pub mod glob;
pub mod hub;
pub mod ingest;
mod lakehouse;
mod linked;
pub mod name;
pub mod nearest;
mod project;
pub mod registry;
mod reports;
mod scratch;
pub mod session;
mod spill;
pub mod spool;
pub mod sql;
pub mod state;
pub mod system;
pub mod tags;
pub mod transient;

pub use catalog::{LakeCatalog, Pins};
pub use error::LakeError;
pub use lakehouse::Lakehouse;
pub use name::{InvalidName, TableName};
pub use project::RunLock;
pub use scratch::ScratchFolder;
