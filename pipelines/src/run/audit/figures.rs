//! What one pass over a table tells of all rules that count and compare.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::{count, max, sum};
use datafusion::logical_expr::{Expr, lit, when};

use super::StageError;
use crate::plan::{TableExpectation, TableRule};

/// The answers of the pass, one column each.
pub(super) struct Figures {
    answers: Option<RecordBatch>,
}

/// The column of how many rows there are.
const ROWS: &str = "__rows";

/// The column with the answer for the rule at this place.
fn answer(at: usize) -> String {
    format!("__rule_{at}")
}

impl Figures {
    pub(super) async fn of(
        table: &DataFrame,
        rules: &[TableExpectation],
    ) -> Result<Self, StageError> {
        let mut asked = vec![count(lit(1_i64)).alias(ROWS)];
        for (at, rule) in rules.iter().enumerate() {
            let question = match &rule.rule {
                TableRule::NotNull(columns) => {
                    let missing = columns.iter().map(|name| column(name).is_null());
                    missing.reduce(Expr::or).map(count_where).transpose()?
                }
                TableRule::AcceptedValues {
                    column: name,
                    values,
                } => Some(count_where(other_than(name, values))?),
                TableRule::Freshness { column: name, .. } => Some(max(column(name))),
                TableRule::Unique(_)
                | TableRule::Relationship { .. }
                | TableRule::RowCount { .. }
                | TableRule::Custom { .. } => None,
            };
            asked.extend(question.map(|question| question.alias(answer(at))));
        }
        let answers = table.clone().aggregate(vec![], asked)?.collect().await?;
        let answers = answers.into_iter().find(|batch| batch.num_rows() > 0);
        Ok(Self { answers })
    }

    /// Rows of the table.
    pub(super) fn rows(&self) -> u64 {
        self.number(ROWS)
    }

    /// Rows that break the rule at this place.
    pub(super) fn failed(&self, at: usize) -> u64 {
        self.number(&answer(at))
    }

    fn number(&self, name: &str) -> u64 {
        let column = self
            .answers
            .as_ref()
            .and_then(|all| all.column_by_name(name));
        let number = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
        let number = number.filter(|number| number.is_valid(0));
        number.map_or(0, |number| u64::try_from(number.value(0)).unwrap_or(0))
    }

    /// The greatest date or timestamp that the rule at this place asks for, in milliseconds
    /// since 1970 UTC; `None` without a row that has one.
    pub(super) fn latest_ms(&self, at: usize) -> Option<i64> {
        let answers = self.answers.as_ref()?;
        let latest = answers.column_by_name(&answer(at))?;
        let moment = cast(latest, &DataType::Timestamp(TimeUnit::Millisecond, None)).ok()?;
        let moment = cast(&moment, &DataType::Int64).ok()?;
        let moment = moment.as_primitive::<Int64Type>();
        moment.is_valid(0).then(|| moment.value(0))
    }
}

/// A column, whatever the case of its name.
pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// That a column has a value which is none of these.
pub(super) fn other_than(name: &str, values: &[ScalarValue]) -> Expr {
    let values = values.iter().map(|value| lit(value.clone())).collect();
    let other = column(name).in_list(values, true);
    column(name).is_not_null().and(other)
}

fn count_where(condition: Expr) -> Result<Expr, StageError> {
    let one = when(condition, lit(1_i64)).otherwise(lit(0_i64))?;
    Ok(sum(one))
}
