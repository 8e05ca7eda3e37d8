//! Looks inside tables: files, queries, rules and splits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Expr, visit_expressions};
use sluice_lake::TableName;
use sluice_lake::delta::types::delta_schema;
use sluice_lake::session::{DEFAULT_CATALOG, SessionOptions, session};
use sluice_lake::sql::{self, SqlError, Statement, output_schema, parse_expression};
use sluice_lake::system::SystemSchema;
use sluice_learn::features::{FeatureKind, Interface};
use sluice_udfs::models::{
    BoundModel, Declared as DeclaredModel, LoadedModel, ModelSet, Predictor, bind, bind_encoders,
};
use sluice_udfs::text::{self, bind_expression};

use super::contract::{Agreed, check_contract};
use super::edges::{Found, made_beside, registering};
use super::ingest::check_ingest;
use super::lineage::{column_origins, predicted_columns};
use super::quarantine::check_quarantine;
use super::scored::check_scored;
use super::table_rules::check_table_rules;
use super::world::error_chain;
use super::{Checker, Declaration, Stored, modes, sql_errors, tokenizers};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::{
    Applied, AssetBody, IngestAsset, RowExpectation, RowPlan, ScoredAsset, SplitPlan, SqlAsset,
};
use crate::run::split::{SPLIT_COLUMN, Splitter};
use crate::source::{Location, Span, Spanned};
use crate::spec::{Mode, Rule, SqlText, TableBody, TableSpec};

/// The tables and models whose columns are known so far.
pub(crate) struct Known {
    pub(super) ctx: SessionContext,
    catalog: Arc<MemoryCatalogProvider>,
    models: Arc<ModelSet>,
    /// Columns of the tables, by name.
    pub(crate) tables: BTreeMap<TableName, SchemaRef>,
    /// Columns that hold outputs of `predict`, by table.
    pub(crate) predicted: BTreeMap<TableName, BTreeSet<String>>,
    /// Inputs of the models of the project, by asset.
    pub(crate) interfaces: HashMap<usize, Interface>,
}

impl Known {
    /// A session with nothing but `system` in it.
    pub(crate) fn new(checker: &Checker<'_>) -> Result<Self, Box<Diagnostic>> {
        let broken = |error: datafusion::error::DataFusionError| {
            Box::new(Diagnostic::error("session", error_chain(&error)))
        };
        let options = SessionOptions {
            target_partitions: 1,
            ..SessionOptions::default()
        };
        let ctx = session(&options).map_err(broken)?;
        let catalog = Arc::new(MemoryCatalogProvider::new());
        let system = SystemSchema::new(checker.world.state.clone()).map_err(broken)?;
        catalog
            .register_schema(SystemSchema::NAME, Arc::new(system))
            .map_err(broken)?;
        ctx.register_catalog(
            DEFAULT_CATALOG,
            Arc::clone(&catalog) as Arc<dyn CatalogProvider>,
        );
        let models = Arc::new(ModelSet::default());
        sluice_udfs::register(&ctx, &models);
        Ok(Self {
            ctx,
            catalog,
            models,
            tables: BTreeMap::new(),
            predicted: BTreeMap::new(),
            interfaces: HashMap::new(),
        })
    }

    /// Makes the columns of a table known, in place of those that were.
    pub(super) fn add(
        &mut self,
        name: &TableName,
        schema: SchemaRef,
    ) -> datafusion::error::Result<()> {
        let layer = match self.catalog.schema(name.layer()) {
            Some(layer) => layer,
            None => {
                let layer = Arc::new(MemorySchemaProvider::new());
                self.catalog
                    .register_schema(name.layer(), Arc::clone(&layer) as Arc<dyn SchemaProvider>)?;
                layer
            }
        };
        layer.deregister_table(name.table())?;
        layer.register_table(
            name.table().to_owned(),
            Arc::new(EmptyTable::new(Arc::clone(&schema))),
        )?;
        self.tables.insert(name.clone(), schema);
        Ok(())
    }
}

/// Checks a table. `None` if it, or something that it reads, is broken.
pub(crate) async fn check(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    table: &TableSpec,
    found: &Found,
) -> Option<AssetBody> {
    let (body, _) = look(checker, known, declaration, table, found).await?;
    Some(body)
}

/// The body of a table, and its columns, which become known. `None` if it, or something that it reads, is broken.
pub(super) async fn look(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    table: &TableSpec,
    found: &Found,
) -> Option<(AssetBody, SchemaRef)> {
    let name: TableName = declaration.name.parse().ok()?;
    if found.broken || !load_stored(checker, known, found, declaration.span).await {
        return None;
    }
    let (body, schema) = match &*table.body {
        TableBody::Ingest(ingest) => {
            check_ingest(checker, ingest, &name, table.split.is_some()).await?
        }
        TableBody::Sql(sql) => check_query(checker, known, table, sql, &name, found).await?,
        TableBody::SqlFile(file) => {
            check_query(checker, known, table, &file.sql, &name, found).await?
        }
        TableBody::Predict(scored) => check_scored(checker, known, scored, &name, found)?,
    };
    let tokenizers = tokenizers::settled(checker, &found.tokenizers, known.models.tokenizers());
    let tokenizers = tokenizers.await;
    let rows = check_rows(checker, known, table, &name, &schema, &tokenizers);
    let quarantine = check_quarantine(checker, known, table, &name, &schema);
    let schema = match (&table.split, schema.field_with_name(SPLIT_COLUMN)) {
        (Some(_), Err(_)) => Arc::new(Splitter::schema(&schema)),
        _ => schema,
    };
    let agreed = match table.columns.is_empty() {
        true => Some(Agreed::default()),
        false => check_contract(checker, table, &name, &schema),
    };
    let promised = agreed.as_ref().map(|agreed| &agreed.plan);
    let schema = promised.map_or(schema.clone(), |plan| Arc::new(plan.applied_to(&schema)));
    known.add(&name, Arc::clone(&schema)).ok()?;
    let table_rules = check_table_rules(checker, known, table, &name, &schema).await;
    // All of it is looked at, so that all that is wrong is told at once.
    let (rows, agreed, mut table_rules) = (rows?, agreed?, table_rules?);
    let quarantine = quarantine.ok()?;
    table_rules.extend(agreed.key);
    let mut row_rules = rows.rules;
    row_rules.extend(agreed.rules);
    let rows = RowPlan {
        rules: row_rules,
        contract: agreed.plan,
        tokenizers: found.tokenizers.clone(),
        table_rules,
        rule_reads: found.rule_reads.clone(),
        quarantine,
        ..rows
    };
    let body = match body {
        AssetBody::Ingest(ingest) => AssetBody::Ingest(Box::new(IngestAsset { rows, ..*ingest })),
        AssetBody::Sql(sql) => AssetBody::Sql(Box::new(SqlAsset {
            rows,
            schema: Arc::clone(&schema),
            ..*sql
        })),
        AssetBody::Scored(scored) => AssetBody::Scored(Box::new(ScoredAsset { rows, ..*scored })),
        other @ (AssetBody::Tokenizer(_) | AssetBody::Model(_) | AssetBody::Report(_)) => other,
    };
    Some((body, schema))
}

/// Makes the columns of the stored tables known that an asset reads and the project does not
/// make. False when one that the project makes is broken.
pub(crate) async fn load_stored(
    checker: &mut Checker<'_>,
    known: &mut Known,
    found: &Found,
    span: Span,
) -> bool {
    for name in found.reads.iter().chain(&found.rule_reads) {
        if known.tables.contains_key(name) {
            continue;
        }
        let written = name.to_string();
        if checker.find(&written).is_some() || made_beside(checker, &written).is_some() {
            return false;
        }
        let added = match checker.world.lakehouse.load(name, None).await {
            Ok(table) => known
                .add(name, table.schema)
                .map_err(|error| error_chain(&error)),
            Err(error) => Err(error_chain(&error)),
        };
        if let Err(words) = added {
            checker.error(Diagnostic::error("unreadable_table", words), span);
            return false;
        }
    }
    true
}

async fn check_query(
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

pub(super) fn storable(
    checker: &mut Checker<'_>,
    name: &TableName,
    schema: &Schema,
    span: Span,
) -> bool {
    match delta_schema(name, schema) {
        Ok(_) => true,
        Err(error) => {
            checker.error(Diagnostic::error("bad_column", error_chain(&error)), span);
            false
        }
    }
}

fn check_rows(
    checker: &mut Checker<'_>,
    known: &Known,
    table: &TableSpec,
    name: &TableName,
    schema: &SchemaRef,
    tokenizers: &BTreeMap<String, String>,
) -> Option<RowPlan> {
    let before = checker.diagnostics.len();
    let mut rows = RowPlan::default();
    for (rule, expectation) in &table.expect {
        // Rules of the whole table: `table_rules` looks at them once its columns are known.
        let Rule::That(text) = &expectation.rule else {
            continue;
        };
        match row_rule(known, text, name, schema, tokenizers) {
            Ok(that) => rows.rules.push(RowExpectation {
                name: rule.value.clone(),
                that,
                otherwise: expectation.otherwise(),
                of_contract: false,
            }),
            Err(diagnostic) => checker.diagnostics.push(*diagnostic),
        }
    }
    if let Some(split) = &table.split {
        let written = schema
            .fields()
            .iter()
            .any(|field| field.name().eq_ignore_ascii_case(SPLIT_COLUMN));
        if written {
            let message = format!("`{name}` writes `{SPLIT_COLUMN}` itself, and has a `split:`");
            let diagnostic =
                Diagnostic::error("conflicting_keys", message).help("leave one of them out");
            let span = split
                .parts
                .iter()
                .next()
                .map_or(Span::default(), |(part, _)| part.span);
            checker.error(diagnostic, span);
        }
        rows.split = Some(SplitPlan {
            parts: split
                .parts
                .iter()
                .map(|(part, share)| (part.value.clone(), share.value))
                .collect(),
            seed: split.seed.map_or(0, |seed| seed.value),
            by: split
                .by
                .iter()
                .filter_map(|column| find_column(checker, schema, column, name))
                .collect(),
        });
    }
    (checker.diagnostics.len() == before).then_some(rows)
}

/// A condition on single rows. `None` after having reported what is wrong.
pub(super) fn row_condition(
    checker: &mut Checker<'_>,
    known: &Known,
    text: &SqlText,
    name: &TableName,
    schema: &SchemaRef,
) -> Option<sql::Expression> {
    match row_rule(known, text, name, schema, &BTreeMap::new()) {
        Ok(condition) => Some(condition),
        Err(diagnostic) => {
            checker.diagnostics.push(*diagnostic);
            None
        }
    }
}

fn row_rule(
    known: &Known,
    text: &SqlText,
    name: &TableName,
    schema: &SchemaRef,
    tokenizers: &BTreeMap<String, String>,
) -> Result<sql::Expression, Box<Diagnostic>> {
    let shown = |error: SqlError| Box::new(sql_errors::diagnostic(&error, text));
    let that = parse_expression(&text.text).map_err(shown)?;
    if let Some(what) = beyond_the_row(known, &that) {
        let message = format!("a rule looks at one row at a time: it cannot hold {what}");
        return Err(Box::new(
            Diagnostic::error("wrong_rule", message)
                .help("make it a column in the table's SQL, and compare that here")
                .at_location(text.to_source(0..text.text.trim_end().len())),
        ));
    }
    let mut settled = that.clone();
    bind_expression(&mut settled, tokenizers).map_err(shown)?;
    let planned =
        sql::plan_expression(&known.ctx, &settled, &name.to_string(), schema).map_err(shown)?;
    let columns =
        datafusion::common::DFSchema::try_from_qualified_schema(name.to_string().as_str(), schema);
    let data_type = columns.and_then(|columns| planned.get_type(&columns));
    match data_type {
        Ok(DataType::Boolean | DataType::Null) | Err(_) => Ok(that),
        Ok(other) => Err(Box::new(
            Diagnostic::error(
                "wrong_type",
                format!("a rule must be TRUE or FALSE, but this is {other}"),
            )
            .help("compare it with something, such as `... > 0`")
            .at_location(text.to_source(0..text.text.trim_end().len())),
        )),
    }
}

/// What in an expression needs other rows than the one it is about.
pub(super) fn beyond_the_row(known: &Known, that: &sql::Expression) -> Option<&'static str> {
    let state = known.ctx.state_ref();
    let state = state.read();
    let found = visit_expressions(that.ast(), |part| match part {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
            ControlFlow::Break("a subquery")
        }
        Expr::Function(call) if call.over.is_some() => ControlFlow::Break("a window function"),
        Expr::Function(call) => {
            let name = call.name.to_string().to_lowercase();
            if state.aggregate_functions().contains_key(&name) {
                ControlFlow::Break("an aggregate function")
            } else {
                ControlFlow::Continue(())
            }
        }
        _ => ControlFlow::Continue(()),
    });
    found.break_value()
}

/// The spelling of a column that the pipeline names.
pub(super) fn find_column(
    checker: &mut Checker<'_>,
    schema: &Schema,
    column: &Spanned<String>,
    table: &TableName,
) -> Option<String> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    if let Some(name) = names().find(|name| name.eq_ignore_ascii_case(&column.value)) {
        return Some(name.to_owned());
    }
    let help = did_you_mean(&column.value, names());
    let diagnostic = Diagnostic::error(
        "unknown_column",
        format!("`{table}` has no column `{column}`"),
    )
    .maybe_help(help);
    checker.error(diagnostic, column.span);
    None
}
