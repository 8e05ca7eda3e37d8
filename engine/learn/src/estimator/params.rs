//! Parameters as users write them, checked before anything is fitted.

use serde_json::{Map, Value};

use crate::error::ParamError;
use crate::nearest::nearest;

/// A parameter of an estimator.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its own name.
    pub name: &'static str,
    /// Other names by which scikit-learn and XGBoost know it.
    pub aliases: &'static [&'static str],
    /// What it does, for documentation.
    pub doc: &'static str,
}

/// The interval in which a number must lie.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bounds {
    /// More than 0.
    Positive,
    /// 0 or more.
    NonNegative,
    /// More than 0 and at most 1.
    Fraction,
    /// From 0 to 1, both included.
    Share,
    /// Between these two, neither included.
    Inside(f64, f64),
}

impl Bounds {
    fn hold(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Positive => value > 0.0,
                Self::NonNegative => value >= 0.0,
                Self::Fraction => value > 0.0 && value <= 1.0,
                Self::Share => (0.0..=1.0).contains(&value),
                Self::Inside(low, high) => value > low && value < high,
            }
    }

    fn words(self) -> String {
        match self {
            Self::Positive => "a number above 0".to_owned(),
            Self::NonNegative => "a number from 0 up".to_owned(),
            Self::Fraction => "a number above 0 and at most 1".to_owned(),
            Self::Share => "a number from 0 to 1".to_owned(),
            Self::Inside(low, high) => format!("a number above {low} and below {high}"),
        }
    }
}

/// Reads parameters by their own names and gathers everything that is wrong with them.
#[derive(Debug)]
pub(crate) struct Params<'m> {
    given: Vec<Given<'m>>,
    resolved: Map<String, Value>,
    errors: Vec<ParamError>,
    /// What names that nobody knows were most likely to be.
    meant: Vec<String>,
}

#[derive(Debug)]
struct Given<'m> {
    name: &'static str,
    written: &'m str,
    value: &'m Value,
}

/// The own name of the parameter `written`.
pub(crate) fn canonical(known: &[Param], written: &str) -> Result<&'static str, ParamError> {
    let found = known
        .iter()
        .find(|param| param.name == written || param.aliases.contains(&written));
    found.map(|param| param.name).ok_or_else(|| {
        let names = known
            .iter()
            .flat_map(|param| std::iter::once(param.name).chain(param.aliases.iter().copied()));
        let own: Vec<&str> = known.iter().map(|param| param.name).collect();
        ParamError::unknown(written, &own, names)
    })
}

impl<'m> Params<'m> {
    pub(crate) fn new(map: &'m Map<String, Value>, known: &[Param]) -> Self {
        let mut params = Self {
            given: Vec::with_capacity(map.len()),
            resolved: Map::new(),
            errors: Vec::new(),
            meant: Vec::new(),
        };
        for (written, value) in map {
            match canonical(known, written) {
                Err(error) => {
                    params.errors.push(error);
                    let names = known.iter().map(|param| param.name);
                    params.meant.extend(nearest(written, names));
                }
                Ok(name) => {
                    if let Some(first) = params.given.iter().find(|given| given.name == name) {
                        let message = format!(
                            "means the same as `{}`, which is given too; keep one",
                            first.written
                        );
                        params.errors.push(ParamError::new(written, message));
                    } else {
                        params.given.push(Given {
                            name,
                            written,
                            value,
                        });
                    }
                }
            }
        }
        params
    }

    /// How the user wrote the parameters that are given: own name, written name.
    pub(crate) fn written(&self) -> Vec<(&'static str, String)> {
        let given = self.given.iter();
        given
            .map(|given| (given.name, given.written.to_owned()))
            .collect()
    }

    /// A finite number, or `None` when absent or null.
    pub(crate) fn number(&mut self, name: &'static str) -> Option<f64> {
        let value = self.value(name).and_then(|value| {
            let number = value.as_f64().filter(|number| number.is_finite());
            if number.is_none() {
                self.reject(name, "a number");
            }
            number
        });
        self.resolve(name, value.map_or(Value::Null, Value::from));
        value
    }

    /// All parameters that were read, with their defaults.
    pub(crate) fn finish(self) -> Result<Map<String, Value>, Vec<ParamError>> {
        if self.errors.is_empty() {
            Ok(self.resolved)
        } else {
            Err(self.errors)
        }
    }

    /// The value as given; `None` when absent or null.
    pub(crate) fn value(&self, name: &str) -> Option<&'m Value> {
        let given = self.given.iter().find(|given| given.name == name);
        given.map(|given| given.value).filter(|v| !v.is_null())
    }

    /// Records what a parameter came to be.
    pub(crate) fn resolve(&mut self, name: &'static str, value: impl Into<Value>) {
        self.resolved.insert(name.to_owned(), value.into());
    }

    /// Takes a parameter off the record.
    pub(crate) fn forget(&mut self, name: &str) {
        self.resolved.remove(name);
    }

    /// Records that a parameter, as the user wrote its name, cannot be used.
    pub(crate) fn reject(&mut self, name: &'static str, needs: &str) {
        let given = self.given.iter().find(|given| given.name == name);
        let error = match given {
            Some(given) => ParamError::new(
                given.written,
                format!("must be {needs}, not {}", given.value),
            ),
            None => ParamError::new(name, format!("must be {needs}")),
        };
        self.errors.push(error);
    }

    /// Records that a parameter which is not there has to be.
    pub(crate) fn missing(&mut self, name: &'static str, message: &str) {
        // A misspelt one has been told already.
        if !self.meant.iter().any(|meant| meant == name) {
            self.errors.push(ParamError::new(name, message));
        }
    }

    /// Records why a parameter does not go with the others.
    pub(crate) fn conflict(&mut self, name: &'static str, message: &str) {
        let given = self.given.iter().find(|given| given.name == name);
        let written = given.map_or(name, |given| given.written);
        self.errors.push(ParamError::new(written, message));
    }

    /// A number within `bounds`.
    pub(crate) fn real(&mut self, name: &'static str, default: f64, bounds: Bounds) -> f64 {
        let value = match self.value(name) {
            None => default,
            Some(value) => match value.as_f64() {
                Some(number) if bounds.hold(number) => number,
                _ => {
                    self.reject(name, &bounds.words());
                    default
                }
            },
        };
        self.resolve(name, value);
        value
    }

    /// A whole number within `range`.
    pub(crate) fn whole(
        &mut self,
        name: &'static str,
        default: usize,
        range: std::ops::RangeInclusive<usize>,
    ) -> usize {
        let value = match self.value(name) {
            None => default,
            Some(value) => match as_whole(value).map(usize::try_from) {
                Some(Ok(number)) if range.contains(&number) => number,
                _ => {
                    let needs = format!("a whole number from {} to {}", range.start(), range.end());
                    self.reject(name, &needs);
                    default
                }
            },
        };
        self.resolve(name, value);
        value
    }

    /// A whole number within `range`, or `None`: null, 0, or absent without a default.
    pub(crate) fn limit(
        &mut self,
        name: &'static str,
        default: Option<usize>,
        range: std::ops::RangeInclusive<usize>,
    ) -> Option<usize> {
        let given = self.given.iter().find(|given| given.name == name);
        let value = match given.map(|given| given.value) {
            None => default,
            Some(Value::Null) => None,
            Some(value) => match as_whole(value).map(usize::try_from) {
                Some(Ok(0)) => None,
                Some(Ok(number)) if range.contains(&number) => Some(number),
                _ => {
                    let needs = format!(
                        "a whole number from {} to {}, or 0 or null for no limit",
                        range.start(),
                        range.end()
                    );
                    self.reject(name, &needs);
                    default
                }
            },
        };
        self.resolve(name, value.map_or(Value::Null, Value::from));
        value
    }

    /// A seed: a whole number from 0 up.
    pub(crate) fn seed(&mut self, name: &'static str) -> u64 {
        let value = match self.value(name) {
            None => 0,
            Some(value) => as_whole(value).unwrap_or_else(|| {
                self.reject(name, "a whole number from 0 up");
                0
            }),
        };
        self.resolve(name, value);
        value
    }

    /// True or false.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        let value = match self.value(name) {
            None => default,
            Some(value) => value.as_bool().unwrap_or_else(|| {
                self.reject(name, "true or false");
                default
            }),
        };
        self.resolve(name, value);
        value
    }

    /// One of a few words.
    pub(crate) fn word(
        &mut self,
        name: &'static str,
        default: &'static str,
        words: &[&'static str],
    ) -> &'static str {
        let value = match self.value(name) {
            None => default,
            Some(value) => {
                let known = words.iter().find(|word| value.as_str() == Some(word));
                known.copied().unwrap_or_else(|| {
                    self.reject(name, &format!("one of {}", words.join(", ")));
                    default
                })
            }
        };
        self.resolve(name, value);
        value
    }
}

/// A whole number from 0 up, written as an integer or as `10.0`.
pub(crate) fn as_whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        // 2^53: every whole number up to there is a float of its own.
        (number >= 0.0 && number.fract() == 0.0 && number <= 9_007_199_254_740_992.0)
            .then_some(number as u64)
    })
}
