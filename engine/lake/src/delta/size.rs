//! How large a table is, as its log says.

use super::failure::delta_error;
use crate::{error::LakeError, lakehouse::Lakehouse, name::TableName};

/// How large a version of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSize {
    /// Its rows, where the log has the number of every data file.
    pub rows: Option<u64>,
    /// The size of its data files, in bytes.
    pub bytes: u64,
}

impl Lakehouse {
    /// How large a table is at a version, or at its latest one; `None` when there is no such
    /// table. Reads the log only.
    ///
    /// # Errors
    /// [`LakeError::UnknownVersion`] and what deltalake may say about a damaged log.
    pub async fn size(
        &self,
        name: &TableName,
        version: Option<u64>,
    ) -> Result<Option<TableSize>, LakeError> {
        let Some(table) = self.open_delta(name, version).await? else {
            return Ok(None);
        };
        let failed = |error| delta_error(name, self.table_path(name), "read the table", error);
        let snapshot = table.snapshot().map_err(failed)?;
        let mut size = TableSize {
            rows: Some(0),
            bytes: 0,
        };
        for file in snapshot.log_data().iter() {
            let rows = file.num_records().and_then(|rows| u64::try_from(rows).ok());
            size.rows = size.rows.zip(rows).map(|(all, rows)| all + rows);
            size.bytes += u64::try_from(file.size()).unwrap_or(0);
        }
        Ok(Some(size))
    }
}
