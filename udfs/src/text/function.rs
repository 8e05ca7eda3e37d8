//! Settled calls of text functions, executed.
//!
//! A partition encodes on its own thread, so that a query has as many threads as partitions.
//! What equal values of a dictionary give is computed once.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::options::Options;
use super::{LoadedTokenizer, TextFunction};
use crate::models::ModelSet;

/// A text function that finds its tokenizers in `models`.
pub(crate) fn udf(function: &'static TextFunction, models: &Arc<ModelSet>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Settled {
        function,
        signature: Signature::variadic_any(Volatility::Immutable),
        models: Arc::clone(models),
    })
}

#[derive(Debug)]
struct Settled {
    function: &'static TextFunction,
    signature: Signature,
    models: Arc<ModelSet>,
}

impl PartialEq for Settled {
    fn eq(&self, other: &Self) -> bool {
        self.function.bound == other.function.bound && Arc::ptr_eq(&self.models, &other.models)
    }
}

impl Eq for Settled {}

impl Hash for Settled {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.bound.hash(state);
        Arc::as_ptr(&self.models).hash(state);
    }
}

impl Settled {
    /// The tokenizer's address and the options: the last two arguments of a settled call.
    fn settled<'a>(&self, last: [Option<&'a ScalarValue>; 2]) -> Result<(&'a str, Options)> {
        let [Some(address), Some(options)] = last.map(|value| value?.try_as_str().flatten()) else {
            return self.not_here();
        };
        match serde_json::from_str(options) {
            Ok(options) => Ok((address, options)),
            Err(_) => self.not_here(),
        }
    }

    fn not_here<T>(&self) -> Result<T> {
        plan_err!(
            "`{}` names a tokenizer, which cannot be found here: use it in a query, in the SQL of a table or in an expectation",
            self.function.name
        )
    }

    fn tokenizer(&self, address: &str) -> Result<Arc<LoadedTokenizer>> {
        match self.models.tokenizers().get(address) {
            Some(tokenizer) => Ok(tokenizer),
            None => plan_err!("the tokenizer `{address}` has not been made yet"),
        }
    }
}

impl ScalarUDFImpl for Settled {
    #[expect(
        clippy::misnamed_getters,
        reason = "the plan knows a settled call by the name that it is bound to"
    )]
    fn name(&self) -> &str {
        self.function.bound
    }

    /// As the call was written, with the version that it is settled to.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let text = |expr: &Expr| match expr {
            Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
            _ => None,
        };
        let (inputs, settled) = args.split_at(args.len().saturating_sub(2));
        let mut parts: Vec<String> = inputs
            .iter()
            .map(|input| input.schema_name().to_string())
            .collect();
        let settled: Vec<Option<String>> = settled.iter().map(text).collect();
        if let [Some(address), Some(options)] = &settled[..] {
            parts.push(format!("'{address}'"));
            let options: Options = serde_json::from_str(options).unwrap_or_default();
            parts.push(options.shown());
            parts.retain(|part| !part.is_empty());
        }
        Ok(format!("{}({})", self.function.name, parts.join(", ")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("the type follows from its arguments' fields")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let Some(inputs) = args.arg_fields.len().checked_sub(2).filter(|&n| n > 0) else {
            return self.not_here();
        };
        let last = [
            args.scalar_arguments[inputs],
            args.scalar_arguments[inputs + 1],
        ];
        let (address, options) = self.settled(last)?;
        for field in &args.arg_fields[..inputs] {
            if let Err(words) = (self.function.takes)(field.data_type()) {
                return plan_err!("`{}` {words}", self.function.name);
            }
        }
        // Lengths that cannot be are told before any row is read.
        if let Some(tokenizer) = self.models.tokenizers().get(address)
            && let Err(error) = tokenizer.with_lengths(&options, inputs > 1)
        {
            return plan_err!("`{}`: {error}", self.function.name);
        }
        let data_type = (self.function.data_type)(&options);
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(inputs) = args.args.len().checked_sub(2) else {
            return self.not_here();
        };
        let (inputs, settled) = args.args.split_at(inputs);
        let last = [&settled[0], &settled[1]].map(|value| match value {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        });
        let (address, options) = self.settled(last)?;
        let tokenizer = self.tokenizer(address)?;
        let all_scalar = inputs
            .iter()
            .all(|input| matches!(input, ColumnarValue::Scalar(_)));
        let rows = if all_scalar { 1 } else { args.number_rows };
        let inputs: Vec<ArrayRef> = inputs
            .iter()
            .map(|input| input.to_array(rows))
            .collect::<Result<_>>()?;
        let answers = self.answers(&tokenizer, &options, &inputs, args.return_field.data_type())?;
        Ok(match all_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?),
            false => ColumnarValue::Array(answers),
        })
    }
}

impl Settled {
    fn answers(
        &self,
        tokenizer: &LoadedTokenizer,
        options: &Options,
        inputs: &[ArrayRef],
        data_type: &DataType,
    ) -> Result<ArrayRef> {
        let rows = inputs.first().map_or(0, |input| input.len());
        if inputs.iter().any(|input| input.data_type().is_null()) {
            return Ok(new_null_array(data_type, rows));
        }
        if let [input] = inputs
            && let Some(dictionary) = input.as_any_dictionary_opt()
            && dictionary.values().len() <= rows
        {
            let of_values = [Arc::clone(dictionary.values())];
            let answers = self.answers(tokenizer, options, &of_values, data_type)?;
            return Ok(take(&answers, dictionary.keys(), None)?);
        }
        let plain: Vec<ArrayRef> = inputs
            .iter()
            .map(|input| match input.data_type() {
                DataType::Dictionary(_, values) => Ok(cast(input, values)?),
                _ => Ok(Arc::clone(input)),
            })
            .collect::<Result<_>>()?;
        (self.function.apply)(tokenizer, options, &plain).map_err(DataFusionError::External)
    }
}
