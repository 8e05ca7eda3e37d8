//! A row's hash as a SQL expression: 128 bits of BLAKE3, as 32 hexadecimal digits.
//!
//! Equal values give an equal hash whatever the type of their column, on every machine and in
//! every release; NULL is told from all values, and neighbouring columns from one another.

use std::hash::Hash;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::content_hash::visit_values;

/// Bytes of a hash.
const BYTES: usize = 16;

/// The hash of some columns of a row.
pub(crate) fn row_hash(columns: Vec<Expr>) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(RowHash {
            signature: Signature::variadic_any(Volatility::Immutable),
        }))
    });
    FUNCTION.call(columns)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RowHash {
    signature: Signature,
}

impl ScalarUDFImpl for RowHash {
    fn name(&self) -> &str {
        "row_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        // Each value's hash goes over that of the values before it, which keeps them apart.
        let mut states = vec![[0_u8; BYTES]; rows];
        for column in &args.args {
            let values = column.to_array(rows)?;
            visit_values(&values, |row, value| {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&states[row]);
                if let Some((tag, bytes)) = value {
                    hasher.update(&[tag]).update(bytes);
                }
                hasher.finalize_xof().fill(&mut states[row]);
            })?;
        }
        let mut hashes = StringBuilder::with_capacity(rows, rows * 2 * BYTES);
        for state in states {
            hashes.append_value(format!("{:032x}", u128::from_be_bytes(state)));
        }
        let hashes: ArrayRef = Arc::new(hashes.finish());
        Ok(ColumnarValue::Array(hashes))
    }
}
