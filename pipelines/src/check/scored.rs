//! Looks inside tables that a model makes.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sluice_lake::TableName;
use sluice_learn::error::BindError;
use sluice_learn::features::{Target, bind_features};
use sluice_learn::sql_type::SqlType;
use sluice_udfs::models::Answer;

use super::Checker;
use super::edges::Found;
use super::known::Known;
use super::queries::interface_of;
use super::tables::{find_column, storable};
use crate::diagnostic::Diagnostic;
use crate::plan::scored::{MODEL_VERSION_COLUMN, ROW_HASH_COLUMN};
use crate::plan::{AssetBody, RowPlan, ScoredAsset};
use crate::run::split::SPLIT_COLUMN;
use crate::source::{Span, Spanned};
use crate::spec::ScoredSpec;

/// The columns that scoring adds, besides the answers.
const ADDED: [&str; 2] = [MODEL_VERSION_COLUMN, ROW_HASH_COLUMN];

/// Checks a table that a model makes, and gives its columns. `None` if it is broken.
pub(super) fn check_scored(
    checker: &mut Checker<'_>,
    known: &mut Known,
    scored: &ScoredSpec,
    name: &TableName,
    found: &Found,
) -> Option<(AssetBody, SchemaRef)> {
    let from = found.reads.first()?;
    let model = found.applies.first()?;
    let source = known.tables.get(from)?.clone();
    let interface = interface_of(checker, known, model)?;
    let before = checker.diagnostics.len();
    let inputs = match bind_features(&interface.features, &source) {
        Ok(positions) => positions,
        Err(error) => {
            report_unfit(checker, scored, from, &error);
            Vec::new()
        }
    };
    let inputs = inputs.into_iter();
    let inputs = inputs.map(|position| source.field(position).name().clone());
    let inputs: Vec<String> = inputs.collect();
    let keys = columns(checker, &source, &scored.keys, from);
    let listed = columns(checker, &source, &scored.columns, from);
    let carried = carried(&source, &keys, &listed);
    let answers = answers(checker, scored, interface.target);
    let mut taken: BTreeSet<String> = BTreeSet::new();
    taken.extend(ADDED.map(str::to_owned));
    taken.extend(carried.iter().map(|column| column.to_lowercase()));
    for (answer, column, _) in &answers {
        if !taken.insert(column.value.to_lowercase()) {
            report_taken(checker, *answer, column);
        }
    }
    let fields = carried.iter().filter_map(|column| {
        let field = source.field_with_name(column).ok()?;
        Some(field.clone())
    });
    let mut fields: Vec<Field> = fields.collect();
    let asked = answers.iter();
    fields.extend(asked.map(|(_, column, kind)| Field::new(&column.value, kind.clone(), true)));
    fields.push(Field::new(MODEL_VERSION_COLUMN, DataType::Int64, false));
    fields.push(Field::new(ROW_HASH_COLUMN, DataType::Utf8, false));
    let schema = Arc::new(Schema::new(fields));
    let sound = checker.diagnostics.len() == before;
    if !sound || !storable(checker, name, &schema, scored.span) {
        return None;
    }
    note_predicted(known, name, from, &carried, &answers);
    let body = AssetBody::Scored(Box::new(ScoredAsset {
        table: name.clone(),
        from: from.clone(),
        model: model.clone(),
        keys,
        inputs,
        columns: carried,
        answers: answers
            .into_iter()
            .map(|(answer, column, _)| (answer, column.value))
            .collect(),
        rows: RowPlan::default(),
    }));
    Some((body, schema))
}

/// The source's spelling of columns that the pipeline lists; those that there are.
fn columns(
    checker: &mut Checker<'_>,
    source: &Schema,
    listed: &[Spanned<String>],
    from: &TableName,
) -> Vec<String> {
    let found = listed
        .iter()
        .filter_map(|column| find_column(checker, source, column, from));
    found.collect()
}

/// The columns of the source that the table has: the listed ones with the keys before and
/// `_split` behind, or all.
fn carried(source: &Schema, keys: &[String], listed: &[String]) -> Vec<String> {
    let names = source.fields().iter().map(|field| field.name());
    if listed.is_empty() {
        let added = |name: &str| ADDED.iter().any(|added| added.eq_ignore_ascii_case(name));
        return names.filter(|name| !added(name)).cloned().collect();
    }
    let mut carried: Vec<String> = keys
        .iter()
        .filter(|key| !listed.contains(key))
        .cloned()
        .collect();
    carried.extend(listed.iter().cloned());
    let split = names
        .filter(|name| name.eq_ignore_ascii_case(SPLIT_COLUMN))
        .find(|name| !carried.contains(name));
    carried.extend(split.cloned());
    carried
}

/// What is asked of the model, the column of each answer, and its type.
fn answers(
    checker: &mut Checker<'_>,
    scored: &ScoredSpec,
    target: Target,
) -> Vec<(Answer, Spanned<String>, DataType)> {
    let value = scored.column.as_ref();
    let value = value.map_or(scored.model.span, |column| column.span);
    let value = Spanned::new(scored.column().to_owned(), value);
    let asked = [
        (Answer::Value, Some(&value), "as"),
        (Answer::Label, scored.label_as.as_ref(), "label_as"),
        (Answer::Scores, scored.scores_as.as_ref(), "scores_as"),
    ];
    let mut answers = Vec::new();
    for (answer, column, key) in asked {
        let Some(column) = column else { continue };
        match answer.data_type(target) {
            Some(data_type) => answers.push((answer, column.clone(), data_type)),
            None => {
                let message = format!(
                    "`{key}` needs a model of classes, and `{}` predicts a number",
                    scored.model
                );
                let diagnostic = Diagnostic::error("wrong_type", message)
                    .help("leave it out: the number is in the column that `as` names");
                checker.error(diagnostic, column.span);
            }
        }
    }
    answers
}

fn report_taken(checker: &mut Checker<'_>, answer: Answer, column: &Spanned<String>) {
    let key = match answer {
        Answer::Value => "as",
        Answer::Label => "label_as",
        Answer::Scores => "scores_as",
    };
    let message = format!("two columns would be called `{column}`");
    let help = format!("name the answer otherwise with `{key}:`, or list the others in `columns:`");
    let diagnostic = Diagnostic::error("duplicate_column", message).help(help);
    checker.error(diagnostic, column.span);
}

/// Reports the inputs of the model that the source does not have, or has in another type.
fn report_unfit(
    checker: &mut Checker<'_>,
    scored: &ScoredSpec,
    from: &TableName,
    error: &BindError,
) {
    let mut report = |code: &'static str, message: String, help: String, span: Span| {
        checker.error(Diagnostic::error(code, message).help(help), span);
    };
    for (feature, nearest) in &error.missing {
        let message = format!(
            "`{}` needs the column `{feature}`, which `{from}` does not have",
            scored.model
        );
        let near = nearest.as_deref().unwrap_or("...");
        let help = format!("name it so in the query of `{from}`: `{near} AS {feature}`");
        report("unknown_column", message, help, scored.from.span);
    }
    for mistyped in &error.mistyped {
        let (feature, found) = (&mistyped.feature, SqlType(&mistyped.found));
        let message = format!(
            "column `{feature}` of `{from}` is {found}, but `{}` needs {} there",
            scored.model, mistyped.needs
        );
        let help = format!("convert it in the query of `{from}`: `CAST({feature} AS ...)`");
        report("wrong_type", message, help, scored.from.span);
    }
}

/// Remembers which columns hold outputs of `predict`: the answers, and what the source has.
fn note_predicted(
    known: &mut Known,
    name: &TableName,
    from: &TableName,
    carried: &[String],
    answers: &[(Answer, Spanned<String>, DataType)],
) {
    let mut predicted: BTreeSet<String> = answers
        .iter()
        .map(|(_, column, _)| column.value.clone())
        .collect();
    if let Some(of_source) = known.predicted.get(from) {
        let also = carried.iter().filter(|column| of_source.contains(*column));
        predicted.extend(also.cloned());
    }
    known.predicted.insert(name.clone(), predicted);
}
