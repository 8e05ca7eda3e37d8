//! What a call of `predict` says about its model: the address, and the moment at which it
//! is read.

use std::fmt;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use datafusion::sql::sqlparser::ast::{DataType, Expr, FunctionArg, TypedString, Value};
use sluice_lake::registry::{ModelUri, RegistryError, moment_text};
use sluice_lake::sql::string_value;

/// The name of the argument that holds the moment.
pub(super) const AS_OF: &str = "as_of";

const NANOSECONDS_PER_MILLISECOND: i64 = 1_000_000;

/// A model's address as a call of `predict` has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelAddress {
    /// The first argument: `models:/wine_quality@production`.
    pub written: String,
    /// `as_of => TIMESTAMP '...'`, in milliseconds since 1970 UTC: what the alias named then
    /// is meant.
    pub as_of_ms: Option<i64>,
}

impl ModelAddress {
    /// What the registry is to resolve.
    ///
    /// # Errors
    /// [`RegistryError::InvalidUri`] when the address is none, or when a numbered version
    /// has a moment.
    pub fn uri(&self) -> Result<ModelUri, RegistryError> {
        let uri: ModelUri = self.written.parse()?;
        match self.as_of_ms {
            None => Ok(uri),
            Some(time_ms) => uri.as_of(time_ms),
        }
    }
}

/// The text that stands for the address in maps and messages.
impl fmt::Display for ModelAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.written)?;
        match self.as_of_ms {
            None => Ok(()),
            Some(time_ms) => write!(out, " as of {}", moment_text(time_ms)),
        }
    }
}

/// The expression of an argument, if it is `as_of => ...`.
pub(super) fn as_of_argument(argument: &FunctionArg) -> Option<&Expr> {
    use datafusion::sql::sqlparser::ast::FunctionArgExpr;
    match argument {
        FunctionArg::Named {
            name,
            arg: FunctionArgExpr::Expr(value),
            ..
        } if name.value.eq_ignore_ascii_case(AS_OF) => Some(value),
        FunctionArg::ExprNamed {
            name: Expr::Identifier(name),
            arg: FunctionArgExpr::Expr(value),
            ..
        } if name.value.eq_ignore_ascii_case(AS_OF) => Some(value),
        _ => None,
    }
}

/// The moment that a literal names, in milliseconds since 1970 UTC; `None` when it is no
/// literal of a moment. A text without an offset is UTC.
pub(super) fn moment(expr: &Expr) -> Option<i64> {
    let text = match expr {
        Expr::TypedString(TypedString {
            data_type: DataType::Timestamp(..) | DataType::Date | DataType::Datetime(_),
            value,
            ..
        }) => string_value(&value.value)?,
        Expr::Value(value) => match &value.value {
            literal @ Value::SingleQuotedString(_) => string_value(literal)?,
            _ => return None,
        },
        Expr::Nested(inner) => return moment(inner),
        _ => return None,
    };
    let nanoseconds = string_to_timestamp_nanos(text).ok()?;
    Some(nanoseconds.div_euclid(NANOSECONDS_PER_MILLISECOND))
}
