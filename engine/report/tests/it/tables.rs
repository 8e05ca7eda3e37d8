//! Tables to look at.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{Field, Schema};
use sluice_report::profile::page::{Facts, page};
use sluice_report::profile::{ClassColumn, Profile, ProfileSpec, Profiler};

/// The red wines, all in one batch, with names that SQL likes.
pub(crate) fn wine() -> RecordBatch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/wine/winequality-red.csv");
    let format = Format::default().with_header(true).with_delimiter(b';');
    let (schema, _) = format
        .infer_schema(File::open(&path).unwrap(), None)
        .unwrap();
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            field
                .as_ref()
                .clone()
                .with_name(field.name().replace(' ', "_"))
        })
        .collect();
    let batches = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_format(format)
        .with_batch_size(10_000)
        .build(File::open(&path).unwrap())
        .unwrap();
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    batches.into_iter().next().unwrap()
}

/// The profile of batches.
pub(crate) fn profile(batches: &[RecordBatch], spec: ProfileSpec) -> Profile {
    let mut profiler = Profiler::new(&batches[0].schema(), spec).unwrap();
    for batch in batches {
        profiler.push(batch).unwrap();
    }
    profiler.finish().unwrap()
}

/// A profile by the classes in a column.
pub(crate) fn by(column: &str, made_of: &[&str]) -> ProfileSpec {
    ProfileSpec {
        class: Some(ClassColumn {
            column: column.to_owned(),
            by: column.to_owned(),
            made_of: made_of.iter().map(|name| (*name).to_owned()).collect(),
        }),
        ..ProfileSpec::default()
    }
}

/// The page of a profile.
pub(crate) fn html(profile: &Profile) -> String {
    let facts = Facts {
        title: "wine_profile".to_owned(),
        comment: None,
        table: "silver.wine".to_owned(),
        version: 3,
        pipeline: "wine".to_owned(),
    };
    page(profile, &facts)
}
