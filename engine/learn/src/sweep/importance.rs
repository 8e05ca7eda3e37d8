//! Which parameters mattered.
//!
//! Functional ANOVA over a random forest (Hutter, Hoos, Leyton-Brown: *An efficient approach
//! for assessing hyperparameter importance*, ICML 2014), by the `optimizer` crate: the part
//! of the variance of the objective that each parameter explains alone, and each pair
//! beyond that.

use std::collections::HashMap;

use optimizer::param::ParamValue;
use optimizer::parameter::ParamId;
use optimizer::sampler::CompletedTrial;
use optimizer::storage::MemoryStorage;
use optimizer::{FanovaConfig, Study};

use super::Trial;
use crate::search::{Coordinate, Point, Range, SearchSpace};

/// Fewer trials than this say nothing.
const FEWEST: usize = 8;
/// The work grows with the square of the trials: of more, equally spaced ones are looked at.
const MOST: usize = 400;
/// The forest's seed: the figures depend on the trials only.
const SEED: u64 = 42;

/// How much of the objective's variance the parameters explain; all parts sum to 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParameterImportance {
    /// Each parameter alone, as the user wrote it, the most important first.
    pub parameters: Vec<(String, f64)>,
    /// Each pair beyond what its two explain alone, the most important first.
    pub pairs: Vec<((String, String), f64)>,
}

/// The importance of the searched parameters; empty when the trials cannot tell: too few, all
/// with one value, or nothing was searched. `points[i]` belongs to `trials[i]`.
pub(super) fn importance(
    space: &SearchSpace,
    trials: &[Trial],
    points: &[Point],
) -> ParameterImportance {
    let valued: Vec<(&Point, f64)> = points
        .iter()
        .zip(trials)
        // A pruned trial's value is that of fewer rounds.
        .filter(|(_, trial)| !trial.pruned)
        .filter_map(|(point, trial)| Some((point, trial.value?)))
        .collect();
    let differs = valued.iter().any(|(_, value)| *value != valued[0].1);
    if valued.len() < FEWEST || !differs || space.dimensions.is_empty() {
        return ParameterImportance::default();
    }
    let ids: Vec<ParamId> = space.dimensions.iter().map(|_| ParamId::new()).collect();
    let step = valued.len().div_ceil(MOST);
    let completed = valued
        .iter()
        .step_by(step)
        .zip(0..)
        .map(|((point, value), number)| {
            let coordinates = ids.iter().zip(&space.dimensions).zip(point.iter());
            let mut labels = HashMap::new();
            let mut params = HashMap::new();
            for ((id, dimension), coordinate) in coordinates {
                labels.insert(*id, dimension.param.clone());
                let place = place(&dimension.range, *coordinate);
                params.insert(*id, ParamValue::Float(place));
            }
            CompletedTrial::new(number, params, HashMap::new(), labels, *value)
        })
        .collect();
    let study: Study<f64> = Study::builder()
        .storage(MemoryStorage::with_trials(completed))
        .build();
    let config = FanovaConfig {
        seed: Some(SEED),
        ..FanovaConfig::default()
    };
    match study.fanova_with_config(&config) {
        Ok(result) => ParameterImportance {
            parameters: result.main_effects,
            pairs: result.interactions,
        },
        Err(_) => ParameterImportance::default(),
    }
}

fn place(range: &Range, coordinate: Coordinate) -> f64 {
    match (range, coordinate) {
        (Range::Log { .. }, Coordinate::Real(value)) => value.ln(),
        (_, Coordinate::Real(value)) => value,
        (_, Coordinate::Whole(value)) => value as f64,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::metric::Goal;
    use crate::search::SamplerSpec;

    fn trials(space: &SearchSpace, value: impl Fn(f64, f64) -> f64) -> (Vec<Trial>, Vec<Point>) {
        let sampler = SamplerSpec::parse("random", &Map::new()).unwrap();
        let mut sampler = sampler.start(space, Goal::Maximize).unwrap();
        let points = sampler.ask(60);
        let trials = points.iter().enumerate().map(|(number, point)| {
            let [Coordinate::Real(a), Coordinate::Real(b)] = point[..] else {
                panic!("two real dimensions");
            };
            Trial {
                value: Some(value(a, b.ln())),
                ..Trial::begun(number + 1, Map::new())
            }
        });
        (trials.collect(), points)
    }

    #[test]
    fn what_moves_the_objective_is_important() {
        let space = json!({"a": {"float": [0, 1]}, "b": {"log": [0.01, 1]}});
        let space = SearchSpace::parse(space.as_object().unwrap()).unwrap();
        let (found, points) = trials(&space, |a, log_b| 0.1 * a + log_b);
        let found = importance(&space, &found, &points);
        assert_eq!(found.parameters[0].0, "b");
        assert!(found.parameters[0].1 > 0.8, "{found:?}");
        let (alone, pairs): (f64, f64) = (
            found.parameters.iter().map(|(_, part)| part).sum(),
            found.pairs.iter().map(|(_, part)| part).sum(),
        );
        assert!((alone + pairs - 1.0).abs() < 1e-9);
        let (again, points) = trials(&space, |a, log_b| 0.1 * a + log_b);
        assert_eq!(importance(&space, &again, &points), found);

        let (flat, points) = trials(&space, |_, _| 0.5);
        assert_eq!(
            importance(&space, &flat, &points),
            ParameterImportance::default()
        );
    }
}
