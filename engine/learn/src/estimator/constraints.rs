//! Constraints on features, which users name by their columns.

use hessboost::config::Monotone;
use serde_json::Value;

use super::params::Params;
use crate::error::ParamError;
use crate::features::{Feature, FeatureKind};
use crate::nearest::nearest;

const MONOTONE: &str = "monotone_constraints";
const INTERACTION: &str = "interaction_constraints";

/// Which way predictions may move with a feature, and which features may meet in a branch.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    monotone: Vec<(String, Monotone)>,
    interaction: Vec<Vec<String>>,
}

impl Constraints {
    pub(super) fn read(params: &mut Params<'_>) -> Self {
        let monotone = read_monotone(params).unwrap_or_else(|| {
            let needs =
                "a map of columns to 1 (`increasing`), -1 (`decreasing`) or 0, as in {alcohol: 1}";
            params.reject(MONOTONE, needs);
            Vec::new()
        });
        let interaction = read_groups(params);
        Self {
            monotone,
            interaction,
        }
    }

    /// Only which features may meet, for an estimator that is older than its constraints: they
    /// are recorded where they are given.
    pub(super) fn read_interaction(params: &mut Params<'_>) -> Self {
        let interaction = read_groups(params);
        if params.value(INTERACTION).is_none() {
            params.forget(INTERACTION);
        }
        Self {
            monotone: Vec::new(),
            interaction,
        }
    }

    /// The columns that are no features, or that cannot be constrained.
    pub(super) fn check(&self, features: &[Feature]) -> Vec<ParamError> {
        let monotone = self.monotone.iter().map(|(name, _)| (MONOTONE, name));
        let interaction = self.interaction.iter().flatten();
        let named = monotone.chain(interaction.map(|name| (INTERACTION, name)));
        named
            .filter_map(|(param, name)| match find(features, name) {
                None => Some(no_feature(param, name, features)),
                Some(position)
                    if param == MONOTONE
                        && matches!(features[position].kind, FeatureKind::Category { .. }) =>
                {
                    let message =
                        format!("`{name}` is categorical: its values have no order to follow");
                    Some(ParamError::new(param, message))
                }
                Some(_) => None,
            })
            .collect()
    }

    /// Whether nothing is constrained.
    pub(super) fn is_free(&self) -> bool {
        self.monotone.is_empty() && self.interaction.is_empty()
    }

    /// One constraint for each feature; none at all when nothing is constrained.
    pub(super) fn monotone(&self, features: &[Feature]) -> Vec<Monotone> {
        if self.monotone.is_empty() {
            return Vec::new();
        }
        let mut all = vec![Monotone::None; features.len()];
        for (name, direction) in &self.monotone {
            if let Some(position) = find(features, name) {
                all[position] = *direction;
            }
        }
        all
    }

    /// Groups of features that may meet, by position.
    pub(super) fn interaction(&self, features: &[Feature]) -> Vec<Vec<u32>> {
        let groups = self.interaction.iter();
        groups
            .map(|group| {
                let positions = group.iter().filter_map(|name| find(features, name));
                positions.map(|position| position as u32).collect()
            })
            .collect()
    }
}

/// A column that a parameter names and that is no feature, with the nearest that is one.
pub(super) fn no_feature(param: &str, name: &str, features: &[Feature]) -> ParamError {
    let near = nearest(name, features.iter().map(|feature| &feature.name));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    ParamError::new(param, format!("`{name}` is no feature of this model{hint}"))
}

/// The feature of that name: the exact one first, else one that differs in case.
pub(super) fn find(features: &[Feature], name: &str) -> Option<usize> {
    let exact = features.iter().position(|feature| feature.name == name);
    exact.or_else(|| {
        let lower = name.to_lowercase();
        features
            .iter()
            .position(|feature| feature.name.to_lowercase() == lower)
    })
}

fn read_monotone(params: &mut Params<'_>) -> Option<Vec<(String, Monotone)>> {
    let Some(value) = params.value(MONOTONE) else {
        params.resolve(MONOTONE, Value::Null);
        return Some(Vec::new());
    };
    let directions = value.as_object()?.iter().map(|(name, direction)| {
        let direction = match (direction.as_i64(), direction.as_str()) {
            (Some(1), _) | (_, Some("increasing")) => Monotone::Increasing,
            (Some(-1), _) | (_, Some("decreasing")) => Monotone::Decreasing,
            (Some(0), _) => Monotone::None,
            _ => return None,
        };
        Some((name.clone(), direction))
    });
    let read = directions.collect::<Option<Vec<_>>>()?;
    params.resolve(MONOTONE, value.clone());
    Some(read)
}

fn read_groups(params: &mut Params<'_>) -> Vec<Vec<String>> {
    read_lists(params).unwrap_or_else(|| {
        let needs = "a list of lists of columns, as in [[alcohol, pH], [sulphates]]";
        params.reject(INTERACTION, needs);
        Vec::new()
    })
}

fn read_lists(params: &mut Params<'_>) -> Option<Vec<Vec<String>>> {
    let Some(value) = params.value(INTERACTION) else {
        params.resolve(INTERACTION, Value::Null);
        return Some(Vec::new());
    };
    let group = |group: &Value| -> Option<Vec<String>> {
        let names = group.as_array()?.iter();
        names.map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let read = value.as_array()?.iter().map(group);
    let read = read.collect::<Option<Vec<_>>>()?;
    params.resolve(INTERACTION, value.clone());
    Some(read)
}
