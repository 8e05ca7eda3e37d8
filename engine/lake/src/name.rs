//! Names of tables, and which column names a Delta table can hold.

use std::{collections::HashMap, fmt, str::FromStr};

use arrow::datatypes::{DataType, Schema};
use serde::{Deserialize, Serialize};

/// Layers that hold something other than tables of the lakehouse.
pub const RESERVED_LAYERS: [&str; 2] = ["system", "information_schema"];

/// Characters that Delta (and Parquet readers of the Spark family) refuse in a
/// column's name when the table has no column mapping.
pub const FORBIDDEN_IN_COLUMNS: &str = " ,;{}()\n\t=";

/// File systems allow 255 bytes for a name; this leaves room for suffixes.
const MAX_PART_BYTES: usize = 128;

/// A table of the lakehouse: `layer.table`, both parts `[A-Za-z][A-Za-z0-9_]*`.
///
/// Equality is exact; [`TableName::matches`] ignores case, as SQL does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    layer: String,
    table: String,
}

/// Why a text is not the name of a table or a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text is not two parts with a dot between them.
    #[error("`{name}` is not a table's name: write `layer.table`, such as `silver.orders`")]
    NotTwoParts {
        /// The text as it was written.
        name: String,
    },
    /// A layer or table part has a character that folder names shall not have.
    #[error(
        "`{part}` cannot name a {role}: use letters, digits and `_`, starting with a letter, at most 128 characters"
    )]
    Part {
        /// What the part would name: `layer`, `table` or `model`.
        role: &'static str,
        /// The part as it was written.
        part: String,
    },
    /// A pipeline's name has a character that file names shall not have.
    #[error(
        "`{name}` cannot name a pipeline: use letters, digits, `_`, `-` and `.`, starting with a letter or a digit, at most 128 characters"
    )]
    Pipeline {
        /// The name as it was written.
        name: String,
    },
    /// The layer is one that Sluice itself provides.
    #[error("the layer `{layer}` is reserved: choose another name, such as `bronze`")]
    Reserved {
        /// The layer as it was written.
        layer: String,
    },
    /// A column's name has a character that Delta refuses.
    #[error(
        "the column `{}` cannot be stored: a Delta column's name must not contain {character:?}; rename it, for example with `AS {suggestion}`",
        column.escape_debug()
    )]
    Column {
        /// The column, with its path inside structs (`a.b`).
        column: String,
        /// The first character that is refused.
        character: char,
        /// A name that would do.
        suggestion: String,
    },
    /// A column has an empty name.
    #[error("column {position} has no name: give it one with `AS`")]
    EmptyColumn {
        /// The column's place, counted from 1.
        position: usize,
    },
    /// Two columns cannot be told apart in SQL, where case does not matter.
    #[error(
        "the columns `{first}` and `{second}` differ only in case, which SQL does not see: rename one of them"
    )]
    SameColumn {
        /// The column that comes first.
        first: String,
        /// The column that comes later.
        second: String,
    },
}

impl TableName {
    /// Checks both parts and joins them.
    ///
    /// # Errors
    /// [`InvalidName`] when a part is not `[A-Za-z][A-Za-z0-9_]*` or the layer is reserved.
    pub fn new(layer: &str, table: &str) -> Result<Self, InvalidName> {
        check_part("layer", layer)?;
        check_part("table", table)?;
        if RESERVED_LAYERS
            .iter()
            .any(|r| r.eq_ignore_ascii_case(layer))
        {
            return Err(InvalidName::Reserved {
                layer: layer.to_owned(),
            });
        }
        Ok(Self {
            layer: layer.to_owned(),
            table: table.to_owned(),
        })
    }

    /// The layer: the schema in SQL, the folder of the first level on disk.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// The table's name inside its layer.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether SQL would take both names for the same table: case is ignored.
    pub fn matches(&self, other: &Self) -> bool {
        self.layer.eq_ignore_ascii_case(&other.layer)
            && self.table.eq_ignore_ascii_case(&other.table)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.layer, self.table)
    }
}

impl FromStr for TableName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut parts = text.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(layer), Some(table), None) => Self::new(layer, table),
            _ => Err(InvalidName::NotTwoParts {
                name: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.to_string()
    }
}

/// Checks a name that becomes a folder or a file: `[A-Za-z][A-Za-z0-9_]*`.
/// `role` says what it names (`layer`, `table`, `model`).
///
/// # Errors
/// [`InvalidName::Part`] with the part as it was written.
pub fn check_part(role: &'static str, part: &str) -> Result<(), InvalidName> {
    let mut characters = part.chars();
    let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic());
    if starts_well
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && part.len() <= MAX_PART_BYTES
    {
        Ok(())
    } else {
        Err(InvalidName::Part {
            role,
            part: part.to_owned(),
        })
    }
}

/// Checks a pipeline's name, which becomes a file's: letters, digits, `_`, `-`
/// and `.`, starting with a letter or a digit, at most 128 characters.
///
/// # Errors
/// [`InvalidName::Pipeline`] with the name as it was written.
pub fn check_pipeline(name: &str) -> Result<(), InvalidName> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && name.len() <= MAX_PART_BYTES
    {
        Ok(())
    } else {
        Err(InvalidName::Pipeline {
            name: name.to_owned(),
        })
    }
}

/// Checks that a Delta table can hold columns of these names, structs included:
/// none is empty, none has a character of [`FORBIDDEN_IN_COLUMNS`], and no two
/// differ only in case. deltalake checks none of this itself.
///
/// # Errors
/// The first [`InvalidName`] in the order of the columns.
pub fn check_column_names(schema: &Schema) -> Result<(), InvalidName> {
    check_fields("", schema.fields())
}

fn check_fields(prefix: &str, fields: &arrow::datatypes::Fields) -> Result<(), InvalidName> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (index, field) in fields.iter().enumerate() {
        let name = field.name();
        if name.is_empty() {
            return Err(InvalidName::EmptyColumn {
                position: index + 1,
            });
        }
        let path = format!("{prefix}{name}");
        if let Some(character) = name.chars().find(|c| FORBIDDEN_IN_COLUMNS.contains(*c)) {
            return Err(InvalidName::Column {
                column: path,
                character,
                suggestion: snake_case(name),
            });
        }
        if let Some(first) = seen.insert(name.to_lowercase(), name) {
            return Err(InvalidName::SameColumn {
                first: format!("{prefix}{first}"),
                second: path,
            });
        }
        check_type(&path, field.data_type())?;
    }
    Ok(())
}

fn check_type(path: &str, data_type: &DataType) -> Result<(), InvalidName> {
    match data_type {
        DataType::Struct(fields) => check_fields(&format!("{path}."), fields),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => check_type(path, item.data_type()),
        DataType::Map(entries, _) => match entries.data_type() {
            // The entries' own struct is Arrow's, not a name that a user chose.
            DataType::Struct(fields) => fields
                .iter()
                .try_for_each(|field| check_type(path, field.data_type())),
            other => check_type(path, other),
        },
        DataType::Dictionary(_, values) => check_type(path, values),
        _ => Ok(()),
    }
}

/// Turns a header such as `fixed acidity` or `Price (EUR)` into `fixed_acidity`
/// and `price_eur`: letters become small, and every run of characters other than
/// letters, digits and `_` becomes one `_`, none at the ends. A name that would
/// start with a digit gets a `c` in front; an empty one becomes `column`.
pub fn snake_case(header: &str) -> String {
    let mut name = String::with_capacity(header.len());
    let mut gap = false;
    for character in header.trim().chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() || character == '_' {
            if gap && !name.is_empty() {
                name.push('_');
            }
            gap = false;
            name.push(character);
        } else {
            gap = true;
        }
    }
    if name.is_empty() {
        return "column".to_owned();
    }
    if name.starts_with(|c: char| c.is_numeric()) {
        name.insert(0, 'c');
    }
    name
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    fn schema(names: &[&str]) -> Schema {
        Schema::new(
            names
                .iter()
                .map(|name| Field::new(*name, DataType::Int64, true))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn names_parse_and_print() {
        let name: TableName = "silver.wine_2".parse().unwrap();
        assert_eq!((name.layer(), name.table()), ("silver", "wine_2"));
        assert_eq!(name.to_string(), "silver.wine_2");
        assert!(name.matches(&"Silver.WINE_2".parse().unwrap()));
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(json, "\"silver.wine_2\"");
        assert_eq!(serde_json::from_str::<TableName>(&json).unwrap(), name);
    }

    #[test]
    fn bad_names_are_refused() {
        let long = format!("a.{}", "b".repeat(129));
        for bad in [
            "wine",
            "a.b.c",
            "",
            ".",
            "a.",
            ".b",
            "_a.b",
            "a._b",
            "1a.b",
            "a.b c",
            "a./b",
            "é.b",
            "System.runs",
            "information_schema.tables",
            &long,
        ] {
            assert!(bad.parse::<TableName>().is_err(), "{bad} was taken");
        }
        assert!(serde_json::from_str::<TableName>("\"../x\"").is_err());
    }

    #[test]
    fn columns_that_delta_refuses() {
        assert_eq!(
            check_column_names(&schema(&["pH", "a-b", "_row", "ä"])),
            Ok(())
        );
        for character in FORBIDDEN_IN_COLUMNS.chars() {
            let name = format!("a{character}b");
            let error = check_column_names(&schema(&["x", &name])).unwrap_err();
            assert_eq!(
                error,
                InvalidName::Column {
                    column: name,
                    character,
                    suggestion: "a_b".to_owned()
                }
            );
        }
        assert!(matches!(
            check_column_names(&schema(&["pH", "PH"])),
            Err(InvalidName::SameColumn { .. })
        ));
        assert_eq!(
            check_column_names(&schema(&["a", ""])),
            Err(InvalidName::EmptyColumn { position: 2 })
        );
    }

    #[test]
    fn columns_inside_structs_and_lists_are_checked() {
        let inner = DataType::Struct(vec![Field::new("b c", DataType::Int64, true)].into());
        let list = DataType::List(Arc::new(Field::new("item", inner, true)));
        let error =
            check_column_names(&Schema::new(vec![Field::new("a", list, true)])).unwrap_err();
        assert!(matches!(error, InvalidName::Column { column, .. } if column == "a.b c"));
    }

    #[test]
    fn headers_become_names() {
        for (header, name) in [
            ("fixed acidity", "fixed_acidity"),
            ("Price (EUR)", "price_eur"),
            ("  pH (mean) ", "ph_mean"),
            ("a=b;c", "a_b_c"),
            ("_split", "_split"),
            ("2024", "c2024"),
            ("%", "column"),
            ("größe", "größe"),
        ] {
            assert_eq!(snake_case(header), name);
        }
    }
}
