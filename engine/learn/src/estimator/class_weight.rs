//! `class_weight`: how much the rows of each class count in a fit.

use hessboost::data::DMatrix;
use hessboost::error::HessboostError;
use serde_json::Value;

use super::TrainingSet;
use super::params::Params;
use crate::error::{LearnError, ParamError};
use crate::features::{Label, LabelType, Target, Task};
use crate::nearest::nearest;

/// The parameter's name, and what it takes.
pub(crate) const NAME: &str = "class_weight";

/// How much the rows of each class count.
#[derive(Debug, Clone)]
pub(crate) enum ClassWeight {
    /// All alike.
    Equal,
    /// In inverse proportion to the number of its rows (scikit-learn's `balanced`):
    /// `rows / (classes * rows of the class)`.
    Balanced,
    /// As given, by the class's text; 1 for the others.
    Given(Vec<(String, f64)>),
}

impl ClassWeight {
    pub(crate) fn read(params: &mut Params<'_>) -> Self {
        let given = params.value(NAME).cloned();
        let read = match &given {
            None => Some(Self::Equal),
            Some(Value::String(word)) if word == "balanced" => Some(Self::Balanced),
            Some(Value::Object(map)) => {
                let weights = map.iter().map(|(class, weight)| {
                    let weight = weight.as_f64().filter(|w| w.is_finite() && *w >= 0.0)?;
                    Some((class.clone(), weight))
                });
                weights.collect::<Option<Vec<_>>>().map(Self::Given)
            }
            Some(_) => None,
        };
        params.resolve(NAME, given.unwrap_or(Value::Null));
        read.unwrap_or_else(|| {
            params.reject(
                NAME,
                "`balanced`, or a map of classes to numbers from 0 up, as in {\"true\": 4}",
            );
            Self::Equal
        })
    }

    /// What does not go with a label.
    pub(crate) fn check(&self, target: Target) -> Vec<ParamError> {
        match (self, target) {
            (Self::Equal, _) => Vec::new(),
            (_, target) if target.task == Task::Regression => {
                let message = "a number to predict has no classes; for single rows use `weight:`";
                vec![ParamError::new(NAME, message)]
            }
            (Self::Given(weights), target) if target.label_type == LabelType::Boolean => {
                unknown(weights, &["false".to_owned(), "true".to_owned()])
            }
            _ => Vec::new(),
        }
    }

    /// The training matrix with its rows weighted; the same matrix when all count alike.
    ///
    /// # Errors
    ///
    /// A class that the label does not have.
    pub(super) fn weigh(
        &self,
        data: &TrainingSet,
        refused: impl Fn(HessboostError) -> LearnError,
    ) -> Result<DMatrix, LearnError> {
        let train = data.train();
        let label = &data.plan().label;
        let Some(factors) = self.factors(label, train.labels().unwrap_or_default())? else {
            return Ok(train.clone());
        };
        let rows = train.labels().unwrap_or_default().iter().enumerate();
        let weights: Vec<f32> = rows
            .map(|(row, &code)| {
                let own = train.weights().map_or(1.0, |weights| weights[row]);
                own * factors[code as usize]
            })
            .collect();
        train.clone().with_weights(&weights).map_err(refused)
    }

    /// Each class's factor; `None` when all are 1.
    pub(crate) fn factors(
        &self,
        label: &Label,
        codes: &[f32],
    ) -> Result<Option<Vec<f32>>, LearnError> {
        let names: Vec<String> = label.classes.iter().map(ToString::to_string).collect();
        match self {
            Self::Equal => Ok(None),
            Self::Balanced => {
                let mut counts = vec![0.0_f64; names.len()];
                for &code in codes {
                    counts[code as usize] += 1.0;
                }
                let rows = codes.len() as f64;
                let factor = |count: &f64| (rows / (names.len() as f64 * count)) as f32;
                Ok(Some(counts.iter().map(factor).collect()))
            }
            Self::Given(weights) => {
                let errors = unknown(weights, &names);
                if !errors.is_empty() {
                    return Err(LearnError::Params(errors));
                }
                let factor = |name: &String| {
                    let given = weights.iter().find(|(class, _)| class == name);
                    given.map_or(1.0, |(_, weight)| *weight as f32)
                };
                Ok(Some(names.iter().map(factor).collect()))
            }
        }
    }
}

fn unknown(weights: &[(String, f64)], classes: &[String]) -> Vec<ParamError> {
    weights
        .iter()
        .filter(|(class, _)| !classes.contains(class))
        .map(|(class, _)| {
            let near = nearest(class, classes)
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message = format!(
                "`{class}` is no class of the label, which has {}{near}",
                classes.join(", ")
            );
            ParamError::new(NAME, message)
        })
        .collect()
}
