//! Looks inside evaluations: the models and their columns, the label, the rows, the table of
//! worst rows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use arrow::datatypes::SchemaRef;
use sluice_lake::TableName;
use sluice_lake::sql::parse_query;
use sluice_learn::features::{Interface, LabelType, Target};
use sluice_learn::sql_type::SqlType;

use super::edges::{Found, registering};
use super::known::Known;
use super::queries::{bound_models, interface_of, plan_query};
use super::reports::has_classes;
use super::tables::{find_column, storable};
use super::{Checker, Declared};
use crate::diagnostic::{Diagnostic, nearest};
use crate::plan::report::{WORST_COLUMNS, worst_schema};
use crate::plan::{Applied, EvaluatePlan, WorstRows};
use crate::run::split::SPLIT_COLUMN;
use crate::source::Spanned;
use crate::spec::decode::list;
use crate::spec::{EvaluateOptions, EvaluatedPart};

/// Rows of the table of worst rows, where nobody says how many.
const WORST_ROWS: usize = 50;

/// An evaluation as it is checked.
pub(super) struct Evaluation<'a> {
    /// The report's name.
    pub(super) report: &'a str,
    /// The model's address.
    pub(super) model: &'a Spanned<String>,
    pub(super) options: &'a EvaluateOptions,
    /// The table, and its columns.
    pub(super) of: &'a TableName,
    pub(super) schema: &'a SchemaRef,
}

impl Evaluation<'_> {
    /// The plan. `None` after having reported what is wrong, or when a model is broken.
    pub(super) async fn check(
        &self,
        checker: &mut Checker<'_>,
        known: &mut Known,
        found: &Found,
    ) -> Option<EvaluatePlan> {
        let before = checker.diagnostics.len();
        let interface = interface_of(checker, known, found.applies.first()?)?;
        if let Some(compare) = &self.options.compare {
            self.compared(checker, known, (compare, found), &interface)?;
        }
        let label = self.label(checker, found.applies.first()?, interface.target);
        let (part, split_column) = self.part(checker);
        let slices = self.slices(checker);
        let worst = self.worst(checker, known, interface.target);
        let plan = EvaluatePlan {
            applies: found.applies.clone(),
            task: interface.target.task,
            label: label.unwrap_or_default(),
            part,
            split_column,
            include_training_rows: self.includes_training_rows(),
            slices,
            worst,
        };
        self.columns(checker, known, &plan).await?;
        (checker.diagnostics.len() == before).then_some(plan)
    }

    /// Whether the other model answers the same question.
    fn compared(
        &self,
        checker: &mut Checker<'_>,
        known: &Known,
        (compare, found): (&Spanned<String>, &Found),
        own: &Interface,
    ) -> Option<()> {
        let Some(applied) = found.applies.get(1) else {
            let message = "`compare` names the model that is evaluated";
            checker.error(
                Diagnostic::error("conflicting_keys", message)
                    .help("name another version or model, or leave `compare` out"),
                compare.span,
            );
            return None;
        };
        let other = interface_of(checker, known, applied)?;
        let same = other.target.task == own.target.task
            && alike(other.target.label_type, own.target.label_type);
        if !same {
            let told = |target: Target| {
                let label = SqlType(&target.label_type.arrow()).to_string();
                format!("`task: {}` over {label}", target.task)
            };
            let message = format!(
                "the two models answer different questions: {} and {}",
                told(own.target),
                told(other.target)
            );
            checker.error(
                Diagnostic::error("different_models", message)
                    .help("compare models that were trained for the same label"),
                compare.span,
            );
            return None;
        }
        Some(())
    }

    /// The label's column, as the table spells it.
    fn label(&self, checker: &mut Checker<'_>, model: &Applied, target: Target) -> Option<String> {
        let (column, span) = match &self.options.label {
            Some(label) => (
                find_column(checker, self.schema, label, self.of)?,
                label.span,
            ),
            None => (self.learned_label(checker, model)?, self.options.from.span),
        };
        let data_type = self.schema.field_with_name(&column).ok()?.data_type();
        let fits = LabelType::of(data_type).is_some_and(|found| alike(found, target.label_type));
        if !fits {
            let message = format!(
                "the label `{column}` is {}, and the model learned {}",
                SqlType(data_type),
                SqlType(&target.label_type.arrow())
            );
            checker.error(Diagnostic::error("wrong_type", message), span);
            return None;
        }
        Some(column)
    }

    /// The column that the model learned, if the table has it.
    fn learned_label(&self, checker: &mut Checker<'_>, model: &Applied) -> Option<String> {
        let makers = registering(checker, &model.uri);
        let learned = match makers.last().map(|maker| checker.assets[*maker].body) {
            Some(Declared::Model(maker)) => maker.body.data().label.value.clone(),
            _ => checker.stored_models.get(&model.written)?.label.clone(),
        };
        let names = || {
            self.schema
                .fields()
                .iter()
                .map(|field| field.name().as_str())
        };
        if let Some(name) = names().find(|name| name.eq_ignore_ascii_case(&learned)) {
            return Some(name.to_owned());
        }
        let message = format!(
            "`{}` has no column `{learned}`, which the model learned to predict",
            self.of
        );
        let near = nearest(&learned, names());
        let help = match near {
            Some(near) => format!("say which column holds the truth: `label: {near}`?"),
            None => "say which column holds the truth: `label: ...`".to_owned(),
        };
        checker.error(
            Diagnostic::error("unknown_column", message).help(help),
            self.options.from.span,
        );
        None
    }

    fn includes_training_rows(&self) -> bool {
        let include = self.options.include_training_rows;
        include.is_some_and(|include| include.value)
    }

    /// The rows that are looked at, and the column that tells them.
    fn part(&self, checker: &mut Checker<'_>) -> (EvaluatedPart, Option<String>) {
        use crate::spec::SplitPart;
        let fields = self.schema.fields().iter().map(|field| field.name());
        let mut column = fields.filter(|name| name.eq_ignore_ascii_case(SPLIT_COLUMN));
        let column = column.next().cloned();
        let part = match (self.options.split, &column) {
            (Some(part), _) => part.value,
            (None, Some(_)) => EvaluatedPart::Part(SplitPart::Test),
            (None, None) => EvaluatedPart::All,
        };
        let span = self
            .options
            .split
            .map_or(self.options.from.span, |part| part.span);
        let include = self.options.include_training_rows;
        let wrong = match (part, &column) {
            (EvaluatedPart::Part(_), None) => Some((
                Diagnostic::error(
                    "no_split",
                    format!("`{}` has no column `{SPLIT_COLUMN}`", self.of),
                )
                .help("give the table a `split:`, or leave `split` out here: all rows are taken"),
                span,
            )),
            (part, Some(_)) if part.has_train() && !self.includes_training_rows() => Some((
                Diagnostic::error(
                    "training_rows",
                    format!("`split: {}` takes rows that models learn from", part.name()),
                )
                .help("its figures would flatter the model; if that is meant, say `include_training_rows: true`"),
                span,
            )),
            (part, Some(_)) if !part.has_train() => include.map(|include| {
                let message = format!(
                    "`include_training_rows` changes nothing: there are none in `split: {}`",
                    part.name()
                );
                let help = "leave it out, or say `split: all`";
                let diagnostic = Diagnostic::error("conflicting_keys", message).help(help);
                (diagnostic, include.span)
            }),
            _ => None,
        };
        if let Some((diagnostic, span)) = wrong {
            checker.error(diagnostic, span);
        } else if let EvaluatedPart::Part(part) = part {
            self.is_dealt(checker, part.name());
        }
        (part, column)
    }

    /// Reports a part that the table's own `split:` does not make.
    fn is_dealt(&self, checker: &mut Checker<'_>, part: &str) {
        let Some(position) = checker.find(&self.of.to_string()) else {
            return;
        };
        let Declared::Table(table) = checker.assets[position].body else {
            return;
        };
        let Some(split) = &table.split else { return };
        let parts: Vec<&str> = split
            .parts
            .iter()
            .map(|(name, _)| name.value.as_str())
            .collect();
        if parts.contains(&part) {
            return;
        }
        let message = format!(
            "`{}` has no {part} rows: it deals them into {}",
            self.of,
            list(&parts)
        );
        let span = self
            .options
            .split
            .map_or(self.options.from.span, |part| part.span);
        checker.error(
            Diagnostic::error("no_split", message)
                .help("name another part with `split:`, or add it to the table's own"),
            span,
        );
    }

    fn slices(&self, checker: &mut Checker<'_>) -> Vec<String> {
        let mut slices: Vec<String> = Vec::new();
        for column in &self.options.slices {
            let Some(name) = find_column(checker, self.schema, column, self.of) else {
                continue;
            };
            let data_type = self
                .schema
                .field_with_name(&name)
                .map(|field| field.data_type());
            if let Ok(data_type) = data_type
                && let ControlFlow::Break(_) = has_classes(data_type)
            {
                let message = format!("`{name}` cannot slice rows: it is {}", SqlType(data_type));
                checker.error(
                    Diagnostic::error("wrong_type", message)
                        .help("make a column of text, whole numbers or booleans of it"),
                    column.span,
                );
            } else if !slices.contains(&name) {
                slices.push(name);
            }
        }
        slices
    }

    /// The table of worst rows, which nothing else makes.
    fn worst(
        &self,
        checker: &mut Checker<'_>,
        known: &mut Known,
        target: Target,
    ) -> Option<WorstRows> {
        let worst = self.options.worst.as_ref()?;
        let table: TableName = worst.parse().ok()?;
        let own = checker.find(self.report);
        let others = checker.assets.iter().enumerate();
        // Of two reports the second one is told.
        let mut makers = others.filter(|(at, asset)| match asset.body {
            Declared::Table(_) => asset.name.eq_ignore_ascii_case(worst),
            Declared::Report(report) => {
                let made = report.body.makes().filter(|_| Some(*at) < own);
                made.is_some_and(|made| made.eq_ignore_ascii_case(worst))
            }
            Declared::Model(_) | Declared::Tokenizer(_) => false,
        });
        let maker = makers.next().map(|(_, maker)| *maker);
        if let Some(maker) = maker {
            let message = format!("`{table}` is made by `{}` already", maker.name);
            let other = checker.location(maker.span);
            checker.error(
                Diagnostic::error("duplicate_name", message)
                    .related(other, "there")
                    .help("choose another name for the worst rows"),
                worst.span,
            );
            return None;
        }
        let schema = worst_schema(self.schema, target);
        if !storable(checker, &table, &schema, worst.span) {
            return None;
        }
        let predicted = WORST_COLUMNS.iter().map(|column| (*column).to_owned());
        known.predicted.insert(table.clone(), predicted.collect());
        known.add(&table, schema).ok()?;
        let rows = self.options.worst_rows;
        Some(WorstRows {
            table,
            rows: rows
                .and_then(|rows| usize::try_from(rows.value).ok())
                .unwrap_or(WORST_ROWS),
        })
    }

    /// Whether the table has the columns that the models take: told by planning the query.
    async fn columns(
        &self,
        checker: &mut Checker<'_>,
        known: &Known,
        plan: &EvaluatePlan,
    ) -> Option<()> {
        let models = bound_models(checker, known, &plan.applies)?;
        let others = [Some(self.model), self.options.compare.as_ref()];
        // One model at a time, so that what is wrong stands where the model does.
        for (applied, written) in plan.applies.iter().zip(others.into_iter().flatten()) {
            let alone = EvaluatePlan {
                applies: vec![applied.clone()],
                ..plan.clone()
            };
            let statement = parse_query(&alone.query(self.of));
            let planned = match statement {
                Ok(statement) => plan_query(known, statement, &models, &BTreeMap::new()).await,
                Err(error) => Err(error),
            };
            if let Err(error) = planned {
                let message = format!("`{}`: {}", self.of, error.message);
                let diagnostic = Diagnostic::error("wrong_columns", message);
                checker.error(diagnostic.maybe_help(error.help), written.span);
            }
        }
        Some(())
    }
}

/// Whether labels of the one type can be read as those of the other.
fn alike(one: LabelType, other: LabelType) -> bool {
    let is_number = |label| matches!(label, LabelType::Integer | LabelType::Float);
    one == other || (is_number(one) && is_number(other))
}
