//! The canonical text of a statement: equal texts prove equal meaning.
//!
//! The text is printed from the syntax tree, so that white space, comments and
//! the case of keywords are gone; names are quoted one way; table aliases and
//! the names of CTEs are numbered. What is printed is parsed again: only if the
//! very same tree comes out does the text stand for the tree. Where printing
//! loses something, the tree's own structure is written instead. Either way two
//! statements that mean different things have different texts; two that mean
//! the same may have different texts too.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArguments, Ident, JoinConstraint, ObjectName, ObjectNamePart,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, TableAlias, TableFactor, VisitMut,
    VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::dialect::SluiceDialect;
use super::statement::{Expression, Statement, parse, parse_expression};
use super::walk::{Renaming, Walker};
use super::wildcard::listed;

/// The canonical text of a statement. See the module for what it promises.
pub fn normalise(statement: &Statement) -> String {
    let mut tree = renamed(statement).unwrap_or_else(|| statement.ast.clone());
    let _always_continues = tree.visit(&mut Canonical);
    let text = tree.to_string();
    let same = parse(&text).is_ok_and(|again| match again.as_slice() {
        [only] => only.ast == tree,
        _ => false,
    });
    if same { text } else { structure(&tree) }
}

/// The canonical text of an expression.
pub fn normalise_expression(expression: &Expression) -> String {
    let mut tree = expression.ast.clone();
    bare(&mut tree);
    let _always_continues = tree.visit(&mut Canonical);
    let text = tree.to_string();
    let same = parse_expression(&text).is_ok_and(|again| again.ast == tree);
    if same { text } else { structure(&tree) }
}

/// The statement with numbered aliases and CTEs; `None` if that would change
/// the name of a column, or if the names cannot be told.
fn renamed(statement: &Statement) -> Option<ast::Statement> {
    // Once with names that are nowhere in the statement, to see which stay...
    let mut marker = "r_".to_owned();
    let text = statement.ast.to_string().to_lowercase();
    while text.contains(&marker) {
        marker.push('_');
    }
    let marked = renamed_with(statement, &marker)?.to_string();
    let staying = names_in(&marked);
    // ... and once with the first prefix that none of those uses.
    let mut prefix = "r".to_owned();
    let taken = |prefix: &str| {
        staying.iter().any(|name| {
            let number = name.to_lowercase();
            let number = number.strip_prefix(prefix).map(str::to_owned);
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    while taken(&prefix) {
        prefix.push('_');
    }
    renamed_with(statement, &prefix)
}

fn renamed_with(statement: &Statement, prefix: &str) -> Option<ast::Statement> {
    let mut tree = statement.ast.clone();
    let mut walker = Walker::new(statement.shared_text());
    walker.renaming = Some(Renaming {
        prefix: prefix.to_owned(),
        count: 0,
        shows_in_names: false,
    });
    walker.statement(&mut tree).ok()?;
    let renaming = walker.renaming?;
    (!renaming.shows_in_names).then_some(tree)
}

/// Every word in a SQL text that is not inside a string.
fn names_in(text: &str) -> Vec<String> {
    let tokens = Tokenizer::new(&SluiceDialect, text)
        .tokenize()
        .unwrap_or_default();
    let words = tokens.into_iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.value),
        _ => None,
    });
    words.collect()
}

/// The tree in full, without the places.
fn structure(tree: &impl std::fmt::Debug) -> String {
    let mut text = String::from("tree:");
    // Writing to a string does not fail.
    let _infallible = write!(text, "{tree:?}");
    without_places(&text)
}

/// Takes places and keyword tokens (`Span(..)`, `TokenWithSpan {..}`) out of a
/// debug text, but not out of its strings.
fn without_places(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' || first == '\'' {
            let end = end_of_literal(rest, first);
            kept.push_str(&rest[..end]);
            end
        } else if rest.starts_with("Span(") || rest.starts_with("TokenWithSpan {") {
            end_of_brackets(rest)
        } else {
            kept.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    kept
}

/// The length of the debug text of a node at the start, up to the bracket that
/// closes its first one.
fn end_of_brackets(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(ch) = text[at..].chars().next() {
        match ch {
            '"' | '\'' => {
                at += end_of_literal(&text[at..], ch);
                continue;
            }
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + ch.len_utf8();
                }
            }
            _ => {}
        }
        at += ch.len_utf8();
    }
    text.len()
}

/// The length of the debug text of a string or character at the start.
fn end_of_literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, ch) in text.char_indices().skip(1) {
        match ch {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if ch == quote => return index + ch.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Writes names one way. Names of functions, types, parameters and fields keep
/// their quotes: there quoting can make a difference.
struct Canonical;

fn quote(ident: &mut Ident) {
    ident.quote_style = Some('"');
}

fn quote_name(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part {
            quote(ident);
        }
    }
}

fn quote_alias(alias: &mut TableAlias) {
    alias.explicit = true;
    quote(&mut alias.name);
    for column in &mut alias.columns {
        quote(&mut column.name);
    }
}

fn quote_options(options: &mut WildcardAdditionalOptions) {
    listed(options).for_each(quote);
    for item in options.opt_replace.iter_mut().flat_map(|r| &mut r.items) {
        item.as_keyword = true;
    }
}

/// Parentheses around all of a condition say nothing.
fn bare(condition: &mut Expr) {
    while let Expr::Nested(inner) = condition {
        let placeholder = Expr::value(ast::Value::Null);
        *condition = std::mem::replace(inner, placeholder);
    }
}

/// Functions without quotes are looked up in lower case.
fn lower(function: &mut Function) {
    if let [ObjectNamePart::Identifier(ident)] = function.name.0.as_mut_slice()
        && ident.quote_style.is_none()
    {
        ident.value = ident.value.to_lowercase();
        // `current_date` is a function only without quotes.
        if function.args != FunctionArguments::None {
            quote(ident);
        }
    }
}

impl VisitorMut for Canonical {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            quote_alias(&mut cte.alias);
            // `WITH a AS (...)`: this AS is not the alias's.
            cte.alias.explicit = false;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for condition in [&mut select.selection, &mut select.having] {
            condition.iter_mut().for_each(bare);
        }
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => quote(alias),
                SelectItem::ExprWithAliases { aliases, .. } => aliases.iter_mut().for_each(quote),
                SelectItem::Wildcard(options) => quote_options(options),
                SelectItem::QualifiedWildcard(kind, options) => {
                    if let SelectItemQualifiedWildcardKind::ObjectName(name) = kind {
                        quote_name(name);
                    }
                    quote_options(options);
                }
                SelectItem::UnnamedExpr(_) => {}
            }
        }
        for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
            if let Some(JoinConstraint::Using(names)) =
                super::relations::constraint_of(&mut join.join_operator)
            {
                names.iter_mut().for_each(quote_name);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table {
                name, alias, args, ..
            } => {
                if args.is_none() {
                    quote_name(name);
                }
                alias.iter_mut().for_each(quote_alias);
            }
            TableFactor::Derived { alias, .. }
            | TableFactor::NestedJoin { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::Function { alias, .. } => alias.iter_mut().for_each(quote_alias),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => quote(ident),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(quote),
            Expr::QualifiedWildcard(name, _) => quote_name(name),
            Expr::Function(function) => lower(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
