//! Samplers, behind one trait and in one registry.

use serde_json::{Map, Value};

use super::space::{Point, SearchSpace};
use super::{grid, surrogate};
use crate::error::{LearnError, ParamError};
use crate::metric::Goal;
use crate::nearest::nearest;

/// Picks points, and may learn from how they did.
///
/// A sampler's answers depend on its seed and on the sequence of asks and tells only, so
/// that replaying a recorded sequence resumes a search where it stopped.
pub trait Sampler: Send {
    /// The next `count` points; fewer when the space is exhausted.
    fn ask(&mut self, count: usize) -> Vec<Point>;

    /// How a point did, in the order in which the points were asked for; `None` for a
    /// trial that failed or gave no number.
    fn tell(&mut self, point: &Point, value: Option<f64>);
}

/// A sampler's entry in the registry.
#[derive(Debug)]
pub struct Entry {
    /// Its name in a pipeline file.
    pub name: &'static str,
    /// Its parameters and their aliases.
    pub params: &'static [(&'static str, &'static [&'static str])],
    read: fn(&mut Settings<'_>) -> Kind,
}

/// All samplers.
pub static SAMPLERS: &[Entry] = &[
    Entry {
        name: "grid",
        params: &[("points", &["steps", "n"])],
        read: |settings| Kind::Grid {
            points: settings.whole("points", 5, 1..=1_000_000),
        },
    },
    Entry {
        name: "random",
        params: &[("seed", &["random_state"])],
        read: |settings| Kind::Random {
            seed: settings.whole("seed", 0, 0..=u64::MAX),
        },
    },
    Entry {
        name: "tpe",
        params: &[
            ("seed", &["random_state"]),
            ("startup_trials", &["n_startup_trials"]),
            ("candidates", &["n_ei_candidates"]),
            ("gamma", &[]),
            ("explore", &[]),
        ],
        read: |settings| Kind::Tpe {
            seed: settings.whole("seed", 0, 0..=u64::MAX),
            startup_trials: settings.whole("startup_trials", 10, 1..=1_000_000),
            candidates: settings.whole("candidates", 24, 1..=100_000),
            gamma: settings.share("gamma", 0.25),
            explore: settings.share("explore", 0.2),
        },
    },
];

/// The names of all samplers.
pub fn sampler_names() -> impl Iterator<Item = &'static str> {
    SAMPLERS.iter().map(|entry| entry.name)
}

/// A sampler with checked parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerSpec {
    name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Grid {
        points: u64,
    },
    Random {
        seed: u64,
    },
    Tpe {
        seed: u64,
        startup_trials: u64,
        candidates: u64,
        gamma: f64,
        explore: f64,
    },
}

impl SamplerSpec {
    /// The sampler called `name` with the parameters in `map`.
    ///
    /// # Errors
    ///
    /// An unknown sampler, or every parameter that cannot be used.
    pub fn parse(name: &str, map: &Map<String, Value>) -> Result<Self, LearnError> {
        let entry = SAMPLERS
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| LearnError::UnknownSampler {
                name: name.to_owned(),
                nearest: nearest(name, sampler_names()),
                known: sampler_names().collect(),
            })?;
        let mut settings = Settings::new(entry.params, map);
        let kind = (entry.read)(&mut settings);
        settings.finish()?;
        Ok(Self {
            name: entry.name,
            kind,
        })
    }

    /// The sampler's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether what it is told decides what it answers.
    pub(crate) fn learns(&self) -> bool {
        match self.kind {
            Kind::Grid { .. } | Kind::Random { .. } => false,
            Kind::Tpe { .. } => true,
        }
    }

    /// How many points it has to offer, where that is limited.
    pub fn size(&self, space: &SearchSpace) -> Option<u64> {
        match self.kind {
            Kind::Grid { points } => Some(grid::size(space, points)),
            Kind::Random { .. } | Kind::Tpe { .. } => None,
        }
    }

    /// The sampler at the beginning of a search.
    ///
    /// # Errors
    ///
    /// Parameters that only the space shows to be unusable.
    pub fn start(&self, space: &SearchSpace, goal: Goal) -> Result<Box<dyn Sampler>, LearnError> {
        Ok(match self.kind {
            Kind::Grid { points } => Box::new(grid::Grid::new(space, points)),
            Kind::Random { seed } => Box::new(surrogate::Independent::random(space, seed)),
            Kind::Tpe {
                seed,
                startup_trials,
                candidates,
                gamma,
                explore,
            } => Box::new(surrogate::Independent::tpe(
                space,
                goal,
                &surrogate::Tpe {
                    seed,
                    startup_trials: startup_trials as usize,
                    candidates: candidates as usize,
                    gamma,
                    explore,
                },
            )?),
        })
    }
}

/// Reads the parameters of a sampler or a pruner and gathers what is wrong with them.
pub(crate) struct Settings<'m> {
    given: Vec<(&'static str, &'m str, &'m Value)>,
    errors: Vec<ParamError>,
}

impl<'m> Settings<'m> {
    /// Takes the parameters in `map` under their names and their aliases.
    pub(crate) fn new(
        known_params: &[(&'static str, &[&str])],
        map: &'m Map<String, Value>,
    ) -> Self {
        let mut settings = Self {
            given: Vec::new(),
            errors: Vec::new(),
        };
        for (written, value) in map {
            let known = known_params
                .iter()
                .find(|(name, aliases)| name == written || aliases.contains(&written.as_str()));
            match known {
                Some((name, _)) => settings.given.push((name, written, value)),
                None => {
                    let names: Vec<&str> = known_params.iter().map(|(name, _)| *name).collect();
                    let error = ParamError::unknown(written, &names, names.iter().copied());
                    settings.errors.push(error);
                }
            }
        }
        settings
    }

    /// All that is wrong, if anything is.
    pub(crate) fn finish(self) -> Result<(), LearnError> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(LearnError::Params(self.errors))
        }
    }

    /// A whole number.
    pub(crate) fn whole(
        &mut self,
        name: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some((_, written, value)) = self.find(name) else {
            return default;
        };
        match value.as_u64() {
            Some(number) if range.contains(&number) => number,
            _ => {
                let message = format!(
                    "must be a whole number from {} up, not {value}",
                    range.start()
                );
                self.errors.push(ParamError::new(written, message));
                default
            }
        }
    }

    fn share(&mut self, name: &str, default: f64) -> f64 {
        let Some((_, written, value)) = self.find(name) else {
            return default;
        };
        match value.as_f64() {
            Some(number) if number > 0.0 && number < 1.0 => number,
            _ => {
                let message = format!("must be a number between 0 and 1, not {value}");
                self.errors.push(ParamError::new(written, message));
                default
            }
        }
    }

    fn find(&self, name: &str) -> Option<(&'static str, &'m str, &'m Value)> {
        self.given.iter().find(|(own, _, _)| *own == name).copied()
    }
}
