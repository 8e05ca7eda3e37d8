//! Assets that cannot be looked into, since files cannot be read that they are made from in the
//! end.

use sluice_lake::TableName;

use crate::spec::Register;

/// An asset of which only the place in the graph is known: it depends on a table with `ingest:`
/// whose files cannot be read and which was never made, so that its columns are not known.
#[derive(Debug, Clone)]
pub struct UnreadAsset {
    /// The kind of asset that it would be.
    pub kind: &'static str,
    /// The table that it would make, if it is one.
    pub table: Option<TableName>,
    /// The stored tables that it would read.
    pub reads: Vec<TableName>,
    /// Where it would be registered.
    pub register: Option<Register>,
    /// The asset before it that cannot be read, or be looked into itself.
    pub needs: String,
}
