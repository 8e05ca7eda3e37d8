//! Looks at the query of a table: the models that it applies, its plan and its columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use sluice_lake::TableName;
use sluice_lake::delta::types::delta_schema;
use sluice_lake::sql::{self, SqlError, Statement, output_schema};
use sluice_learn::features::{FeatureKind, Interface};
use sluice_udfs::models::{
    BoundModel, Declared as DeclaredModel, LoadedModel, Predictor, bind, bind_encoders,
};
use sluice_udfs::text;

use super::edges::{Found, registering};
use super::known::Known;
use super::lineage::{column_origins, predicted_columns};
use super::quarantine::has_quarantine;
use super::world::error_chain;
use super::{Checker, Stored, modes, sql_errors, tokenizers};
use crate::diagnostic::Diagnostic;
use crate::plan::{Applied, AssetBody, RowPlan, SqlAsset};
use crate::source::Location;
use crate::spec::{Mode, SqlText, TableSpec};
pub(super) async fn check_query(
    checker: &mut Checker<'_>,
    known: &mut Known,
    table: &TableSpec,
    sql: &SqlText,
    name: &TableName,
    found: &Found,
) -> Option<(AssetBody, SchemaRef)> {
    let statement = found.statement.clone()?;
    let models = bound_models(checker, known, &found.applies)?;
    if !encode_texts(checker, known, &found.embeds) {
        return None;
    }
    let encoders = found.embeds.iter().map(|(model, _)| &model.written);
    let encoders = encoders.map(|address| (address.clone(), address.clone()));
    let encoders = encoders.collect();
    let tokenizers = tokenizers::settled(checker, &found.tokenizers, known.models.tokenizers());
    let mut settled = statement.clone();
    let planned = match text::bind(&mut settled, &tokenizers.await) {
        Ok(()) => plan_for(known, table, &settled, &models, &encoders).await,
        Err(error) => Err(error),
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => {
            checker
                .diagnostics
                .push(sql_errors::diagnostic(&error, sql));
            return None;
        }
    };
    let schema = output_schema(&plan);
    if !columns_once(checker, sql, &schema) || !storable_query(checker, name, &schema, sql) {
        return None;
    }
    let query = modes::Query {
        name,
        sql,
        statement: &statement,
        plan: &plan,
        reads: &found.reads,
        schema: &schema,
        has_quarantine: has_quarantine(table),
    };
    let upkeep = modes::check_mode(checker, known, table, &query)?;
    let schema = modes::stored_schema(&upkeep.mode, &schema);
    let columns = modes::stored_origins(&upkeep.mode, column_origins(&plan));
    let predicted = predicted_columns(&columns, |source| {
        let table = source.table.parse::<TableName>().ok();
        let columns = table.and_then(|table| known.predicted.get(&table));
        columns.is_some_and(|columns| columns.contains(&source.column))
    });
    known.predicted.insert(name.clone(), predicted);
    let volatile = match found.system.first() {
        Some(table) => Some(format!("it reads {table}")),
        None => sql::volatile_call(&plan).map(|call| format!("it calls {call}")),
    };
    let body = AssetBody::Sql(Box::new(SqlAsset {
        table: name.clone(),
        sql: sql.clone(),
        statement,
        reads: found.reads.clone(),
        applies: applied(found),
        columns,
        schema: Arc::clone(&schema),
        upkeep,
        volatile,
        rows: RowPlan::default(),
    }));
    Some((body, schema))
}

/// Plans the query of a table; one that is asked for intervals, for one of them.
async fn plan_for(
    known: &Known,
    table: &TableSpec,
    settled: &Statement,
    models: &BTreeMap<String, BoundModel>,
    encoders: &BTreeMap<String, String>,
) -> Result<LogicalPlan, SqlError> {
    let Some(Mode::Interval(interval)) = table.mode.as_ref().map(|mode| &mode.value) else {
        return plan_query(known, settled.clone(), models, encoders).await;
    };
    let bounded = modes::with_bounds(settled, None, &interval.column);
    let plan = plan_query(known, bounded, models, encoders).await?;
    let schema = output_schema(&plan);
    let bounded = modes::with_bounds(settled, Some(&schema), &interval.column);
    plan_query(known, bounded, models, encoders).await
}

/// All models of a query, each once.
fn applied(found: &Found) -> Vec<Applied> {
    let mut applied = found.applies.clone();
    for (model, _) in &found.embeds {
        if !applied.contains(model) {
            applied.push(model.clone());
        }
    }
    applied
}

/// Whether the models that a query asks for vectors, and that the project makes, read texts.
fn encode_texts(checker: &mut Checker<'_>, known: &Known, embeds: &[(Applied, Location)]) -> bool {
    let mut all = true;
    for (model, at) in embeds {
        let Some(maker) = registering(checker, &model.uri).last().copied() else {
            continue;
        };
        // One that is broken is told already.
        let Some(interface) = known.interfaces.get(&maker) else {
            return false;
        };
        let texts = matches!(&interface.features[..], [one] if one.kind == FeatureKind::Text);
        if !texts {
            all = false;
            let message = format!(
                "`{}` is no text model, and `embed` needs one",
                model.written
            );
            let diagnostic = Diagnostic::error("wrong_type", message)
                .help("name a model with `text:`, or one that was imported: `sluice models import`")
                .at_location(at.clone());
            checker.diagnostics.push(diagnostic);
        }
    }
    all
}

/// `encoders`: the addresses that calls of `embed` have, each with what stands for it.
pub(super) async fn plan_query(
    known: &Known,
    mut statement: Statement,
    models: &BTreeMap<String, BoundModel>,
    encoders: &BTreeMap<String, String>,
) -> Result<LogicalPlan, SqlError> {
    if !models.is_empty() || !encoders.is_empty() {
        let schemas = sql::table_schemas(&known.ctx, &statement).await?;
        bind(&mut statement, &schemas, models)?;
        bind_encoders(&mut statement, &schemas, encoders)?;
    }
    sql::plan(&known.ctx, statement).await
}

/// What the models of a query take. `None` when one that the project makes is broken.
pub(super) fn bound_models(
    checker: &mut Checker<'_>,
    known: &Known,
    applied: &[Applied],
) -> Option<BTreeMap<String, BoundModel>> {
    let mut models = BTreeMap::new();
    for model in applied {
        let interface = interface_of(checker, known, model)?;
        let features = interface.features.clone();
        let declared = Arc::new(DeclaredModel::new(interface));
        known.models.insert(&model.written, declared);
        models.insert(
            model.written.clone(),
            BoundModel {
                address: model.written.clone(),
                features,
            },
        );
    }
    Some(models)
}

/// What an applied model takes and gives. `None` when it is one that the project makes, and
/// broken.
pub(super) fn interface_of(
    checker: &Checker<'_>,
    known: &Known,
    model: &Applied,
) -> Option<Interface> {
    let makers = registering(checker, &model.uri);
    match makers.last() {
        Some(maker) => known.interfaces.get(maker).cloned(),
        None => {
            let stored = checker.stored_models.get(&model.written);
            stored.map(|stored| stored.interface.clone())
        }
    }
}

/// What a version in the registry takes and gives.
pub(super) fn stored_version(folder: &std::path::Path) -> Result<Stored, String> {
    let model = LoadedModel::open(folder).map_err(|error| error_chain(error.as_ref()))?;
    Ok(Stored {
        interface: Interface {
            features: model.features().to_vec(),
            target: model.target(),
        },
        label: model.model().label().name.clone(),
    })
}

/// Whether every column has a name of its own.
fn columns_once(checker: &mut Checker<'_>, sql: &SqlText, schema: &Schema) -> bool {
    let mut seen = BTreeMap::new();
    for field in schema.fields() {
        if let Some(first) = seen.insert(field.name().to_lowercase(), field.name()) {
            let message = if first == field.name() {
                format!("two columns are called `{first}`")
            } else {
                format!(
                    "the columns `{first}` and `{}` differ only in case",
                    field.name()
                )
            };
            let diagnostic = Diagnostic::error("duplicate_column", message)
                .help("name one of them otherwise with AS, or leave it out with * EXCEPT (...)")
                .at_location(sql.to_source(0..sql.text.trim_end().len()));
            checker.diagnostics.push(diagnostic);
            return false;
        }
    }
    true
}

fn storable_query(
    checker: &mut Checker<'_>,
    name: &TableName,
    schema: &Schema,
    sql: &SqlText,
) -> bool {
    match delta_schema(name, schema) {
        Ok(_) => true,
        Err(error) => {
            let diagnostic = Diagnostic::error("bad_column", error_chain(&error))
                .at_location(sql.to_source(0..sql.text.trim_end().len()));
            checker.diagnostics.push(diagnostic);
            false
        }
    }
}
