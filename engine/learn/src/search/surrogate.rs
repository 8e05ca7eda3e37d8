//! Random search and TPE, on the `optimizer` crate.
//!
//! That crate's univariate samplers recognise a parameter in a trial's history by its
//! distribution, so two parameters with equal ranges would share one history. Here each
//! dimension has a sampler and a history of its own, which is the univariate algorithm
//! without the confusion, and makes each dimension's draws independent of the others.

use std::collections::HashMap;

use optimizer::distribution::{
    CategoricalDistribution, Distribution, FloatDistribution, IntDistribution,
};
use optimizer::param::ParamValue;
use optimizer::parameter::ParamId;
use optimizer::sampler::{CompletedTrial, RandomSampler, Sampler as Library, TpeSampler};

use super::sampler::Sampler;
use super::space::{Coordinate, Point, Range, SearchSpace};
use crate::error::{LearnError, ParamError};
use crate::metric::Goal;
use crate::random::SplitMix64;

/// The settings of TPE (Bergstra et al., *Algorithms for hyper-parameter optimization*,
/// NeurIPS 2011).
pub(super) struct Tpe {
    pub(super) seed: u64,
    /// Trials drawn at random before the model is used.
    pub(super) startup_trials: usize,
    /// Candidates of which the most promising is taken.
    pub(super) candidates: usize,
    /// Share of the trials that count as good.
    pub(super) gamma: f64,
    /// Share of coordinates that are drawn at random all the same.
    pub(super) explore: f64,
}

/// A sampler that looks at each dimension on its own.
pub(super) struct Independent {
    axes: Vec<Axis>,
    goal: Goal,
    asked: u64,
    told: u64,
}

struct Axis {
    distribution: Distribution,
    id: ParamId,
    library: Box<dyn Library>,
    /// Empty for a sampler that does not learn.
    history: Vec<CompletedTrial>,
    exploration: Option<Exploration>,
}

/// The library's density of the good values has no prior, and narrows on the first few of
/// them. Now and then a coordinate drawn at random keeps the rest of its range in play, as
/// the uniform component does in the original algorithm.
struct Exploration {
    share: f64,
    seed: u64,
    random: RandomSampler,
}

impl Exploration {
    fn new(share: f64, seed: u64) -> Self {
        let seed = SplitMix64::stream(seed, u64::MAX).next_u64();
        Self {
            share,
            seed,
            random: RandomSampler::with_seed(seed),
        }
    }

    /// Whether this trial's coordinate is drawn at random.
    fn due(&self, trial: u64) -> bool {
        // 53 random bits: a number in [0, 1).
        let bits = SplitMix64::stream(self.seed, trial).next_u64() >> 11;
        bits as f64 / (1_u64 << 53) as f64 <= self.share
    }
}

impl Independent {
    pub(super) fn random(space: &SearchSpace, seed: u64) -> Self {
        let axes = space.dimensions.iter().enumerate();
        Self {
            axes: axes
                .map(|(number, dimension)| {
                    let seed = axis_seed(seed, number);
                    Axis::new(
                        &dimension.range,
                        Box::new(RandomSampler::with_seed(seed)),
                        None,
                    )
                })
                .collect(),
            goal: Goal::Maximize,
            asked: 0,
            told: 0,
        }
    }

    pub(super) fn tpe(space: &SearchSpace, goal: Goal, tpe: &Tpe) -> Result<Self, LearnError> {
        let mut axes = Vec::with_capacity(space.dimensions.len());
        for (number, dimension) in space.dimensions.iter().enumerate() {
            let seed = axis_seed(tpe.seed, number);
            let exploration = Exploration::new(tpe.explore, seed);
            let library = TpeSampler::builder()
                .gamma(tpe.gamma)
                .n_startup_trials(tpe.startup_trials)
                .n_ei_candidates(tpe.candidates)
                .seed(seed)
                .build()
                .map_err(|error| {
                    LearnError::Params(vec![ParamError::new("tpe", error.to_string())])
                })?;
            axes.push(Axis::new(
                &dimension.range,
                Box::new(library),
                Some(exploration),
            ));
        }
        Ok(Self {
            axes,
            goal,
            asked: 0,
            told: 0,
        })
    }

    /// What the library minimizes; a trial without a value is the worst.
    fn loss(&self, value: Option<f64>) -> f64 {
        match (value.filter(|value| !value.is_nan()), self.goal) {
            (None, _) => f64::INFINITY,
            (Some(value), Goal::Minimize) => value,
            (Some(value), Goal::Maximize) => -value,
        }
    }
}

/// Dimensions with equal ranges must not draw equal values.
fn axis_seed(seed: u64, number: usize) -> u64 {
    SplitMix64::stream(seed, number as u64).next_u64()
}

impl Axis {
    fn new(range: &Range, library: Box<dyn Library>, exploration: Option<Exploration>) -> Self {
        Self {
            distribution: distribution(range),
            id: ParamId::new(),
            library,
            history: Vec::new(),
            exploration,
        }
    }

    fn sample(&self, trial: u64) -> Coordinate {
        let explore = self.exploration.as_ref().filter(|e| e.due(trial));
        let value = match explore {
            Some(exploration) => exploration.random.sample(&self.distribution, trial, &[]),
            None => self
                .library
                .sample(&self.distribution, trial, &self.history),
        };
        match value {
            ParamValue::Float(value) => Coordinate::Real(value),
            ParamValue::Int(value) => Coordinate::Whole(value),
            ParamValue::Categorical(position) => Coordinate::Whole(position as i64),
        }
    }

    fn remember(&mut self, trial: u64, coordinate: Coordinate, loss: f64) {
        let value = match (coordinate, &self.distribution) {
            (Coordinate::Real(value), _) => ParamValue::Float(value),
            (Coordinate::Whole(value), Distribution::Categorical(_)) => {
                ParamValue::Categorical(usize::try_from(value).unwrap_or(0))
            }
            (Coordinate::Whole(value), _) => ParamValue::Int(value),
        };
        self.history.push(CompletedTrial::new(
            trial,
            HashMap::from([(self.id, value)]),
            HashMap::from([(self.id, self.distribution.clone())]),
            HashMap::new(),
            loss,
        ));
    }
}

fn distribution(range: &Range) -> Distribution {
    let float = |low, high, log_scale| {
        Distribution::Float(FloatDistribution {
            low,
            high,
            log_scale,
            step: None,
        })
    };
    let int = |low, high| {
        Distribution::Int(IntDistribution {
            low,
            high,
            log_scale: false,
            step: None,
        })
    };
    match *range {
        Range::Int { low, high } => int(low, high),
        Range::Quantized { last, .. } => int(0, last),
        Range::Float { low, high } => float(low, high, false),
        Range::Log { low, high } => float(low, high, true),
        Range::Choice(ref values) => Distribution::Categorical(CategoricalDistribution {
            n_choices: values.len(),
        }),
    }
}

impl Sampler for Independent {
    fn ask(&mut self, count: usize) -> Vec<Point> {
        let first = self.asked;
        self.asked += count as u64;
        (first..self.asked)
            .map(|trial| self.axes.iter().map(|axis| axis.sample(trial)).collect())
            .collect()
    }

    fn tell(&mut self, point: &Point, value: Option<f64>) {
        let loss = self.loss(value);
        let trial = self.told;
        self.told += 1;
        for (axis, coordinate) in self.axes.iter_mut().zip(point) {
            if axis.exploration.is_some() {
                axis.remember(trial, *coordinate, loss);
            }
        }
    }
}
