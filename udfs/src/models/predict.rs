//! `predict(model, column, ...)`, `predict_label` and `predict_scores`: a model applied to the
//! rows of a query.
//!
//! Execution never looks at names: [`super::bind`] has replaced the model's address with
//! that of one version, and put the columns into the order of the model's features.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, exec_err, internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};

use sluice_learn::sql_type::SqlType;

use super::answer::no_classes;
use super::{Answer, ModelSet, Predictor};

/// `predict`, applying the models of `models`.
pub(crate) fn value(models: &Arc<ModelSet>) -> ScalarUDF {
    udf(Answer::Value, models)
}

/// `predict_label`, applying the models of `models`.
pub(crate) fn label(models: &Arc<ModelSet>) -> ScalarUDF {
    udf(Answer::Label, models)
}

/// `predict_scores`, applying the models of `models`.
pub(crate) fn scores(models: &Arc<ModelSet>) -> ScalarUDF {
    udf(Answer::Scores, models)
}

/// A call of a function that applies a model, with the model's columns in their order.
pub(crate) fn call(
    answer: Answer,
    models: &Arc<ModelSet>,
    address: &str,
    columns: Vec<Expr>,
) -> Expr {
    let arguments = std::iter::once(lit(address)).chain(columns);
    udf(answer, models).call(arguments.collect())
}

fn udf(answer: Answer, models: &Arc<ModelSet>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Predict {
        answer,
        signature: Signature::variadic_any(Volatility::Immutable),
        models: Arc::clone(models),
    })
}

#[derive(Debug)]
struct Predict {
    answer: Answer,
    signature: Signature,
    models: Arc<ModelSet>,
}

impl PartialEq for Predict {
    fn eq(&self, other: &Self) -> bool {
        self.answer == other.answer && Arc::ptr_eq(&self.models, &other.models)
    }
}

impl Eq for Predict {}

impl Hash for Predict {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.answer.hash(state);
        Arc::as_ptr(&self.models).hash(state);
    }
}

impl Predict {
    fn model(&self, address: &ScalarValue) -> Result<Arc<dyn Predictor>> {
        let Some(Some(address)) = address.try_as_str() else {
            return plan_err!(
                "the first argument of {} is a model's address in quotes, such as 'models:/wine_quality@production'",
                self.name()
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
        self.answer.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("the type follows from its arguments' fields")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let Some(Some(address)) = args.scalar_arguments.first() else {
            return plan_err!(
                "the first argument of {} is a model's address in quotes, not a column",
                self.name()
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
                    SqlType(field.data_type()),
                    feature.needs()
                );
            }
        }
        match self.answer.data_type(model.target()) {
            Some(data_type) => Ok(Arc::new(Field::new(self.name(), data_type, true))),
            None => plan_err!("the model {address}: {}", no_classes(self.answer)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((ColumnarValue::Scalar(address), columns)) = args.args.split_first() else {
            return exec_err!(
                "the first argument of {} is a model's address in quotes",
                self.name()
            );
        };
        let model = self.model(address)?;
        let columns: Vec<ArrayRef> = columns
            .iter()
            .map(|column| column.to_array(args.number_rows))
            .collect::<Result<_>>()?;
        if args.number_rows == 0 {
            return Ok(ColumnarValue::Array(new_empty_array(
                args.return_field.data_type(),
            )));
        }
        let answers = model
            .predict(self.answer, &columns, args.number_rows)
            .map_err(DataFusionError::External)?;
        Ok(ColumnarValue::Array(answers))
    }
}
