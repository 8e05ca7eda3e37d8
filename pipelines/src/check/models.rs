//! Looks inside models: data, estimator, search and goal.

use std::num::NonZeroUsize;

use arrow::datatypes::Schema;
use serde_json::json;
use sluice_lake::TableName;
use sluice_learn::error::ParamError;
use sluice_learn::features::Interface;
use sluice_learn::metric::{Goal as Direction, Metric, metrics_of};
use sluice_learn::search::{SamplerSpec, is_search_space};
use sluice_learn::sweep::{Objective, PrunerSpec, SweepRequest, SweepSpec};
use sluice_learn::{DatasetSpec, EstimatorSpec, LearnError, Task};

use super::edges::Found;
use super::finish::{can_prune, finish, folds, identify};
use super::known::Known;
use super::world::error_chain;
use super::{Checker, Declaration};
use crate::diagnostic::Diagnostic;
use crate::plan::{AssetBody, Fit, ModelAsset};
use crate::source::Span;
use crate::spec::{Component, Goal, ModelBody, ModelSpec, Sweep, TrainingData};

/// Checks a model. `None` if it, or the table that it learns from, is broken.
pub(crate) fn check(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    model: &ModelSpec,
    found: &Found,
) -> Option<AssetBody> {
    let position = checker.find(declaration.name)?;
    let data = model.body.data();
    let fit = match &model.body {
        ModelBody::Train(train) => estimator(checker, &train.estimator).map(Fit::Train),
        ModelBody::Sweep(sweep) => {
            check_sweep(checker, sweep).map(|spec| Fit::Sweep(Box::new(spec)))
        }
    };
    if found.broken {
        return None;
    }
    let from = found.reads.first()?;
    let schema = known.tables.get(from)?.clone();
    let spec = dataset(known, data, from);
    let interface = match spec.interface(&schema) {
        Ok(interface) => interface,
        Err(errors) => {
            for error in &errors {
                report_data(checker, data, from, &schema, error);
            }
            return None;
        }
    };
    let task = interface.target.task;
    let fits = fit
        .as_ref()
        .is_some_and(|fit| goes_with(checker, model.body.estimator(), fit, &interface));
    let judged = metrics_judge(checker, model, task);
    let prunes = can_prune(checker, model);
    let finish = finish(checker, data, task);
    let features = interface.features.iter();
    let features = features.map(|feature| feature.name.clone()).collect();
    known.interfaces.insert(position, interface);
    if !fits || !judged || !prunes {
        return None;
    }
    let finish = finish?;
    Some(AssetBody::Model(Box::new(ModelAsset {
        from: from.clone(),
        data: spec,
        fit: match fit? {
            Fit::Sweep(spec) => Fit::Sweep(Box::new(spec.finished(finish.clone()))),
            other @ (Fit::Train(_) | Fit::Text(_)) => other,
        },
        finish,
        features,
        task,
        register: model.register.clone(),
        definition: definition(model),
    })))
}

/// Whether an estimator's parameters go with the features and the label: at every probe of
/// a search.
fn goes_with(
    checker: &mut Checker<'_>,
    component: &Component,
    fit: &Fit,
    interface: &Interface,
) -> bool {
    let check = |spec: &EstimatorSpec| spec.check(&interface.features, interface.target);
    let checked = match fit {
        Fit::Train(spec) => check(spec),
        // Its check is one of its own.
        Fit::Text(_) => Ok(()),
        Fit::Sweep(spec) => {
            let space = spec.space();
            let probes = space.probes().into_iter();
            probes
                .map(|probe| EstimatorSpec::parse(spec.estimator(), &space.params(&probe)))
                .try_for_each(|spec| check(&spec?))
        }
    };
    if let Err(error) = &checked {
        report_component(checker, component, error);
    }
    checked.is_ok()
}

/// Whether all metrics that a model is chosen by are defined for its task.
pub(super) fn metrics_judge(checker: &mut Checker<'_>, model: &ModelSpec, task: Task) -> bool {
    let mut named: Vec<(&'static str, Span)> = Vec::new();
    if let ModelBody::Sweep(sweep) = &model.body {
        let metric = sweep.goal.metric();
        named.push((metric.name, metric.span));
    }
    let when = model.register.as_ref().and_then(|r| r.when.as_ref());
    for condition in when.iter().flat_map(|when| &when.conditions) {
        let metrics = condition.value.metrics();
        named.extend(metrics.map(|metric| (metric.name, condition.span)));
    }
    let mut all = true;
    for (name, span) in named {
        if Metric::find(name).is_ok_and(|metric| metric.judges(task)) {
            continue;
        }
        all = false;
        let names: Vec<&str> = metrics_of(task).collect();
        let message = format!("`{name}` does not judge a model of `task: {task}`");
        checker.error(
            Diagnostic::error("bad_metric", message)
                .help(format!("use {}", crate::spec::decode::list(&names))),
            span,
        );
    }
    all
}

fn dataset(known: &Known, data: &TrainingData, from: &TableName) -> DatasetSpec {
    let texts = |list: &[crate::source::Spanned<String>]| -> Vec<String> {
        list.iter().map(|column| column.value.clone()).collect()
    };
    DatasetSpec {
        label: data.label.value.clone(),
        exclude: texts(&data.exclude),
        categorical: texts(&data.categorical),
        outputs: known
            .predicted
            .get(from)
            .map(|columns| columns.iter().cloned().collect())
            .unwrap_or_default(),
        task: data.task.map(|task| task.value),
        weight: data.weight.as_ref().map(|weight| weight.value.clone()),
        folds: folds(data),
    }
}

pub(super) fn report_data(
    checker: &mut Checker<'_>,
    data: &TrainingData,
    from: &TableName,
    schema: &Schema,
    error: &LearnError,
) {
    let named = |column: &str| {
        let lists = data.exclude.iter().chain(&data.categorical);
        let mut lists = lists.chain(&data.weight);
        let found = lists.find(|other| other.value == column);
        found.map(|other| other.span)
    };
    let kept_by = |column: &str| {
        let mut by = data.validate.iter().flat_map(|validate| &validate.by);
        let found = by.find(|other| other.value.eq_ignore_ascii_case(column));
        found.map(|other| other.span)
    };
    let (code, span) = match error {
        LearnError::UnknownColumn { role, column, .. } => {
            let span = match *role {
                "label" => None,
                "by" => kept_by(column),
                "text" => data.text.as_ref().map(|text| text.span),
                _ => named(column),
            };
            ("unknown_column", span.unwrap_or(data.label.span))
        }
        LearnError::NotCategorical { column, .. } | LearnError::WeightType { column, .. } => {
            ("wrong_type", named(column).unwrap_or(data.from.span))
        }
        LearnError::GroupType { column, .. } => {
            ("wrong_type", kept_by(column).unwrap_or(data.from.span))
        }
        LearnError::LabelType { .. } => ("wrong_type", data.label.span),
        LearnError::TextType { .. } | LearnError::TextIsLabel { .. } => {
            let text = data.text.as_ref().map(|text| text.span);
            ("wrong_type", text.unwrap_or(data.from.span))
        }
        _ => ("bad_training_data", data.from.span),
    };
    let mut diagnostic = Diagnostic::error(code, error_chain(error));
    if let LearnError::UnknownColumn { nearest: None, .. } = error {
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        diagnostic = diagnostic.help(format!("`{from}` has {}", names.join(", ")));
    }
    checker.error(diagnostic, span);
}

fn estimator(checker: &mut Checker<'_>, component: &Component) -> Option<EstimatorSpec> {
    if let Some((diagnostic, span)) = searched(component) {
        checker.error(diagnostic, span);
        return None;
    }
    match EstimatorSpec::parse(&component.name.value, &component.params_json()) {
        Ok(spec) => Some(spec),
        Err(error) => {
            report_component(checker, component, &error);
            None
        }
    }
}

/// Reports what is wrong with an estimator, a sampler or a pruner, each parameter at its place.
pub(super) fn report_component(
    checker: &mut Checker<'_>,
    component: &Component,
    error: &LearnError,
) {
    let LearnError::Params(errors) = error else {
        let code = match error {
            LearnError::UnknownSampler { .. } => "unknown_sampler",
            LearnError::UnknownPruner { .. } => "unknown_pruner",
            _ => "unknown_estimator",
        };
        let diagnostic = Diagnostic::error(code, error_chain(error));
        checker.error(diagnostic, component.name.span);
        return;
    };
    for error in errors {
        let (diagnostic, span) = parameter(component, error);
        checker.error(diagnostic, span);
    }
}

fn parameter(component: &Component, error: &ParamError) -> (Diagnostic, Span) {
    let path = [error.param.as_str()];
    let message = format!("`{}`: {}", error.param, error.message);
    if error.unknown {
        let help = error.nearest.as_ref();
        let help = help.map(|nearest| format!("did you mean `{nearest}`?"));
        let diagnostic = Diagnostic::error("unknown_parameter", message).maybe_help(help);
        return (diagnostic, component.key_span(&path));
    }
    let diagnostic = Diagnostic::error("bad_parameter", message);
    (diagnostic, component.value_span(&path))
}

/// A parameter that a single fit would have to search.
pub(super) fn searched(component: &Component) -> Option<(Diagnostic, Span)> {
    let params = component.params_json();
    let (name, _) = params.iter().find(|(_, value)| is_search_space(value))?;
    let message = format!("`{name}`: `train` takes one value, and this is a search space");
    let diagnostic = Diagnostic::error("bad_parameter", message)
        .help("give a value, or search with `sweep:` instead of `train:`");
    Some((diagnostic, component.value_span(&[name])))
}

fn check_sweep(checker: &mut Checker<'_>, sweep: &Sweep) -> Option<SweepSpec> {
    let sampler = SamplerSpec::parse(&sweep.sampler.name.value, &sweep.sampler.params_json());
    let sampler = match sampler {
        Ok(sampler) => Some(sampler),
        Err(error) => {
            report_component(checker, &sweep.sampler, &error);
            None
        }
    };
    let (pruner, pruner_is_right) = check_pruner(checker, sweep);
    let (metric, direction) = match &sweep.goal {
        Goal::Maximize(metric) => (metric, Direction::Maximize),
        Goal::Minimize(metric) => (metric, Direction::Minimize),
    };
    let objective = match Objective::parse(&metric.value.to_string(), direction) {
        Ok(objective) => Some(objective),
        Err(error) => {
            checker.error(
                Diagnostic::error("bad_metric", error_chain(&error)),
                metric.span,
            );
            None
        }
    };
    let complete = sampler.is_some() && objective.is_some() && pruner_is_right;
    let stand_in = any_search();
    let (sampler, objective) = (sampler.or(stand_in.0), objective.or(stand_in.1));
    let request = SweepRequest {
        estimator: &sweep.estimator.name.value,
        params: &sweep.estimator.params_json(),
        sampler: sampler?,
        trials: sweep
            .trials
            .and_then(|trials| usize::try_from(trials.value).ok()),
        batch: usize::try_from(sweep.batch_size())
            .ok()
            .and_then(NonZeroUsize::new)?,
        objective: objective?,
        pruner,
        timeout: sweep.timeout.map(|timeout| timeout.value.0),
        warm_start: sweep
            .warm_start
            .and_then(|count| usize::try_from(count.value).ok())
            .unwrap_or(0),
    };
    match SweepSpec::new(&request) {
        Ok(spec) => complete.then_some(spec),
        Err(error) => {
            report_sweep(checker, sweep, &error);
            None
        }
    }
}

/// The pruner, if there is one, and whether it is as it should be.
fn check_pruner(checker: &mut Checker<'_>, sweep: &Sweep) -> (Option<PrunerSpec>, bool) {
    let Some(component) = &sweep.pruner else {
        return (None, true);
    };
    match PrunerSpec::parse(&component.name.value, &component.params_json()) {
        Ok(pruner) => (Some(pruner), true),
        Err(error) => {
            report_component(checker, component, &error);
            (None, false)
        }
    }
}

/// A sampler and a goal with which an estimator's parameters can be checked when those of the
/// sweep are wrong.
fn any_search() -> (Option<SamplerSpec>, Option<Objective>) {
    let none = serde_json::Map::new();
    (
        SamplerSpec::parse("random", &none).ok(),
        Objective::parse("validation.auc", Direction::Maximize).ok(),
    )
}

/// Reports what is wrong with a sweep whose parts are right, at the part that does not fit.
fn report_sweep(checker: &mut Checker<'_>, sweep: &Sweep, error: &LearnError) {
    let place = match error {
        LearnError::NothingToPrune { .. } => sweep.pruner.as_ref().map(|p| p.name.span),
        LearnError::NoWarmStart { .. } => sweep.warm_start.map(|count| count.span),
        _ => None,
    };
    match place {
        Some(span) => checker.error(
            Diagnostic::error("conflicting_keys", error_chain(error)),
            span,
        ),
        None => report_component(checker, &sweep.estimator, error),
    }
}

/// What identifies a model's definition: all that its training depends on, besides the data.
fn definition(model: &ModelSpec) -> serde_json::Value {
    let data = model.body.data();
    let names = |list: &[crate::source::Spanned<String>]| -> Vec<String> {
        list.iter()
            .map(|column| column.value.to_lowercase())
            .collect()
    };
    let component =
        |component: &Component| json!({component.name.value.as_str(): component.params.to_json()});
    let mut definition = json!({
        "from": data.from.value.to_lowercase(),
        "label": data.label.value.to_lowercase(),
        "exclude": names(&data.exclude),
        "categorical": names(&data.categorical),
        "estimator": component(model.body.estimator()),
    });
    // Only what is written: definitions of before these keys keep their identity.
    if let Some(task) = data.task {
        definition["task"] = json!(task.value);
    }
    if let Some(weight) = &data.weight {
        definition["weight"] = json!(weight.value.to_lowercase());
    }
    if let Some(definition) = definition.as_object_mut() {
        identify(data, definition);
    }
    if let ModelBody::Sweep(sweep) = &model.body {
        definition["sweep"] = json!({
            "sampler": component(&sweep.sampler),
            "trials": sweep.trials.map(|trials| trials.value),
            "batch": sweep.batch_size(),
            "objective": sweep.goal.metric().value.to_string(),
        });
        // Only where they stand, so that a sweep without them is what it was before there
        // were any.
        if let Some(pruner) = &sweep.pruner {
            definition["sweep"]["pruner"] = component(pruner);
        }
        if let Some(timeout) = sweep.timeout {
            definition["sweep"]["timeout"] = timeout.value.0.as_secs().into();
        }
        if let Some(count) = sweep.warm_start {
            definition["sweep"]["warm_start"] = count.value.into();
        }
    }
    definition
}
