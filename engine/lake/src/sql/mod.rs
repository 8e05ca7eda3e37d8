//! SQL: parse it, see what it reads, resolve its names, plan it.
//!
//! [`parse`] reads a text in [`SluiceDialect`]; [`table_refs`] and
//! [`function_calls`] say what it depends on, without any table being there;
//! [`plan()`] resolves names (case does not matter, quoted or not) and plans;
//! [`normalise`] gives the text that identifies a definition, [`volatile_call`]
//! says whether identity proves anything, [`row_wise`] whether a query can be
//! asked of some rows at a time. Every error is an [`SqlError`] with a
//! place in the text.
//!
//! A rewrite that needs the columns in scope, such as expanding `predict(m, *)`,
//! goes through [`visit_calls_mut`] with the schemas of [`table_schemas`], before
//! [`plan()`]; one that does not, through [`rewrite_calls`].

mod bind;
mod calls;
mod depth;
mod diagnose;
mod dialect;
mod error;
mod fields;
mod merge;
mod messages;
mod mistakes;
mod normalise;
mod placeholders;
mod plan;
mod references;
mod relations;
mod resolve;
mod row_wise;
mod schemas;
mod scope;
mod select;
mod statement;
mod supported;
mod volatile;
mod walk;
mod wildcard;

pub use calls::{call_name, rename_call, rewrite_calls, rewrite_calls_in_expression};
pub use dialect::SluiceDialect;
pub use error::{SqlError, SqlErrorKind, SqlSpan};
pub use messages::plain_words;
pub use normalise::{normalise, normalise_expression};
pub use placeholders::{fill_placeholders, placeholders};
pub use plan::{output_schema, plan, plan_expression};
pub use references::{
    FunctionCall, LiteralArg, TableRef, function_calls, function_calls_in_expression, string_value,
    table_refs,
};
pub use resolve::{resolve_names, visit_calls_mut};
pub use row_wise::row_wise;
pub use schemas::{TableSchemas, table_schemas};
pub use scope::{ScopeColumn, ScopeColumns};
pub use statement::{Expression, Statement, parse, parse_expression, parse_query, read_only};
pub use volatile::volatile_call;
