//! The columns of a set of files: names from the headers, types from every value.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};

use super::{
    error::{Difference, IngestError},
    options::ReadOptions,
    outline::{Outline, Profile, outline},
    plan::own_columns,
    read::{in_background, parallel_files},
    survey::SourceFile,
};
use crate::nearest::nearest;

/// The schema that holds every row of every file: the columns in the order of the
/// first file; whole numbers as BIGINT, numbers as DOUBLE, BOOLEAN, DATE, TIMESTAMP
/// (with a zone where the texts have one), all else VARCHAR. Declared columns keep
/// their types. All files must have the same columns, in any order, unless the
/// options say [`ReadOptions::evolve`]; objects of JSON need not have all keys. A
/// column whose header was changed keeps it under [`ORIGINAL_NAME_KEY`]. No `_file`,
/// `_row` and `_ingested_at` here: [`read`](super::read) adds them.
///
/// `table` is what an earlier ingest made, if there is one: where single values of a
/// column do not fit its type there, it keeps that type, and the records are bad.
///
/// # Errors
/// Every fault of a header, bad records when the options want none, and
/// [`IngestError::Drift`] when the columns differ.
pub async fn infer_schema(
    files: &[SourceFile],
    options: &ReadOptions,
    table: Option<&Schema>,
) -> Result<SchemaRef, IngestError> {
    let Some(joined) = join_all(files, options).await? else {
        return Ok(Arc::new(Schema::empty()));
    };
    let fields = joined.columns.iter().map(|column| {
        let known = table.and_then(|table| table.field_with_name(&column.column.name).ok());
        let known = known.map(Field::data_type);
        let found = column.data_type(options);
        let data_type = match known {
            Some(known) if column.is_sporadic(known, options) => known.clone(),
            _ => found,
        };
        Arc::new(column.field(data_type))
    });
    let mut fields: Vec<FieldRef> = fields.collect();
    for (name, data_type) in &options.columns {
        // Objects of JSON that lack a declared key have it all the same.
        if !fields.iter().any(|known| known.name() == name) {
            fields.push(Arc::new(Field::new(name, data_type.clone(), true)));
        }
    }
    // Rows that are in the table already keep their columns.
    let kept = table.filter(|_| options.evolve || !joined.strict);
    let kept = kept.map(own_columns);
    for field in kept.iter().flat_map(|table| table.fields()) {
        if !fields.iter().any(|known| known.name() == field.name()) {
            fields.push(Arc::clone(field));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The columns of all files together.
struct Joined {
    columns: Vec<Profile>,
    /// Whether every file says all of its columns, as CSV does and JSON does not.
    strict: bool,
}

/// Joins what the files say. Most files of a set say the same: one look is enough for all
/// that share an outline.
async fn join_all(
    files: &[SourceFile],
    options: &ReadOptions,
) -> Result<Option<Joined>, IngestError> {
    options.check()?;
    let shared = Arc::new(options.clone());
    let mut outlines = futures::stream::iter(files)
        .map(|file| outline_of(file, &shared))
        .buffered(parallel_files());
    let Some((first, outline)) = outlines.try_next().await? else {
        return Ok(None);
    };
    let mut joined = Joined {
        columns: outline.columns.clone(),
        strict: outline.strict,
    };
    let mut seen = HashSet::from([Arc::as_ptr(&outline)]);
    // Held on to, so that no address is used twice.
    let mut kept = vec![outline];
    let mut last = first;
    while let Some((file, outline)) = outlines.try_next().await? {
        last = file;
        if seen.insert(Arc::as_ptr(&outline)) {
            merge(&mut joined, first, file, &outline, options)?;
            kept.push(outline);
        }
    }
    check_declared(&joined, last, options)?;
    Ok(Some(joined))
}

/// The outline of a file, which is read when it is not known.
async fn outline_of<'a>(
    file: &'a SourceFile,
    options: &Arc<ReadOptions>,
) -> Result<(&'a str, Arc<Outline>), IngestError> {
    let outline = match &file.outline {
        Some(outline) => Arc::clone(outline),
        None => {
            let (source, options) = (file.clone(), Arc::clone(options));
            let read = move || Ok(Arc::new(outline(&source, &options)?.outline));
            in_background(file.path.clone(), read).await?
        }
    };
    Ok((&file.path, outline))
}

/// Joins the columns of another file, by name.
fn merge(
    joined: &mut Joined,
    first: &str,
    file: &str,
    other: &Outline,
    options: &ReadOptions,
) -> Result<(), IngestError> {
    let strict = joined.strict && other.strict && !options.evolve;
    let named = |columns: &[Profile], name: &str| {
        columns
            .iter()
            .position(|profile| profile.column.name == name)
    };
    let mut differences = Vec::new();
    for profile in joined.columns.iter().filter(|_| strict) {
        if named(&other.columns, &profile.column.name).is_none() {
            differences.push(Difference::Missing {
                column: profile.column.shown().to_owned(),
            });
        }
    }
    for profile in &other.columns {
        match named(&joined.columns, &profile.column.name) {
            Some(place) => joined.columns[place].join(profile),
            None if strict => differences.push(Difference::New {
                column: profile.column.shown().to_owned(),
                data_type: profile.data_type(options),
            }),
            None => joined.columns.push(profile.clone()),
        }
    }
    joined.strict = joined.strict && other.strict;
    if differences.is_empty() {
        return Ok(());
    }
    Err(IngestError::Drift {
        file: file.to_owned(),
        against: first.to_owned(),
        differences,
    })
}

fn check_declared(joined: &Joined, file: &str, options: &ReadOptions) -> Result<(), IngestError> {
    let names = || {
        joined
            .columns
            .iter()
            .map(|profile| profile.column.name.as_str())
    };
    let unknown = options
        .columns
        .iter()
        .find(|(declared, _)| !names().any(|name| name == declared));
    match unknown {
        Some((column, _)) if joined.strict => Err(IngestError::UnknownColumn {
            column: column.clone(),
            file: file.to_owned(),
            nearest: nearest(column, names()).map(str::to_owned),
        }),
        _ => Ok(()),
    }
}
