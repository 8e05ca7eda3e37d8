//! `embed(model, text)`: where a text stands among others, as a vector of length 1.
//!
//! The model is a registered version whose folder holds an encoder: a text model that was
//! fitted, or one that was imported. [`bind_encoders`] has replaced its address with that of
//! one version before planning.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::new_empty_array;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{exec_err, internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::sql::sqlparser::ast::{FunctionArguments, Spanned, Value};
use sluice_lake::sql::{SqlError, SqlErrorKind, SqlSpan, Statement, TableSchemas, visit_calls_mut};
use sluice_learn::TextEmbedder;
use sluice_learn::sql_type::SqlType;

use super::ModelSet;
use super::address::{ModelAddress, as_of_argument, moment};
use super::bind::{address_of, addresses_in, no_address};

/// The function's name in SQL.
pub(super) const EMBED: &str = "embed";

/// The encoders that a statement asks for vectors, and where their addresses stand.
///
/// # Errors
/// A call whose first argument is not a text, or whose `as_of` is not a moment.
pub fn encoder_addresses(
    statement: &Statement,
) -> Result<Vec<(ModelAddress, Option<SqlSpan>)>, SqlError> {
    addresses_in(statement, &[EMBED])
}

/// Rewrites every call of `embed` to the versions in `versions`: the address of one version,
/// by the text of each of the statement's [`encoder_addresses`].
///
/// # Errors
/// A call that does not have a model and one text.
pub fn bind_encoders(
    statement: &mut Statement,
    schemas: &TableSchemas,
    versions: &BTreeMap<String, String>,
) -> Result<(), SqlError> {
    visit_calls_mut(statement, EMBED, schemas, &mut |function, scope| {
        let place = scope.place(function.name.span());
        let FunctionArguments::List(list) = &mut function.args else {
            return Err(no_address(EMBED, place));
        };
        let mut moments = list.args.iter();
        let as_of_ms = moments.find_map(|argument| moment(as_of_argument(argument)?));
        list.args
            .retain(|argument| as_of_argument(argument).is_none());
        let [first, _text] = list.args.as_mut_slice() else {
            let message = format!("`{EMBED}` takes a model and one text");
            let help = format!("write {EMBED}('models:/name@alias', text)");
            let error = SqlError::new(SqlErrorKind::Planning, message).at(place);
            return Err(error.with_help(Some(help)));
        };
        let (written, literal) = address_of(first).ok_or_else(|| no_address(EMBED, place))?;
        let address = ModelAddress { written, as_of_ms }.to_string();
        let Some(version) = versions.get(&address) else {
            let message = format!("the model `{address}` was not resolved");
            return Err(SqlError::new(SqlErrorKind::Planning, message).at(place));
        };
        *literal = Value::SingleQuotedString(version.clone());
        Ok(())
    })
}

/// `embed`, applying the encoders of `models`.
pub(crate) fn embed(models: &Arc<ModelSet>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Embed {
        signature: Signature::any(2, Volatility::Immutable),
        models: Arc::clone(models),
    })
}

#[derive(Debug)]
struct Embed {
    signature: Signature,
    models: Arc<ModelSet>,
}

impl PartialEq for Embed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.models, &other.models)
    }
}

impl Eq for Embed {}

impl Hash for Embed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.models).hash(state);
    }
}

/// Whether values of a type are texts, or all missing.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

impl ScalarUDFImpl for Embed {
    fn name(&self) -> &str {
        EMBED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("the type follows from its arguments' fields")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if let Some(text) = args.arg_fields.get(1)
            && !is_text(text.data_type())
        {
            return plan_err!("{EMBED} takes a text, not {}", SqlType(text.data_type()));
        }
        Ok(Arc::new(Field::new(EMBED, TextEmbedder::data_type(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(address), text] = args.args.as_slice() else {
            return exec_err!("the first argument of {EMBED} is a model's address in quotes");
        };
        let encoder = match address.try_as_str().flatten() {
            Some(address) => self.models.encoder(address),
            None => None,
        };
        let Some(encoder) = encoder else {
            return exec_err!("the model {address} was not resolved before planning");
        };
        if args.number_rows == 0 {
            return Ok(ColumnarValue::Array(new_empty_array(
                args.return_field.data_type(),
            )));
        }
        // One vector for all rows where the text is one.
        let scalar = matches!(text, ColumnarValue::Scalar(_));
        let rows = if scalar { 1 } else { args.number_rows };
        let vectors = encoder
            .embed(&text.to_array(rows)?)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        if scalar {
            let vector = datafusion::common::ScalarValue::try_from_array(&vectors, 0)?;
            return Ok(ColumnarValue::Scalar(vector));
        }
        Ok(ColumnarValue::Array(Arc::new(vectors)))
    }
}
