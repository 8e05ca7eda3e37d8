//! The tables of the schema `system`: their columns and where they are stored.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Utf8
    Text,
    /// Int64
    Int,
    /// Float64
    Float,
    /// Timestamp in milliseconds, UTC
    Time,
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        }
    }
}

/// A column; it has the name that it has in the store.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
}

/// A table of the schema.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name in SQL.
    pub(super) name: &'static str,
    /// Its name in the store.
    pub(super) stored: &'static str,
    /// Its columns, in order.
    pub(super) columns: &'static [Column],
    /// Its primary key, in order: rows are read a page after the other by it.
    pub(super) key: &'static [&'static str],
}

impl Table {
    pub(super) fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| Field::new(column.name, column.kind.data_type(), column.nullable))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// Where each column of the key stands among the columns.
    pub(super) fn key_positions(&self) -> Vec<usize> {
        self.key
            .iter()
            .filter_map(|key| self.columns.iter().position(|column| column.name == *key))
            .collect()
    }
}

const fn text(name: &'static str) -> Column {
    column(name, Kind::Text)
}

const fn int(name: &'static str) -> Column {
    column(name, Kind::Int)
}

const fn time(name: &'static str) -> Column {
    column(name, Kind::Time)
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        nullable: false,
    }
}

/// A column whose value may be missing.
const fn maybe(column: Column) -> Column {
    Column {
        nullable: true,
        ..column
    }
}

/// All tables, by name.
pub(super) static TABLES: &[Table] = &[
    Table {
        name: "alias_history",
        stored: "alias_history",
        columns: &[
            text("name"),
            text("alias"),
            maybe(int("version")),
            maybe(int("previous")),
            time("timestamp"),
            text("run_id"),
            text("reason"),
            int("move"),
        ],
        key: &["name", "move"],
    },
    Table {
        name: "aliases",
        stored: "aliases",
        columns: &[text("name"), text("alias"), int("version")],
        key: &["name", "alias"],
    },
    Table {
        name: "artifacts",
        stored: "artifacts",
        columns: &[text("run_id"), text("path"), text("hash"), int("bytes")],
        key: &["run_id", "path"],
    },
    Table {
        name: "datasets",
        stored: "datasets",
        columns: &[
            text("run_id"),
            text("name"),
            int("version"),
            text("context"),
            maybe(text("digest")),
        ],
        key: &["run_id", "name", "version", "context"],
    },
    Table {
        name: "events",
        stored: "events",
        columns: &[
            text("run_id"),
            int("seq"),
            time("timestamp"),
            text("event"),
            maybe(text("asset")),
            text("details"),
        ],
        key: &["run_id", "seq"],
    },
    Table {
        name: "expectations",
        stored: "expectations",
        columns: &[
            text("run_id"),
            text("asset"),
            text("name"),
            text("kind"),
            text("rule"),
            text("otherwise"),
            int("rows"),
            int("failed"),
            maybe(text("found")),
        ],
        key: &["run_id", "asset", "name"],
    },
    Table {
        name: "experiments",
        stored: "experiments",
        columns: &[int("experiment_id"), text("name"), time("creation_time")],
        key: &["experiment_id"],
    },
    Table {
        name: "files",
        stored: "files",
        columns: &[
            text("project"),
            text("table_name"),
            text("path"),
            text("content_hash"),
            int("bytes"),
            maybe(int("rows")),
            int("version"),
        ],
        key: &["project", "table_name", "path"],
    },
    Table {
        name: "intervals",
        stored: "intervals",
        columns: &[
            text("table_name"),
            time("start_time"),
            time("end_time"),
            text("project"),
        ],
        key: &["project", "table_name", "start_time"],
    },
    Table {
        name: "leases",
        stored: "leases",
        columns: &[
            text("project"),
            text("pipeline"),
            int("token"),
            maybe(text("owner")),
            text("host"),
            int("pid"),
            time("taken_time"),
            time("renewed_time"),
            time("expiry_time"),
        ],
        key: &["project"],
    },
    Table {
        name: "maintenance",
        stored: "maintenance",
        columns: &[
            text("table_name"),
            text("operation"),
            time("timestamp"),
            maybe(int("version")),
            maybe(int("files_before")),
            maybe(int("files_after")),
            maybe(int("bytes_before")),
            maybe(int("bytes_after")),
            text("details"),
            text("project"),
        ],
        key: &["project", "table_name", "operation", "timestamp"],
    },
    Table {
        name: "metrics",
        stored: "metrics",
        columns: &[
            text("run_id"),
            text("key"),
            maybe(column("value", Kind::Float)),
            int("step"),
            time("timestamp"),
        ],
        key: &["run_id", "key", "step", "timestamp"],
    },
    Table {
        name: "model_tags",
        stored: "model_tags",
        columns: &[text("name"), text("key"), text("value")],
        key: &["name", "key"],
    },
    Table {
        name: "model_version_tags",
        stored: "model_version_tags",
        columns: &[text("name"), int("version"), text("key"), text("value")],
        key: &["name", "version", "key"],
    },
    Table {
        name: "model_versions",
        stored: "model_versions",
        columns: &[
            text("name"),
            int("version"),
            text("run_id"),
            time("creation_time"),
            text("source"),
            text("status"),
            text("project"),
            text("asset"),
            text("key"),
            text("metrics"),
            maybe(text("description")),
        ],
        key: &["name", "version"],
    },
    Table {
        name: "models",
        stored: "registered_models",
        columns: &[
            text("name"),
            time("creation_time"),
            time("last_updated_time"),
            int("last_version"),
            maybe(text("description")),
        ],
        key: &["name"],
    },
    Table {
        name: "params",
        stored: "params",
        columns: &[text("run_id"), text("key"), text("value")],
        key: &["run_id", "key"],
    },
    Table {
        name: "runs",
        stored: "runs",
        columns: &[
            text("run_id"),
            int("experiment_id"),
            text("run_name"),
            text("kind"),
            maybe(text("parent_run_id")),
            text("status"),
            time("start_time"),
            maybe(time("end_time")),
            maybe(text("error")),
            text("project"),
            text("pipeline"),
        ],
        key: &["run_id"],
    },
    Table {
        name: "stages",
        stored: "stages",
        columns: &[
            text("run_id"),
            text("asset"),
            text("kind"),
            text("status"),
            maybe(text("reason")),
            maybe(text("key")),
            maybe(int("rows")),
            maybe(int("version")),
            time("start_time"),
            maybe(time("end_time")),
            maybe(text("error")),
            maybe(int("attempts")),
            maybe(text("fault")),
            maybe(int("transient")),
        ],
        key: &["run_id", "asset"],
    },
    Table {
        name: "table_models",
        stored: "table_models",
        columns: &[
            text("table_name"),
            int("version"),
            text("address"),
            text("model_name"),
            int("model_version"),
        ],
        key: &["table_name", "version", "address"],
    },
    Table {
        name: "table_versions",
        stored: "table_versions",
        columns: &[
            text("table_name"),
            int("version"),
            text("run_id"),
            time("timestamp"),
            maybe(int("rows")),
            text("project"),
            text("key"),
        ],
        key: &["table_name", "version"],
    },
    Table {
        name: "tags",
        stored: "tags",
        columns: &[text("run_id"), text("key"), text("value")],
        key: &["run_id", "key"],
    },
    Table {
        name: "ticks",
        stored: "ticks",
        columns: &[
            text("project"),
            text("cause"),
            text("tick"),
            time("tick_time"),
            time("claim_time"),
            maybe(text("outcome")),
            maybe(text("run_id")),
        ],
        key: &["project", "cause", "tick"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_among_the_columns_and_never_null() {
        for table in TABLES {
            let positions = table.key_positions();
            assert_eq!(positions.len(), table.key.len(), "{}", table.name);
            for position in positions {
                let column = &table.columns[position];
                assert!(!column.nullable, "{}.{}", table.name, column.name);
                assert_ne!(column.kind, Kind::Float, "{}.{}", table.name, column.name);
            }
        }
    }
}
