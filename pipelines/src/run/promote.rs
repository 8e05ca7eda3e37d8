//! Whether an alias moves to a new version.
//!
//! The champion is the version that the alias names; it is scored again on the challenger's
//! own test rows, so that both are judged by the same rows. No champion: the alias moves. NaN
//! or a tie: it does not.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use datafusion::logical_expr::{Expr, lit};
use sluice_lake::registry::{
    AliasChange, AliasDecision, ModelVersion, MoveAlias, RegistryError, moment_text,
};
use sluice_learn::judged::Judged;
use sluice_learn::metric::METRICS;
use sluice_learn::{AppliedModel, LearnError};

use super::context::{RunContext, now_ms};
use super::error::{StageError, blocking};
use super::split::SPLIT_COLUMN;
use crate::plan::{Asset, ModelAsset};
use crate::spec::{Condition, Operand, When};

/// What was decided, and why.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) moved: bool,
    pub(crate) reason: String,
    /// The champion, where it was scored on the version's test rows.
    pub(crate) champion: Option<Scored>,
}

/// A champion's figures on the test rows of its challenger.
#[derive(Debug, Clone)]
pub(crate) struct Scored {
    pub(crate) version: i64,
    /// By name, as `test.auc`.
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Decision {
    fn stays(reason: impl Into<String>) -> Self {
        Self {
            moved: false,
            reason: reason.into(),
            champion: None,
        }
    }
}

/// Decides about the alias of a model asset, moves it, and keeps the decision beside the
/// version. `known_before`: the version comes from a run that the state store has forgotten,
/// so that the decision may have been made.
pub(crate) async fn decide(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    version: &ModelVersion,
    metrics: &BTreeMap<String, f64>,
    known_before: bool,
) -> Result<Decision, StageError> {
    let register = model.register.as_ref();
    let Some(alias) = register.and_then(|register| register.alias.as_ref()) else {
        return Ok(Decision::stays("it names no alias"));
    };
    let registry = &run.world.registry;
    let (champion, gone) = match registry.champion(&version.name, alias.as_str()).await {
        Ok(champion) => (champion, None),
        // Its folder was removed, and the alias names it still.
        Err(RegistryError::UnknownVersion { version, .. }) => (None, Some(version)),
        Err(error) => return Err(error.into()),
    };
    if champion
        .as_ref()
        .is_some_and(|champion| champion.version == version.version)
    {
        return Ok(Decision::stays(format!(
            "{alias} names this version already"
        )));
    }
    if version.retired.is_some() {
        return Ok(Decision::stays(format!(
            "version {} is retired",
            version.version
        )));
    }
    if known_before && was_named(run, version, alias.as_str()).await? {
        return Ok(Decision::stays(format!(
            "{alias} named this version before, and was moved on"
        )));
    }
    let when = register.and_then(|register| register.when.as_ref());
    if known_before && let Some(reason) = refused(run, asset, version, alias.as_str(), when).await?
    {
        return Ok(Decision::stays(reason));
    }
    let (moves, reason, figures) = match when {
        None => (true, "no condition".to_owned(), BTreeMap::new()),
        Some(when) => judge(run, model, when, champion.as_ref(), metrics).await?,
    };
    let reason = match gone {
        Some(gone) if moves => format!("version {gone}, the champion, is gone"),
        _ => reason,
    };
    let scored = champion.as_ref().filter(|_| !figures.is_empty());
    let scored = scored.map(|champion| Scored {
        version: champion.version,
        figures,
    });
    let before = champion.map(|champion| champion.version).or(gone);
    let mut kept = AliasDecision {
        alias: alias.to_string(),
        moved: false,
        reason: reason.clone(),
        when: when.map(|when| when.text.value.clone()),
        champion: before,
        asset: asset.name.clone(),
        run_id: run.run_id.clone(),
        timestamp_ms: now_ms(),
    };
    if !moves {
        registry.keep_decision(version, kept).await?;
        return Ok(Decision {
            champion: scored,
            ..Decision::stays(reason)
        });
    }
    let change = registry
        .set_alias(MoveAlias {
            name: version.name.clone(),
            alias: alias.to_string(),
            version: version.version,
            expected: Some(before),
            run_id: run.run_id.clone(),
            reason: format!("{}: {reason}", asset.name),
        })
        .await?;
    kept.moved = matches!(change, AliasChange::Moved(_));
    let moved = kept.moved;
    registry.keep_decision(version, kept).await?;
    Ok(Decision {
        moved,
        reason,
        champion: scored,
    })
}

/// Why an alias did not move to a version, if that was decided for this asset by the same
/// condition: each version is judged once.
async fn refused(
    run: &RunContext,
    asset: &Asset,
    version: &ModelVersion,
    alias: &str,
    when: Option<&When>,
) -> Result<Option<String>, StageError> {
    let decisions = run.world.registry.decisions(version).await?;
    let when = when.map(|when| when.text.value.as_str());
    let same = decisions.into_iter().find(|decision| {
        decision.alias == alias
            && decision.asset == asset.name
            && decision.when.as_deref() == when
            && !decision.moved
    });
    Ok(same.map(|decision| {
        format!(
            "{} (decided at {})",
            decision.reason,
            moment_text(decision.timestamp_ms)
        )
    }))
}

/// Whether an alias has ever named a version.
async fn was_named(
    run: &RunContext,
    version: &ModelVersion,
    alias: &str,
) -> Result<bool, StageError> {
    let history = run.world.registry.alias_history(&version.name).await?;
    Ok(history
        .iter()
        .any(|moved| moved.alias == alias && moved.version == Some(version.version)))
}

/// Whether the alias moves, why, and the champion's figures if it was scored.
async fn judge(
    run: &RunContext,
    model: &ModelAsset,
    when: &When,
    champion: Option<&ModelVersion>,
    metrics: &BTreeMap<String, f64>,
) -> Result<(bool, String, BTreeMap<String, f64>), StageError> {
    let rescored = match champion {
        Some(champion) if when.reads_champion() => match rescore(run, model, champion).await? {
            Ok(figures) => figures,
            Err(reason) => return Ok((false, reason, BTreeMap::new())),
        },
        _ => BTreeMap::new(),
    };
    let mut reasons = Vec::with_capacity(when.conditions.len());
    for condition in &when.conditions {
        let (holds, reason) = holds(&condition.value, champion, metrics, &rescored);
        if !holds {
            return Ok((false, reason, rescored));
        }
        reasons.push(reason);
    }
    reasons.dedup();
    Ok((true, reasons.join(" and "), rescored))
}

/// Whether one condition holds, and the figures that say so.
fn holds(
    condition: &Condition,
    champion: Option<&ModelVersion>,
    metrics: &BTreeMap<String, f64>,
    rescored: &BTreeMap<String, f64>,
) -> (bool, String) {
    let (left, comparison, right) = match (condition, champion) {
        (Condition::NoChampion, None) => return (true, "first version".to_owned()),
        (Condition::NoChampion, Some(champion)) => {
            return (
                false,
                format!("version {} is the champion", champion.version),
            );
        }
        (Condition::Compare { left, right, .. }, None)
            if [left, right]
                .iter()
                .any(|side| matches!(side, Operand::Champion(_))) =>
        {
            return (true, "first version".to_owned());
        }
        (
            Condition::Compare {
                left,
                comparison,
                right,
            },
            _,
        ) => (left, comparison, right),
    };
    let figure = |operand: &Operand| match operand {
        Operand::Number(number) => *number,
        Operand::Challenger(metric) => lookup(metrics, &metric.to_string()),
        Operand::Champion(metric) => lookup(rescored, &metric.to_string()),
    };
    let shown = |operand: &Operand, value: f64| match operand {
        Operand::Number(_) => operand.to_string(),
        Operand::Challenger(metric) if value.is_nan() => format!("{metric}, which is undefined,"),
        Operand::Champion(_) => match champion {
            Some(champion) => format!("{value:.4} of version {}", champion.version),
            None => format!("{value:.4}"),
        },
        Operand::Challenger(metric) => format!("{metric} {value:.4}"),
    };
    let (a, b) = (figure(left), figure(right));
    let holds = comparison.holds(a, b);
    let (left, right) = (shown(left, a), shown(right, b));
    let reason = if holds {
        format!("{left} {comparison} {right}")
    } else {
        format!("{left} is not {comparison} {right}")
    };
    (holds, reason)
}

fn lookup(figures: &BTreeMap<String, f64>, name: &str) -> f64 {
    figures.get(name).copied().unwrap_or(f64::NAN)
}

/// The champion's metrics on the challenger's test rows; the inner error is why it cannot be
/// scored on them.
async fn rescore(
    run: &RunContext,
    model: &ModelAsset,
    champion: &ModelVersion,
) -> Result<Result<BTreeMap<String, f64>, String>, StageError> {
    let batches = test_rows(run, model).await?;
    let folder = champion.path.clone();
    let (label, number, task) = (model.data.label.clone(), champion.version, model.task);
    blocking(move || {
        let model = AppliedModel::load(&folder)?;
        let other = model.label().task;
        if other != task {
            return Ok(Err(format!(
                "version {number}, the champion, is of `task: {other}`, and this one of `task: {task}`: their figures do not compare"
            )));
        }
        let mut rows = Judged::new(&model);
        for batch in &batches {
            match rows.push(batch, &label) {
                Ok(()) => {}
                Err(LearnError::Bind(error)) => {
                    return Ok(Err(format!(
                        "version {number}, the champion, cannot be scored on these rows: {error}"
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let figures = METRICS
            .iter()
            .filter(|metric| metric.judges(task))
            .map(|metric| (format!("test.{}", metric.name), rows.figure(metric)));
        Ok(Ok(figures.collect()))
    })
    .await
}

/// The test rows of the table that a model learns from.
async fn test_rows(run: &RunContext, model: &ModelAsset) -> Result<Vec<RecordBatch>, StageError> {
    let table = run.catalog.table(&model.from).await?;
    let table = table.ok_or_else(|| StageError::TableGone(model.from.to_string()))?;
    let fields = table.schema.fields().iter();
    let split = fields
        .map(|field| field.name())
        .find(|name| name.eq_ignore_ascii_case(SPLIT_COLUMN))
        .map_or(SPLIT_COLUMN, String::as_str);
    let is_test = Expr::Column(datafusion::common::Column::from_name(split)).eq(lit("test"));
    let rows = run
        .session()?
        .context()
        .read_table(table.provider)?
        .filter(is_test)?;
    Ok(rows.collect().await?)
}
