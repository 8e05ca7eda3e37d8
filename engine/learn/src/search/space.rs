//! What may vary in an estimator's parameters.

use serde_json::{Map, Number, Value};

use crate::error::ParamError;
use crate::nearest::nearest;

/// The keys that make a map with one entry a search space.
const KINDS: [&str; 5] = ["int", "float", "log", "choice", "quniform"];
/// Steps that a `quniform` may have.
const MAX_STEPS: f64 = 1e9;

/// The values that one parameter may take.
#[derive(Debug, Clone, PartialEq)]
pub enum Range {
    /// Whole numbers; both ends count.
    Int {
        /// The smallest.
        low: i64,
        /// The largest.
        high: i64,
    },
    /// Numbers, uniformly.
    Float {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
    },
    /// Positive numbers whose logarithm is uniform.
    Log {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
    },
    /// One of these values.
    Choice(Vec<Value>),
    /// `low + i * step` for `i` from 0 to `last`.
    Quantized {
        /// The smallest.
        low: f64,
        /// The distance of neighbours.
        step: f64,
        /// The largest `i`.
        last: i64,
    },
}

/// A parameter that varies.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    /// The parameter, as the user wrote it.
    pub param: String,
    /// Its values.
    pub range: Range,
}

/// Where a point lies in one dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Coordinate {
    /// In `Float` and `Log`: the value.
    Real(f64),
    /// In `Int`: the value; in `Quantized`: the number of steps; in `Choice`: the
    /// position.
    Whole(i64),
}

/// One coordinate for each dimension.
pub type Point = Vec<Coordinate>;

/// The fixed and the varying parameters of an estimator.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchSpace {
    /// Parameters with one value.
    pub fixed: Map<String, Value>,
    /// Parameters that vary, in the order in which they are written.
    pub dimensions: Vec<Dimension>,
}

/// Whether a parameter's value is a search space: a map whose only key is the name of
/// one.
pub fn is_search_space(value: &Value) -> bool {
    as_space(value).is_some()
}

fn as_space(value: &Value) -> Option<(&str, &Value)> {
    let map = value.as_object()?;
    let (kind, range) = map.iter().next().filter(|_| map.len() == 1)?;
    KINDS.contains(&kind.as_str()).then_some((kind, range))
}

/// What to write instead of a map that was probably meant to be a space.
fn misspelled(value: &Value) -> Option<String> {
    let map = value.as_object()?;
    let (kind, range) = map.iter().next().filter(|_| map.len() == 1)?;
    let meant = nearest(kind, KINDS)?;
    range
        .is_array()
        .then(|| format!("there is no space `{kind}`; did you mean `{meant}: {range}`?"))
}

impl SearchSpace {
    /// Tells fixed values and search spaces apart.
    ///
    /// # Errors
    ///
    /// Every space that has no values.
    pub fn parse(params: &Map<String, Value>) -> Result<Self, Vec<ParamError>> {
        let mut space = Self::default();
        let mut errors = Vec::new();
        for (param, value) in params {
            match as_space(value).map(|(kind, range)| parse_range(kind, range)) {
                None => match misspelled(value) {
                    Some(message) => errors.push(ParamError::new(param, message)),
                    None => {
                        space.fixed.insert(param.clone(), value.clone());
                    }
                },
                Some(Ok(range)) => space.dimensions.push(Dimension {
                    param: param.clone(),
                    range,
                }),
                Some(Err(message)) => errors.push(ParamError::new(param, message)),
            }
        }
        if errors.is_empty() {
            Ok(space)
        } else {
            Err(errors)
        }
    }

    /// The varying parameters at a point, by name.
    pub fn varying(&self, point: &[Coordinate]) -> Map<String, Value> {
        self.dimensions
            .iter()
            .zip(point)
            .map(|(dimension, coordinate)| {
                (dimension.param.clone(), dimension.range.value(*coordinate))
            })
            .collect()
    }

    /// All parameters at a point, by name.
    pub fn params(&self, point: &[Coordinate]) -> Map<String, Value> {
        let mut params = self.fixed.clone();
        params.extend(self.varying(point));
        params
    }

    /// The point with these values, as [`param_text`] writes them; `None` when the space does
    /// not have it.
    pub fn point<'t>(&self, text: impl Fn(&str) -> Option<&'t str>) -> Option<Point> {
        self.dimensions
            .iter()
            .map(|dimension| dimension.range.coordinate(text(&dimension.param)?))
            .collect()
    }

    /// Points that between them show whether a parameter can take the values of its
    /// space: both ends and a place within that is no round number, or each choice.
    pub fn probes(&self) -> Vec<Point> {
        let sets: Vec<Vec<Coordinate>> = self
            .dimensions
            .iter()
            .map(|dimension| dimension.range.probes())
            .collect();
        let most = sets.iter().map(Vec::len).max().unwrap_or(1);
        (0..most)
            .map(|probe| sets.iter().map(|set| set[probe % set.len()]).collect())
            .collect()
    }
}

impl Range {
    /// The value of a coordinate.
    pub fn value(&self, coordinate: Coordinate) -> Value {
        match (self, coordinate) {
            (Self::Choice(values), Coordinate::Whole(position)) => usize::try_from(position)
                .ok()
                .and_then(|position| values.get(position))
                .cloned()
                .unwrap_or(Value::Null),
            (Self::Quantized { low, step, .. }, Coordinate::Whole(steps)) => {
                number(low + steps as f64 * step)
            }
            (_, Coordinate::Whole(value)) => Value::from(value),
            (_, Coordinate::Real(value)) => Value::from(value),
        }
    }

    /// The coordinate of a value, as [`param_text`] writes it, if it lies in the range.
    pub fn coordinate(&self, text: &str) -> Option<Coordinate> {
        let within = |low: f64, high: f64| {
            let value = text.parse::<f64>().ok()?;
            (low <= value && value <= high).then_some(Coordinate::Real(value))
        };
        match self {
            Self::Int { low, high } => {
                let value = text.parse::<i64>().ok()?;
                (low..=high)
                    .contains(&&value)
                    .then_some(Coordinate::Whole(value))
            }
            Self::Float { low, high } | Self::Log { low, high } => within(*low, *high),
            Self::Choice(values) => {
                let place = values.iter().position(|value| param_text(value) == text)?;
                i64::try_from(place).ok().map(Coordinate::Whole)
            }
            Self::Quantized { low, step, last } => {
                let steps = (text.parse::<f64>().ok()? - low) / step;
                let near = Coordinate::Whole(steps.round() as i64);
                let on_grid = (-0.5..*last as f64 + 0.5).contains(&steps)
                    && param_text(&self.value(near)) == text;
                on_grid.then_some(near)
            }
        }
    }

    fn probes(&self) -> Vec<Coordinate> {
        // The golden section: no ends' mean, geometric mean or simple fraction.
        const WITHIN: f64 = 0.381_966_011_250_105;
        match self {
            Self::Int { low, high } => vec![Coordinate::Whole(*low), Coordinate::Whole(*high)],
            Self::Float { low, high } => [*low, *high, low + (high - low) * WITHIN]
                .map(Coordinate::Real)
                .to_vec(),
            Self::Log { low, high } => [*low, *high, low * (high / low).powf(WITHIN)]
                .map(Coordinate::Real)
                .to_vec(),
            Self::Choice(values) => (0..values.len() as i64).map(Coordinate::Whole).collect(),
            Self::Quantized { last, .. } => {
                [0, *last, (*last).min(1)].map(Coordinate::Whole).to_vec()
            }
        }
    }
}

/// A parameter's value as a run records it: text without quotes, all else as JSON. A number
/// is written so that reading it gives the same number again.
pub fn param_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A number without the dust of binary fractions (0.1 + 2 * 0.1), whole where it is.
fn number(value: f64) -> Value {
    let clean = (value * 1e12).round() / 1e12;
    if clean.fract() == 0.0 && clean.abs() < 9e15 {
        Value::from(clean as i64)
    } else {
        Number::from_f64(clean).map_or(Value::Null, Value::Number)
    }
}

fn parse_range(kind: &str, range: &Value) -> Result<Range, String> {
    match kind {
        "int" => parse_int(range),
        "float" => {
            let [low, high] = reals(range, "float: [low, high]")?;
            ordered(low, high)?;
            Ok(Range::Float { low, high })
        }
        "log" => {
            let [low, high] = reals(range, "log: [low, high]")?;
            ordered(low, high)?;
            if low <= 0.0 {
                return Err(format!(
                    "`log` needs positive ends, not {low}; use `float` to include 0"
                ));
            }
            Ok(Range::Log { low, high })
        }
        "quniform" => parse_quantized(range),
        _ => match range.as_array() {
            Some(values) if !values.is_empty() => Ok(Range::Choice(values.clone())),
            _ => Err("`choice` needs a list of at least one value".to_owned()),
        },
    }
}

fn parse_int(range: &Value) -> Result<Range, String> {
    let ends: Option<Vec<i64>> = range
        .as_array()
        .filter(|ends| ends.len() == 2)
        .and_then(|ends| ends.iter().map(Value::as_i64).collect());
    match ends.as_deref() {
        Some(&[low, high]) if low <= high => Ok(Range::Int { low, high }),
        Some(&[low, high]) => Err(format!("the lower end {low} is above the upper end {high}")),
        _ => Err(format!(
            "must be written `int: [low, high]` with two whole numbers, not {range}"
        )),
    }
}

fn parse_quantized(range: &Value) -> Result<Range, String> {
    let [low, high, step] = reals(range, "quniform: [low, high, step]")?;
    ordered(low, high)?;
    if step <= 0.0 {
        return Err(format!("`quniform` needs a step above 0, not {step}"));
    }
    // An upper end that rounding puts just beyond the last step still counts.
    let steps = ((high - low) / step + 1e-9).floor();
    if steps > MAX_STEPS {
        return Err(format!(
            "`quniform` has more than {MAX_STEPS} steps; use `float`"
        ));
    }
    Ok(Range::Quantized {
        low,
        step,
        last: steps as i64,
    })
}

fn reals<const N: usize>(range: &Value, form: &str) -> Result<[f64; N], String> {
    range
        .as_array()
        .and_then(|values| values.iter().map(Value::as_f64).collect::<Option<Vec<_>>>())
        .and_then(|values| <[f64; N]>::try_from(values).ok())
        .ok_or_else(|| format!("must be written `{form}` with {N} numbers, not {range}"))
}

fn ordered(low: f64, high: f64) -> Result<(), String> {
    if low <= high {
        Ok(())
    } else {
        Err(format!("the lower end {low} is above the upper end {high}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Coordinate, Range, SearchSpace};

    fn parse(value: serde_json::Value) -> Result<SearchSpace, Vec<crate::ParamError>> {
        SearchSpace::parse(value.as_object().unwrap())
    }

    #[test]
    fn only_a_map_with_one_known_key_is_a_space() {
        let space = parse(json!({
            "max_depth": {"int": [4, 100]},
            "rate": {"log": [0.05, 1]},
            "weights": {"int": 1, "float": 2},
            "other": {"mean": [1, 2]},
            "fixed": 7,
        }))
        .unwrap();
        let names: Vec<&str> = space.dimensions.iter().map(|d| d.param.as_str()).collect();
        assert_eq!(names, ["max_depth", "rate"]);
        assert_eq!(space.fixed.len(), 3);
        assert_eq!(space.dimensions[0].range, Range::Int { low: 4, high: 100 });
    }

    #[test]
    fn every_bad_space_is_reported() {
        let errors = parse(json!({
            "a": {"int": [4.5, 6]},
            "b": {"int": [6, 4]},
            "c": {"log": [0, 1]},
            "d": {"choice": []},
            "e": {"quniform": [0, 1, 0]},
            "f": {"float": [0]},
        }))
        .unwrap_err();
        let params: Vec<&str> = errors.iter().map(|error| error.param.as_str()).collect();
        assert_eq!(params, ["a", "b", "c", "d", "e", "f"]);
        assert!(errors[2].message.contains("positive"));
    }

    #[test]
    fn quantized_values_are_clean_and_reach_the_upper_end() {
        let space = parse(json!({"x": {"quniform": [0.1, 0.7, 0.1]}})).unwrap();
        let range = &space.dimensions[0].range;
        assert_eq!(
            *range,
            Range::Quantized {
                low: 0.1,
                step: 0.1,
                last: 6
            }
        );
        assert_eq!(range.value(Coordinate::Whole(2)), json!(0.3));
        assert_eq!(range.value(Coordinate::Whole(6)), json!(0.7));
        let whole = parse(json!({"x": {"quniform": [4, 10, 2]}})).unwrap();
        assert_eq!(
            whole.dimensions[0].range.value(Coordinate::Whole(3)),
            json!(10)
        );
    }

    #[test]
    fn a_point_is_found_again_from_the_texts_of_its_values() {
        let space = parse(json!({
            "depth": {"int": [4, 100]},
            "rate": {"log": [0.05, 1]},
            "policy": {"choice": ["a", 7, null]},
            "q": {"quniform": [0.1, 0.7, 0.1]},
        }))
        .unwrap();
        let points = [
            vec![
                Coordinate::Whole(4),
                Coordinate::Real(0.1 + 0.2),
                Coordinate::Whole(0),
                Coordinate::Whole(2),
            ],
            vec![
                Coordinate::Whole(100),
                Coordinate::Real(1.0 / 3.0),
                Coordinate::Whole(2),
                Coordinate::Whole(6),
            ],
        ];
        for point in points {
            let texts: std::collections::BTreeMap<String, String> = space
                .varying(&point)
                .iter()
                .map(|(name, value)| (name.clone(), super::param_text(value)))
                .collect();
            let found = space.point(|name| texts.get(name).map(String::as_str));
            assert_eq!(found, Some(point));
        }
        let found = |depth: &str, rate: &str, policy: &str, q: &str| {
            space.point(|name| {
                Some(match name {
                    "depth" => depth,
                    "rate" => rate,
                    "policy" => policy,
                    _ => q,
                })
            })
        };
        assert!(found("4", "0.5", "7", "0.3").is_some());
        assert_eq!(found("3", "0.5", "7", "0.3"), None);
        assert_eq!(found("4", "2", "7", "0.3"), None);
        assert_eq!(found("4", "0.5", "b", "0.3"), None);
        assert_eq!(found("4", "0.5", "7", "0.35"), None);
        assert_eq!(space.point(|_| None), None);
    }

    #[test]
    fn probes_cover_every_choice_and_both_ends() {
        let space = parse(json!({
            "a": {"int": [4, 100]},
            "b": {"choice": ["x", "y", "z"]},
        }))
        .unwrap();
        let seen: Vec<_> = space.probes().iter().map(|p| space.varying(p)).collect();
        for (name, value) in [("a", json!(4)), ("a", json!(100)), ("b", json!("z"))] {
            assert!(seen.iter().any(|params| params[name] == value), "{name}");
        }
    }
}
