//! What a table promises of its columns.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{Field, Schema};
use sluice_lake::delta::types::COMMENT_KEY;

/// What a table promises of its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContractPlan {
    /// The columns that have a value in every row.
    pub required: BTreeSet<String>,
    /// What columns hold, for people.
    pub comments: BTreeMap<String, String>,
}

impl ContractPlan {
    /// Columns with what is promised of them.
    pub(crate) fn applied_to(&self, schema: &Schema) -> Schema {
        let fields = schema.fields().iter().map(|field| self.field(field));
        Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
    }

    fn field(&self, field: &Field) -> Field {
        let mut metadata = field.metadata().clone();
        metadata.remove(COMMENT_KEY);
        if let Some(comment) = self.comments.get(field.name()) {
            metadata.insert(COMMENT_KEY.to_owned(), comment.clone());
        }
        let required = self.required.contains(field.name());
        let nullable = field.is_nullable() && !required;
        field
            .clone()
            .with_nullable(nullable)
            .with_metadata(metadata)
    }
}
