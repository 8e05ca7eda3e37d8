//! Looks inside tables that are made from files.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use sluice_lake::TableName;
use sluice_lake::ingest::{
    self, BadRecords, Encoding, FileMemory, Format, IngestError, NameStyle, ReadOptions,
    SourceFile, Unmatched,
};

use super::Checker;
use super::tables::storable;
use super::world::error_chain;
use crate::diagnostic::Diagnostic;
use crate::plan::{AssetBody, IngestAsset, RowPlan};
use crate::run::files::file_columns;
use crate::run::rejects;
use crate::source::{Span, Spanned};
use crate::spec::{
    ColumnNames, ColumnType, DecimalMark, FileEncoding, HeaderNames, Ingest, Named, OnBadRecord,
};

/// Checks the files of a table, and finds its columns: none where they cannot be read, the table
/// was never made and the plan is to run all the same.
pub(super) async fn check_ingest(
    checker: &mut Checker<'_>,
    ingest: &Ingest,
    name: &TableName,
    has_split: bool,
) -> Option<(AssetBody, SchemaRef)> {
    if !rejects_have_a_place(checker, ingest, name) {
        return None;
    }
    let options = read_options(ingest);
    let patterns: Vec<String> = ingest.files.iter().map(|file| file.value.clone()).collect();
    let folder = checker.spec.project.folder().to_owned();
    let stored = stored_columns(checker, name, has_split).await;
    // Files may be gone once their rows are there.
    let only = checker.world.only_files.get(name).cloned();
    let unmatched = match stored.is_some() || only.is_some() {
        true => Unmatched::Ignore,
        false => Unmatched::Refuse,
    };
    let memory = memory(checker, name, &options).await;
    let look = async {
        let mut found = ingest::find_files(&folder, &patterns, unmatched).await?;
        if let Some(only) = &only {
            found.retain(|file| only.contains_key(&file.path));
        }
        let files = ingest::survey(found, &options, &memory).await?;
        let columns = match files.is_empty() {
            true => Arc::new(stored.unwrap_or_else(Schema::empty)),
            false => ingest::infer_schema(&files, &options, stored.as_ref()).await?,
        };
        Ok::<(Vec<SourceFile>, SchemaRef), IngestError>((files, columns))
    };
    let ((files, columns), unread) = match look.await {
        Ok(found) => (found, None),
        // What came in is no fault of the project: a stage says so.
        Err(error) if checker.to_run && is_of_files(&error) => {
            let columns = Arc::new(
                stored_columns(checker, name, has_split)
                    .await
                    .unwrap_or_else(Schema::empty),
            );
            ((Vec::new(), columns), Some(error))
        }
        Err(error) => {
            let span = ingest_span(ingest, &error);
            let diagnostic = Diagnostic::error("ingest", error_chain(&error));
            checker.error(diagnostic, span);
            return None;
        }
    };
    let schema = match unread.is_some() && columns.fields().is_empty() {
        true => Arc::clone(&columns),
        false => ingest::output_schema(&columns),
    };
    let body = AssetBody::Ingest(Box::new(IngestAsset {
        table: name.clone(),
        folder,
        patterns,
        options,
        only,
        files: files.into(),
        memory: Arc::new(memory),
        columns,
        unread,
        rows: RowPlan::default(),
    }));
    if schema.fields().is_empty() {
        return Some((body, schema));
    }
    let span = ingest.files[0].span;
    storable(checker, name, &schema, span).then_some((body, schema))
}

/// Whether an error is about files that there are, or are not, rather than about what is written.
fn is_of_files(error: &IngestError) -> bool {
    !matches!(
        error,
        IngestError::Pattern { .. }
            | IngestError::BadDelimiter { .. }
            | IngestError::ColumnType { .. }
    )
}

/// How the files are to be read.
fn read_options(ingest: &Ingest) -> ReadOptions {
    let names = |style: HeaderNames| match style {
        HeaderNames::SnakeCase => NameStyle::SnakeCase,
        HeaderNames::AsIs => NameStyle::AsIs,
    };
    let types = |columns: &Named<ColumnNames, Spanned<ColumnType>>| {
        let columns = columns.iter();
        columns
            .map(|(column, data_type)| (column.value.clone(), data_type.data_type()))
            .collect()
    };
    let fail = |word: Spanned<OnBadRecord>| word.value == OnBadRecord::Fail;
    let mut options = ReadOptions {
        bad_records: match ingest.on_bad_record.is_some_and(fail) {
            true => BadRecords::Fail,
            false => BadRecords::Reject,
        },
        evolve: ingest.evolve.is_some_and(|evolve| evolve.value),
        ..ReadOptions::default()
    };
    if let Some(json) = &ingest.json {
        options.format = Some(Format::Json);
        options.names = names(json.header_names());
        options.columns = types(&json.columns);
    }
    if let Some(csv) = &ingest.csv {
        options.format = Some(Format::Csv);
        options.delimiter = csv.delimiter_byte();
        options.quote = csv.quote.map_or(options.quote, |quote| quote.value.0);
        options.escape = csv.escape.map(|escape| escape.value.0);
        options.header = csv.has_header();
        options.decimal_comma = csv
            .decimal
            .is_some_and(|mark| mark.value == DecimalMark::Comma);
        options.encoding = match csv.encoding.map(|encoding| encoding.value) {
            None | Some(FileEncoding::Utf8) => Encoding::Utf8,
            Some(FileEncoding::Utf16) => Encoding::Utf16,
            Some(FileEncoding::Windows1252) => Encoding::Windows1252,
        };
        options.names = names(csv.header_names());
        options.columns = types(&csv.columns);
        options.null_values = csv.nulls.iter().map(|null| null.value.clone()).collect();
    }
    options
}

/// What is remembered of the files of a table; what cannot be read is read from the files.
async fn memory(checker: &Checker<'_>, name: &TableName, options: &ReadOptions) -> FileMemory {
    let world = checker.world;
    let project = world
        .lakehouse
        .existing_project_uuid(&checker.spec.pipeline.value);
    let (Some(state), Ok(Some(project))) = (&world.state, project) else {
        return FileMemory::new();
    };
    let (project, table, read_as) = (project.to_string(), name.to_string(), options.identity());
    let memory = state.file_memory(&project, &table, &read_as);
    memory.await.unwrap_or_default()
}

/// The columns that come from files of the table that is there, if it is.
async fn stored_columns(
    checker: &Checker<'_>,
    name: &TableName,
    has_split: bool,
) -> Option<Schema> {
    let stored = checker.world.lakehouse.load(name, None).await.ok()?;
    Some(file_columns(&stored.schema, has_split))
}

/// Whether the table of an ingest's rejected records is nobody else's.
fn rejects_have_a_place(checker: &mut Checker<'_>, ingest: &Ingest, name: &TableName) -> bool {
    let rejected = match rejects::table_of(name) {
        Ok(rejected) if checker.find(&rejected.to_string()).is_none() => return true,
        Ok(rejected) => format!("`{rejected}` is where the rejected records of `{name}` go"),
        Err(error) => error_chain(&error),
    };
    let diagnostic =
        Diagnostic::error("reserved_name", rejected).help("give one of the two another name");
    checker.error(diagnostic, ingest.files[0].span);
    false
}

/// The pattern that an error is about, else the first.
fn ingest_span(ingest: &Ingest, error: &IngestError) -> Span {
    let words = error.to_string();
    let named = ingest.files.iter().find(|file| words.contains(&file.value));
    named.unwrap_or(&ingest.files[0]).span
}
