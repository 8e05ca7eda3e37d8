//! Other columns for a table that is there: what the log says of them.

use arrow::datatypes::Schema;
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{
        Action, MetadataExt, Protocol, StructType, contains_timestampntz,
        engine::arrow_conversion::TryIntoKernel,
    },
};
use serde_json::{Value, json};

/// The name of the feature of tables that have timestamps without a zone.
const TIMESTAMP_NTZ: &str = "timestampNtz";

/// The actions that give a table these columns; none where it has them.
pub(super) fn actions(table: &DeltaTable, schema: &Schema) -> Result<Vec<Action>, DeltaTableError> {
    let partitions = table.snapshot()?.metadata().partition_columns().to_vec();
    actions_with(table, schema, &partitions)
}

/// The actions that give a table these columns and partition it by some of them; none where it
/// has them and is.
pub(super) fn actions_with(
    table: &DeltaTable,
    schema: &Schema,
    partitions: &[String],
) -> Result<Vec<Action>, DeltaTableError> {
    let snapshot = table.snapshot()?.snapshot();
    let partitioned = snapshot.metadata().partition_columns() == partitions;
    // Delta's own strings are `Utf8`: the schema is the log's, not a reader's.
    if snapshot.arrow_schema().as_ref() == schema && partitioned {
        return Ok(Vec::new());
    }
    let columns: StructType = schema.try_into_kernel()?;
    let mut metadata = snapshot.metadata().clone().with_schema(&columns)?;
    if !partitioned {
        let mut words = serde_json::to_value(&metadata)?;
        words["partitionColumns"] = json!(partitions);
        metadata = serde_json::from_value(words)?;
    }
    let mut actions = Vec::new();
    if contains_timestampntz(columns.fields())
        && let Some(protocol) = with_timestamp_ntz(snapshot.protocol())?
    {
        actions.push(Action::Protocol(protocol));
    }
    actions.push(Action::Metadata(metadata));
    Ok(actions)
}

/// The protocol with the feature added; `None` where it is there. What older protocols take for
/// granted has to be listed by one with features.
fn with_timestamp_ntz(protocol: &Protocol) -> Result<Option<Protocol>, DeltaTableError> {
    let mut words = serde_json::to_value(protocol)?;
    let version = |key: &str| words.get(key).and_then(Value::as_i64).unwrap_or(0);
    let (reader, writer) = (version("minReaderVersion"), version("minWriterVersion"));
    let listed = |key: &str| {
        let names = words.get(key).and_then(Value::as_array);
        names.cloned().unwrap_or_default()
    };
    let (mut readers, mut writers) = (listed("readerFeatures"), listed("writerFeatures"));
    if readers.contains(&json!(TIMESTAMP_NTZ)) && writers.contains(&json!(TIMESTAMP_NTZ)) {
        return Ok(None);
    }
    if writer < 7 {
        let implied = [
            (2, "appendOnly"),
            (2, "invariants"),
            (3, "checkConstraints"),
            (4, "changeDataFeed"),
            (4, "generatedColumns"),
            (5, "columnMapping"),
            (6, "identityColumns"),
        ];
        let implied = implied.iter().filter(|(since, _)| writer >= *since);
        writers.extend(implied.map(|(_, name)| json!(name)));
    }
    if reader == 2 {
        readers.push(json!("columnMapping"));
    }
    for names in [&mut readers, &mut writers] {
        if !names.contains(&json!(TIMESTAMP_NTZ)) {
            names.push(json!(TIMESTAMP_NTZ));
        }
    }
    words["minReaderVersion"] = 3.into();
    words["minWriterVersion"] = 7.into();
    words["readerFeatures"] = readers.into();
    words["writerFeatures"] = writers.into();
    Ok(Some(serde_json::from_value(words)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(words: Value) -> Protocol {
        serde_json::from_value(words).unwrap()
    }

    #[test]
    fn a_feature_is_added_once_and_what_was_implied_is_listed() {
        let old = protocol(json!({"minReaderVersion": 1, "minWriterVersion": 2}));
        let new = with_timestamp_ntz(&old).unwrap().unwrap();
        assert_eq!(
            serde_json::to_value(&new).unwrap(),
            json!({
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["timestampNtz"],
                "writerFeatures": ["appendOnly", "invariants", "timestampNtz"],
            })
        );
        assert!(with_timestamp_ntz(&new).unwrap().is_none());
    }
}
