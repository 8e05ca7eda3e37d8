//! What values a column can have that a table is partitioned by: those that Delta tells apart
//! and that a folder can be named by.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Schema},
};
use datafusion::error::DataFusionError;

/// The longest name of a folder, in bytes, on the file systems that there are.
const MAX_FOLDER_BYTES: usize = 255;
/// How the folder of NULL is called in place of a value: a text that says so would share it.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";
/// How much of a long value is repeated, in characters.
const SHOWN: usize = 40;

/// A row whose value no partition can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    #[error(
        "a row has an empty `{column}`, by which the table is partitioned: Delta cannot tell an empty string from NULL there; write NULLIF({column}, '') in the query, or keep such rows out with a rule"
    )]
    Empty { column: String },
    #[error(
        "a row has a `{column}`, by which the table is partitioned, of `{NULL_FOLDER}`: that is what the folder of NULL is called; write NULLIF({column}, '{NULL_FOLDER}') in the query"
    )]
    NullFolder { column: String },
    #[error(
        "a row has a `{column}` that begins with `{start}`, by which the table is partitioned: it is too long to name a folder ({bytes} bytes, of at most {MAX_FOLDER_BYTES}); partition by a shorter column"
    )]
    TooLong {
        column: String,
        start: String,
        bytes: usize,
    },
}

/// Looks at the values of the text columns that a table is partitioned by.
#[derive(Debug, Clone)]
pub(super) struct PartitionValues {
    /// Where they stand, and their names.
    texts: Vec<(usize, String)>,
}

impl PartitionValues {
    /// Of a table with these columns, in the types of the log, that is partitioned by some.
    pub(super) fn new(schema: &Schema, partitions: &[String]) -> Self {
        let texts = schema
            .fields()
            .iter()
            .enumerate()
            .filter_map(|(at, field)| {
                let text =
                    *field.data_type() == DataType::Utf8 && partitions.contains(field.name());
                text.then(|| (at, field.name().clone()))
            });
        Self {
            texts: texts.collect(),
        }
    }

    /// # Errors
    /// The first value that is not fit.
    pub(super) fn check(&self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        for (at, column) in &self.texts {
            let values = batch.column(*at).as_string::<i32>();
            // Rows with equal values often follow each other.
            let mut last = None;
            for row in 0..values.len() {
                if values.is_null(row) || last == Some(values.value(row)) {
                    continue;
                }
                let value = values.value(row);
                check_value(column, value).map_err(|unfit| {
                    let unfit: Box<dyn std::error::Error + Send + Sync> = Box::new(unfit);
                    DataFusionError::External(unfit)
                })?;
                last = Some(value);
            }
        }
        Ok(())
    }
}

fn check_value(column: &str, value: &str) -> Result<(), Unfit> {
    if value.is_empty() {
        let column = column.to_owned();
        return Err(Unfit::Empty { column });
    }
    if value == NULL_FOLDER {
        let column = column.to_owned();
        return Err(Unfit::NullFolder { column });
    }
    let bytes = folder_bytes(column, value);
    if bytes <= MAX_FOLDER_BYTES {
        return Ok(());
    }
    Err(Unfit::TooLong {
        column: column.to_owned(),
        start: value.chars().take(SHOWN).collect(),
        bytes,
    })
}

/// How long the name of the folder `column=value` is: letters, digits and `-._~` of a value stand
/// for themselves, all other bytes are quoted in three.
fn folder_bytes(column: &str, value: &str) -> usize {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let quoted = value.bytes().filter(|byte| !plain(byte)).count();
    column.len() + 1 + value.len() + 2 * quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_name_no_folder_are_refused() {
        for value in ["FI", "a/b", "..", "NULL", " "] {
            assert_eq!(check_value("c", value), Ok(()), "{value}");
        }
        let long = |length: usize| check_value("c", &"x".repeat(length));
        assert_eq!(long(253), Ok(()));
        assert!(matches!(long(254), Err(Unfit::TooLong { bytes: 256, .. })));
        let words = check_value("c", &"ä".repeat(50)).unwrap_err().to_string();
        assert!(words.contains("302 bytes, of at most 255"), "{words}");
        assert!(words.contains(&format!("`{}`", "ä".repeat(40))), "{words}");
        let null = check_value("c", NULL_FOLDER);
        assert!(matches!(null, Err(Unfit::NullFolder { .. })), "{null:?}");
        let empty = check_value("c", "").unwrap_err().to_string();
        assert!(empty.contains("NULLIF(c, '')"), "{empty}");
    }
}
