//! The SQL that Sluice reads: one dialect, whatever database a user comes from.

use std::any::TypeId;

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};

/// The dialect of every SQL text in a project, the shell and the server.
///
/// Identifiers may be quoted as `"x"` or `` `x` ``; `'x'` is always a string in
/// which a backslash is a backslash. `* EXCEPT (...)`, `* EXCLUDE (...)`,
/// `* REPLACE (...)`, `GROUP BY ALL`, `QUALIFY`, `FROM t SELECT x`, `name =>
/// value` and trailing commas in a select list are read, as in DuckDB and
/// Spark. Syntax that DataFusion would accept and then ignore (optimizer hints,
/// `PREWHERE`, `SETTINGS`, `WITH ROLLUP`, `CONNECT BY`) is not part of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SluiceDialect;

/// Dialect methods that only say yes.
macro_rules! supported {
    ($($feature:ident),* $(,)?) => {
        $(fn $feature(&self) -> bool { true })*
    };
}

impl Dialect for SluiceDialect {
    // The parser asks for a few things by dialect, not by feature (`E'..'`
    // strings, casts to MAP): there we are the generic one.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"' || ch == '`'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('"')
    }

    supported! {
        allow_extract_custom,
        allow_extract_single_quotes,
        support_map_literal_syntax,
        supports_array_typedef_with_brackets,
        supports_bitwise_shift_operators,
        supports_data_type_signed_suffix,
        supports_dictionary_syntax,
        supports_explain_with_utility_options,
        supports_extract_comma_syntax,
        supports_filter_during_aggregation,
        supports_from_first_select,
        supports_group_by_expr,
        supports_in_empty_list,
        supports_interval_options,
        supports_left_associative_joins_without_parens,
        supports_limit_comma,
        supports_named_fn_args_with_assignment_operator,
        supports_nested_comments,
        supports_numeric_literal_underscores,
        supports_order_by_all,
        supports_parens_around_table_factor,
        supports_projection_trailing_commas,
        supports_select_wildcard_except,
        supports_select_wildcard_exclude,
        supports_select_wildcard_ilike,
        supports_select_wildcard_rename,
        supports_select_wildcard_replace,
        supports_string_escape_constant,
        supports_struct_literal,
        supports_try_convert,
        supports_unicode_string_literal,
        supports_values_as_table_factor,
        supports_window_clause_named_window_reference,
        supports_window_function_null_treatment_arg,
    }
}
