//! `columns:`: what columns a table promises.

use serde_json::{Value as Json, json};

use super::column_type::ColumnType;
use super::decode::{Check, Context, Decode, Fields, record};
use super::scalar::word;
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::{Node, NodeKind};

record! {
    /// What a column promises.
    pub struct ColumnSpec as "a column" {
        /// Its type, such as `bigint`; left out, it may be any.
        "type" data_type: Option<Spanned<ColumnType>>,
        /// Whether every row has a value in it; a table without is not made.
        "not_null" not_null: Option<Spanned<bool>>,
        /// Whether it is (part of) what tells rows apart: not NULL, and together with the other
        /// columns that say so unique.
        "primary_key" primary_key: Option<Spanned<bool>>,
        /// What it holds, for people.
        "comment" comment: Option<Spanned<String>>,
    }
}

impl Check for ColumnSpec {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let (Some(not_null), true) = (self.not_null, self.is_key()) else {
            return true;
        };
        if !not_null.value {
            let message = "a column of the primary key cannot be NULL";
            let diagnostic = Diagnostic::error("conflicting_keys", message);
            cx.report(diagnostic.help("leave `not_null` out"), not_null.span);
        }
        not_null.value
    }
}

impl ColumnSpec {
    /// Whether it belongs to the primary key.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.primary_key.is_some_and(|key| key.value)
    }

    /// Whether every row has a value in it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.is_key() || self.not_null.is_some_and(|not_null| not_null.value)
    }
}

/// A column of a contract: a type alone, or more.
#[derive(Debug, Clone)]
pub struct ContractColumn(pub ColumnSpec);

impl Decode for ContractColumn {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if !matches!(node.kind, NodeKind::Scalar(_)) {
            return ColumnSpec::decode(node, cx).map(Self);
        }
        let data_type = Spanned::<ColumnType>::decode(node, cx)?;
        Some(Self(ColumnSpec {
            data_type: Some(data_type),
            not_null: None,
            primary_key: None,
            comment: None,
            span: node.span,
        }))
    }

    fn schema(defs: &mut Definitions) -> Json {
        let (alone, more) = (ColumnType::schema(defs), ColumnSpec::schema(defs));
        json!({"anyOf": [alone, more]})
    }
}

/// Whether a table may have columns that its contract does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// It has the listed columns, and no others but those whose names begin with `_`.
    Strict,
    /// It has the listed columns at least.
    Open,
}

const CONTRACTS: &[(&str, Contract)] = &[("strict", Contract::Strict), ("open", Contract::Open)];

impl Decode for Contract {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("contract", CONTRACTS, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": CONTRACTS.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}
