//! How the data files of a table are read: the one place that tells deltalake.

use std::fmt::Write as _;

use datafusion::{catalog::Session, error::DataFusionError, prelude::SessionContext};
use deltalake::{
    DeltaTable,
    delta_datafusion::{DeltaScanConfig, DeltaScanNext},
};

use crate::session::{SessionOptions, session};

/// What sorting holds in memory before it spills, in bytes.
pub(super) const SORTED_BYTES: usize = 512 * 1024 * 1024;

/// A session that reads one file after the other, so that rows keep their order, and holds so
/// many bytes of memory before it spills.
pub(super) fn bounded_session(memory_bytes: usize) -> Result<SessionContext, DataFusionError> {
    session(&SessionOptions {
        target_partitions: 1,
        memory_limit_bytes: Some(memory_bytes),
        ..SessionOptions::default()
    })
}

/// The rows of a table at its version, with filters inside Parquet if the session has them so.
///
/// Columns have the types that the log says: no views, and no dictionaries for the columns
/// that the table is partitioned by, so that what is written and what is read has one type.
pub(super) fn scan(
    table: &DeltaTable,
    session: &dyn Session,
) -> Result<DeltaScanNext, DataFusionError> {
    scan_with(table, plain(session))
}

/// As [`scan`], with a last column of this name: the URL of the data file that a row lies in.
pub(super) fn scan_with_file(
    table: &DeltaTable,
    session: &dyn Session,
    column: &str,
) -> Result<DeltaScanNext, DataFusionError> {
    scan_with(table, plain(session).with_file_column_name(column))
}

fn plain(session: &dyn Session) -> DeltaScanConfig {
    let mut config = DeltaScanConfig::new_from_session(session).with_wrap_partition_values(false);
    config.schema_force_view_types = false;
    config
}

fn scan_with(
    table: &DeltaTable,
    config: DeltaScanConfig,
) -> Result<DeltaScanNext, DataFusionError> {
    DeltaScanNext::new(table.snapshot()?.snapshot().clone(), config)
}

/// The path of a data file as the log spells it, which a scan of some files asks for. `path`:
/// as deltalake gives it in views of the log and in new actions, where it is decoded. Folders of
/// partitions have quoted values in their names, and those quotes are quoted once more.
pub(super) fn spelled(path: &str) -> String {
    // An absolute one is of another tool, and is as it was.
    if path.contains("://") {
        return path.to_owned();
    }
    let mut spelled = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b' ' | b'\\' | b'{' | b'^' | b'}' | b'%' | b'`' | b']' | b'"' | b'>' | b'[' | b'<'
            | b'#' | b'|' | b'*' | b'?' => quote(&mut spelled, byte),
            b'!'..=b'~' => spelled.push(char::from(byte)),
            _ => quote(&mut spelled, byte),
        }
    }
    spelled
}

fn quote(text: &mut String, byte: u8) {
    // Writing to a string does not fail.
    let _ = write!(text, "%{byte:02X}");
}

#[cfg(test)]
mod tests {
    use deltalake::kernel::Add;

    use super::*;

    /// As deltalake writes it.
    fn in_the_log(path: &str) -> String {
        let add = serde_json::json!({
            "path": "", "partitionValues": {}, "size": 0, "modificationTime": 0, "dataChange": true
        });
        let add = Add {
            path: path.to_owned(),
            ..serde_json::from_value(add).unwrap()
        };
        let add = serde_json::to_value(add).unwrap();
        add["path"].as_str().unwrap().to_owned()
    }

    #[test]
    fn paths_are_spelled_as_in_the_log() {
        let mut every: String = (0..128_u8).map(char::from).collect();
        every.push_str("äß中🦀");
        let paths = [
            "a.parquet",
            "day=2026-01-01/a.parquet",
            "x=a%2Fb/a.parquet",
            &every,
        ];
        for path in paths {
            assert_eq!(spelled(path), in_the_log(path));
        }
        assert_eq!(spelled("x=a%2Fb/ä"), "x=a%252Fb/%C3%A4");
        assert_eq!(spelled("file:///x/a%20b"), "file:///x/a%20b");
    }
}
