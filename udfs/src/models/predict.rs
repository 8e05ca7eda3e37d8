//! `predict(model, column, ...)`: a model applied to the rows of a query.
//!
//! Execution never looks at names: [`super::bind`] has replaced the model's address with
//! that of one version, and put the columns into the order of the model's features.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, exec_err, internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::{ModelSet, Predictor};

/// Name of the function in SQL.
pub const NAME: &str = "predict";

/// The function, applying the models of `models`.
pub(crate) fn udf(models: &Arc<ModelSet>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Predict {
        signature: Signature::variadic_any(Volatility::Immutable),
        models: Arc::clone(models),
    })
}

#[derive(Debug)]
struct Predict {
    signature: Signature,
    models: Arc<ModelSet>,
}

impl PartialEq for Predict {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.models, &other.models)
    }
}

impl Eq for Predict {}

impl Hash for Predict {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.models).hash(state);
    }
}

impl Predict {
    fn model(&self, address: &ScalarValue) -> Result<Arc<dyn Predictor>> {
        let Some(Some(address)) = address.try_as_str() else {
            return plan_err!(
                "the first argument of predict is a model's address in quotes, such as 'models:/wine_quality@production'"
            );
        };
        match self.models.get(address) {
            Some(model) => Ok(model),
            None => plan_err!("the model {address} was not resolved before planning"),
        }
    }
}

impl ScalarUDFImpl for Predict {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("predict's type follows from its arguments' fields")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let Some(Some(address)) = args.scalar_arguments.first() else {
            return plan_err!(
                "the first argument of predict is a model's address in quotes, not a column"
            );
        };
        let model = self.model(address)?;
        let given = &args.arg_fields[1..];
        let features = model.features();
        if given.len() != features.len() {
            return plan_err!(
                "the model {address} takes {} columns, not {}",
                features.len(),
                given.len()
            );
        }
        for (feature, field) in features.iter().zip(given) {
            if !feature.accepts(field.data_type()) {
                return plan_err!(
                    "column {} is {}, but the model {address} wants {}",
                    feature.name,
                    field.data_type(),
                    feature.needs()
                );
            }
        }
        Ok(Arc::new(Field::new(NAME, DataType::Float64, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((ColumnarValue::Scalar(address), columns)) = args.args.split_first() else {
            return exec_err!("the first argument of predict is a model's address in quotes");
        };
        let model = self.model(address)?;
        let columns: Vec<ArrayRef> = columns
            .iter()
            .map(|column| column.to_array(args.number_rows))
            .collect::<Result<_>>()?;
        let scores = model
            .predict(&columns, args.number_rows)
            .map_err(DataFusionError::External)?;
        Ok(ColumnarValue::Array(Arc::new(Float64Array::from(scores))))
    }
}
