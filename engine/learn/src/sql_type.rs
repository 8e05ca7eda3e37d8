//! Types as SQL calls them, for messages.

use std::fmt;

use arrow::datatypes::DataType;

/// A type by its SQL name: `VARCHAR`, `DOUBLE`.
#[derive(Debug, Clone, Copy)]
pub struct SqlType<'a>(pub &'a DataType);

impl fmt::Display for SqlType<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "VARBINARY",
            DataType::Boolean => "BOOLEAN",
            DataType::Int8 => "TINYINT",
            DataType::Int16 => "SMALLINT",
            DataType::Int32 => "INTEGER",
            DataType::Int64 => "BIGINT",
            DataType::Float32 => "REAL",
            DataType::Float64 => "DOUBLE",
            DataType::Date32 | DataType::Date64 => "DATE",
            DataType::Timestamp(_, None) => "TIMESTAMP",
            DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ",
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
                return write!(out, "DECIMAL({precision}, {scale})");
            }
            DataType::List(item) | DataType::LargeList(item) => {
                return write!(out, "{}[]", SqlType(item.data_type()));
            }
            DataType::Dictionary(_, values) => return SqlType(values).fmt(out),
            DataType::Struct(_) => "STRUCT",
            DataType::Map(..) => "MAP",
            other => return other.fmt(out),
        };
        out.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn types_have_the_names_of_sql() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Float64, true)));
        let coded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for (data_type, name) in [
            (DataType::Utf8View, "VARCHAR"),
            (DataType::Decimal128(10, 2), "DECIMAL(10, 2)"),
            (list, "DOUBLE[]"),
            (coded, "VARCHAR"),
            (DataType::UInt8, "UInt8"),
        ] {
            assert_eq!(SqlType(&data_type).to_string(), name);
        }
    }
}
