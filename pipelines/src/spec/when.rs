//! The grammar of `when:`: whether an alias moves to a new version.
//!
//! ```text
//! when       = condition { "and" condition }
//! condition  = "no" "champion" | operand comparison operand
//! comparison = ">" | ">=" | "<" | "<="
//! operand    = number | split "." metric | "champion" "." "test" "." metric
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use serde_json::{Value as Json, json};

use super::decode::{Context, Decode};
use super::metric::{Metric, SplitPart};
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Spanned};
use crate::yaml::{Node, NodeKind};

/// Conditions that must all hold for the alias to move.
#[derive(Debug, Clone)]
pub struct When {
    /// The text, with variables filled in.
    pub text: Spanned<String>,
    /// The conditions; at least one.
    pub conditions: Vec<Spanned<Condition>>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// `no champion`: the alias names no version yet.
    NoChampion,
    /// A comparison of two figures.
    Compare {
        /// The left side.
        left: Operand,
        /// How they compare.
        comparison: Comparison,
        /// The right side.
        right: Operand,
    },
}

impl Condition {
    /// The metrics that it names, of either version.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        let sides = match self {
            Self::NoChampion => [None, None],
            Self::Compare { left, right, .. } => [Some(left), Some(right)],
        };
        sides.into_iter().flatten().filter_map(|side| match side {
            Operand::Challenger(metric) | Operand::Champion(metric) => Some(metric),
            Operand::Number(_) => None,
        })
    }
}

/// A figure in a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A metric of the new version, such as `test.auc`.
    Challenger(Metric),
    /// A metric of the version that the alias names, such as `champion.test.auc`.
    Champion(Metric),
    /// A number.
    Number(f64),
}

/// How two figures compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Comparison {
    /// Whether it holds; NaN on either side makes it false.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        let Some(order) = left.partial_cmp(&right) else {
            return false;
        };
        match self {
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        })
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Challenger(metric) => metric.fmt(f),
            Self::Champion(metric) => write!(f, "champion.{metric}"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChampion => f.write_str("no champion"),
            Self::Compare {
                left,
                comparison,
                right,
            } => write!(f, "{left} {comparison} {right}"),
        }
    }
}

impl When {
    /// The conditions' champion metrics, which tell what to re-score.
    pub fn champion_metrics(&self) -> impl Iterator<Item = &Metric> {
        self.conditions
            .iter()
            .flat_map(|condition| match &condition.value {
                Condition::NoChampion => [None, None],
                Condition::Compare { left, right, .. } => {
                    [champion_metric(left), champion_metric(right)]
                }
            })
            .flatten()
    }

    /// True when some condition reads the champion.
    #[must_use]
    pub fn reads_champion(&self) -> bool {
        self.champion_metrics().next().is_some()
    }
}

fn champion_metric(operand: &Operand) -> Option<&Metric> {
    match operand {
        Operand::Champion(metric) => Some(metric),
        _ => None,
    }
}

/// A diagnostic without a place, and the bytes of the text it is about.
type Problem = Box<(Diagnostic, Range<usize>)>;

fn problem(message: impl Into<String>, at: Range<usize>) -> Problem {
    Box::new((Diagnostic::error("bad_when", message), at))
}

fn problem_with_help(message: String, at: Range<usize>, help: impl Into<String>) -> Problem {
    Box::new((Diagnostic::error("bad_when", message).help(help), at))
}

const FORMS: &str =
    "write `no champion`, `test.auc > champion.test.auc` or `test.auc >= 0.8`, joined by `and`";

/// Cuts into words and comparison signs, each with its bytes.
fn tokens(text: &str) -> Vec<(&str, Range<usize>)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let is_sign = |c: char| matches!(c, '<' | '>' | '=' | '!');
        let len = if rest.starts_with(char::is_whitespace) {
            at += first;
            continue;
        } else if rest.starts_with(is_sign) {
            rest.find(|c| !is_sign(c)).unwrap_or(rest.len())
        } else {
            rest.find(|c: char| c.is_whitespace() || is_sign(c))
                .unwrap_or(rest.len())
        };
        tokens.push((&rest[..len], at..at + len));
        at += len;
    }
    tokens
}

type ParsedCondition = (Condition, Range<usize>);

fn parse(text: &str) -> Result<Vec<ParsedCondition>, Problem> {
    let tokens = tokens(text);
    let mut conditions = Vec::new();
    for part in tokens.split(|(word, _)| word.eq_ignore_ascii_case("and")) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else {
            return Err(problem("a condition is missing", 0..text.len()));
        };
        let range = first.1.start..last.1.end;
        conditions.push((condition(part, range.clone())?, range));
    }
    Ok(conditions)
}

fn condition(part: &[(&str, Range<usize>)], whole: Range<usize>) -> Result<Condition, Problem> {
    match part {
        [(no, _), (champion, _)]
            if no.eq_ignore_ascii_case("no") && champion.eq_ignore_ascii_case("champion") =>
        {
            Ok(Condition::NoChampion)
        }
        [left, sign, right] => {
            let comparison = comparison(sign.0, sign.1.clone())?;
            let condition = Condition::Compare {
                left: operand(left.0, left.1.clone())?,
                comparison,
                right: operand(right.0, right.1.clone())?,
            };
            match &condition {
                Condition::Compare {
                    left: Operand::Number(_),
                    right: Operand::Number(_),
                    ..
                } => Err(problem("this compares two numbers and no metric", whole)),
                Condition::Compare { left, right, .. } if left == right => {
                    Err(problem("this compares a figure with itself", whole))
                }
                _ => Ok(condition),
            }
        }
        _ => Err(problem("this is no condition", whole)),
    }
}

fn comparison(sign: &str, at: Range<usize>) -> Result<Comparison, Problem> {
    match sign {
        ">" => Ok(Comparison::Greater),
        ">=" => Ok(Comparison::GreaterOrEqual),
        "<" => Ok(Comparison::Less),
        "<=" => Ok(Comparison::LessOrEqual),
        other => Err(problem_with_help(
            format!("`{other}` is no comparison here"),
            at,
            "use `>`, `>=`, `<` or `<=`",
        )),
    }
}

fn operand(word: &str, at: Range<usize>) -> Result<Operand, Problem> {
    if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Operand::Number(number)),
            _ => Err(problem(format!("`{word}` is no number"), at)),
        };
    }
    let Some(metric) = word.strip_prefix("champion.") else {
        return Metric::parse(word)
            .map(Operand::Challenger)
            .map_err(|diagnostic| Box::new((*diagnostic, at)));
    };
    match Metric::parse(metric) {
        Ok(metric) if metric.split == SplitPart::Test => Ok(Operand::Champion(metric)),
        Ok(metric) => Err(problem_with_help(
            format!("the champion has no `{metric}`"),
            at,
            format!(
                "it is scored again on the new version's test rows: `champion.test.{}`",
                metric.name
            ),
        )),
        Err(diagnostic) => Err(Box::new((*diagnostic, at))),
    }
}

impl Decode for When {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = Spanned::<String>::decode(node, cx)?;
        let NodeKind::Scalar(scalar) = &node.kind else {
            return None;
        };
        // Bytes of the text are bytes of the scalar unless a variable was filled in.
        let place = |range: Range<usize>| -> Span {
            if text.value == scalar.text {
                scalar.map.to_source(range)
            } else {
                node.span
            }
        };
        match parse(&text) {
            Ok(parsed) => {
                let conditions = parsed
                    .into_iter()
                    .map(|(condition, range)| Spanned::new(condition, place(range)))
                    .collect();
                Some(Self { text, conditions })
            }
            Err(problem) => {
                let (diagnostic, range) = *problem;
                let diagnostic = match diagnostic.help {
                    Some(_) => diagnostic,
                    None => diagnostic.help(FORMS),
                };
                cx.report(diagnostic, place(range));
                None
            }
        }
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({
            "type": "string",
            "examples": ["no champion", "test.auc > champion.test.auc", "test.auc >= 0.8"]
        })
    }
}
