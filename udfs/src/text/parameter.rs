//! What can be said in a call besides texts and tokenizer, and how it is read.

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator, Value, ValueWithSpan};
use sluice_lake::sql::string_value;

use super::options::{Options, Padding, Truncation};

/// Something that can be said in a call, as a literal.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it can be, for messages.
    pub(crate) wanted: &'static str,
    /// Reads it into the options.
    pub(crate) read: fn(&mut Options, &Literal) -> Option<()>,
}

/// A value that is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// A whole number, 0 or more.
    Count(usize),
    /// `TRUE` or `FALSE`.
    Flag(bool),
    /// A text.
    Word(String),
}

impl Literal {
    /// The value of an expression, when it is one of these.
    pub(crate) fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Nested(inner) => Self::of(inner),
            Expr::UnaryOp {
                op: UnaryOperator::Plus,
                expr,
            } => Self::of(expr),
            Expr::Value(ValueWithSpan { value, .. }) => match value {
                Value::Number(digits, _) => digits.to_string().parse().ok().map(Self::Count),
                Value::Boolean(flag) => Some(Self::Flag(*flag)),
                text => string_value(text).map(|text| Self::Word(text.to_owned())),
            },
            _ => None,
        }
    }

    fn count(&self) -> Option<usize> {
        match self {
            Self::Count(count) => Some(*count),
            Self::Flag(_) | Self::Word(_) => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Count(_) | Self::Word(_) => None,
        }
    }
}

/// A number of 1 or more.
fn at_least_one(literal: &Literal) -> Option<usize> {
    literal.count().filter(|&count| count > 0)
}

pub(crate) const MAX_LENGTH: Parameter = Parameter {
    name: "max_length",
    wanted: "a whole number of 1 or more",
    read: |options, literal| {
        options.max_length = Some(at_least_one(literal)?);
        Some(())
    },
};

pub(crate) const TRUNCATION: Parameter = Parameter {
    name: "truncation",
    wanted: "TRUE, FALSE, 'longest_first', 'only_first', 'only_second' or 'do_not_truncate'",
    read: |options, literal| {
        options.truncation = Some(match literal {
            Literal::Flag(true) => Truncation::LongestFirst,
            Literal::Flag(false) => Truncation::DoNotTruncate,
            Literal::Word(word) => match word.as_str() {
                "longest_first" => Truncation::LongestFirst,
                "only_first" => Truncation::OnlyFirst,
                "only_second" => Truncation::OnlySecond,
                "do_not_truncate" => Truncation::DoNotTruncate,
                _ => return None,
            },
            Literal::Count(_) => return None,
        });
        Some(())
    },
};

pub(crate) const PADDING: Parameter = Parameter {
    name: "padding",
    wanted: "'max_length', FALSE or 'do_not_pad' (rows come in no batch with a longest text)",
    read: |options, literal| {
        options.padding = Some(match literal {
            Literal::Flag(false) => Padding::DoNotPad,
            Literal::Word(word) => match word.as_str() {
                "max_length" => Padding::MaxLength,
                "do_not_pad" => Padding::DoNotPad,
                _ => return None,
            },
            Literal::Flag(true) | Literal::Count(_) => return None,
        });
        Some(())
    },
};

pub(crate) const OFFSETS: Parameter = Parameter {
    name: "offsets",
    wanted: "TRUE or FALSE",
    read: |options, literal| {
        options.offsets = Some(literal.flag()?);
        Some(())
    },
};

pub(crate) const ADD_SPECIAL_TOKENS: Parameter = Parameter {
    name: "add_special_tokens",
    wanted: "TRUE or FALSE",
    read: |options, literal| {
        options.add_special_tokens = Some(literal.flag()?);
        Some(())
    },
};

pub(crate) const SKIP_SPECIAL_TOKENS: Parameter = Parameter {
    name: "skip_special_tokens",
    wanted: "TRUE or FALSE",
    read: |options, literal| {
        options.skip_special_tokens = Some(literal.flag()?);
        Some(())
    },
};

pub(crate) const SIZE: Parameter = Parameter {
    name: "size",
    wanted: "a whole number of 1 or more",
    read: |options, literal| {
        options.size = Some(at_least_one(literal)?);
        Some(())
    },
};

pub(crate) const STRIDE: Parameter = Parameter {
    name: "stride",
    wanted: "a whole number, 0 or more",
    read: |options, literal| {
        options.stride = Some(literal.count()?);
        Some(())
    },
};
