//! Random queries, each written in two random ways: the canonical texts are
//! equal exactly if the queries are.

use proptest::prelude::*;
use sluice_lake::sql::normalise;

use super::one;

/// A query without names: tables and columns are numbers, columns belong to the
/// table of a position in `FROM`.
#[derive(Debug, Clone, PartialEq)]
struct Query {
    /// Each relation, a table or the CTE before.
    from: Vec<Source>,
    /// Relation, column and the name it is given, if any.
    select: Vec<(usize, u8, Option<u8>)>,
    filter: Option<Filter>,
    limit: Option<u8>,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Table(u8),
    Subquery(Box<Query>),
    /// A query in `WITH`, read once.
    Cte(Box<Query>),
}

#[derive(Debug, Clone, PartialEq)]
enum Filter {
    Number(usize, u8, u8),
    Text(usize, u8, String),
    Columns((usize, u8), (usize, u8)),
    Exists(u8, usize, u8),
    Not(Box<Filter>),
}

/// How a query is written down.
#[derive(Debug, Clone)]
struct Style {
    seed: u64,
}

impl Style {
    fn next(&mut self, choices: u64) -> u64 {
        // An LCG is random enough to choose between two spellings.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % choices
    }

    fn keyword(&mut self, word: &str) -> String {
        let word = match self.next(3) {
            0 => word.to_lowercase(),
            1 => word.to_uppercase(),
            _ => word
                .chars()
                .enumerate()
                .map(|(i, c)| {
                    if i % 2 == 0 {
                        c.to_ascii_uppercase()
                    } else {
                        c.to_ascii_lowercase()
                    }
                })
                .collect(),
        };
        let space = match self.next(4) {
            0 => " ",
            1 => "\n  ",
            2 => " /* select 'x' */ ",
            _ => " -- it's\n",
        };
        format!("{space}{word}{space}")
    }

    fn name(&mut self, name: &str) -> String {
        match self.next(3) {
            0 => format!("\"{name}\""),
            1 => format!("`{name}`"),
            _ => name.to_owned(),
        }
    }

    /// A name for a relation that no other relation in scope has.
    fn alias(&mut self, taken: &mut Vec<String>) -> String {
        loop {
            let name = ["a", "b", "c1", "wine", "R", "r0", "x_y", "öl"][self.next(8) as usize];
            let name = format!("{name}{}", self.next(3));
            if !taken.contains(&name.to_lowercase()) {
                taken.push(name.to_lowercase());
                return name;
            }
        }
    }
}

fn write(query: &Query, style: &mut Style, outer: &[String]) -> String {
    let mut taken = outer.to_vec();
    let mut ctes: Vec<(String, String)> = Vec::new();
    let mut cte_names = Vec::new();
    let mut from = Vec::new();
    let mut aliases = Vec::new();
    for source in &query.from {
        let alias = style.alias(&mut taken);
        let item = match source {
            Source::Table(table) => {
                format!(
                    "{}.{}",
                    style.name("layer"),
                    style.name(&format!("t{table}"))
                )
            }
            Source::Subquery(inner) => format!("({})", write(inner, style, &taken)),
            Source::Cte(inner) => {
                let name = style.alias(&mut cte_names);
                ctes.push((name.clone(), write(inner, style, &taken)));
                style.name(&name)
            }
        };
        from.push(format!(
            "{item}{}{}",
            style.keyword("as"),
            style.name(&alias)
        ));
        aliases.push(alias);
    }
    let column = |style: &mut Style, relation: usize, column: u8| {
        let alias = &aliases[relation % aliases.len()];
        format!(
            "{}.{}",
            style.name(alias),
            style.name(&format!("col{column}"))
        )
    };
    let select: Vec<String> = query
        .select
        .iter()
        .map(|(relation, number, name)| {
            let text = column(style, *relation, *number);
            match name {
                Some(name) => format!(
                    "{text}{}{}",
                    style.keyword("as"),
                    style.name(&format!("n{name}"))
                ),
                None => text,
            }
        })
        .collect();
    let ctes: Vec<String> = ctes
        .into_iter()
        .map(|(name, query)| format!("{}{}({query})", style.name(&name), style.keyword("as")))
        .collect();
    let with = match ctes.as_slice() {
        [] => String::new(),
        ctes => format!("{}{}", style.keyword("with"), ctes.join(",")),
    };
    let mut text = format!(
        "{with}{}{}{}{}",
        style.keyword("select"),
        select.join(","),
        style.keyword("from"),
        from.join(" , ")
    );
    if let Some(filter) = &query.filter {
        text.push_str(&style.keyword("where"));
        text.push_str(&write_filter(filter, style, &column, &mut taken));
    }
    if let Some(limit) = query.limit {
        text.push_str(&format!("{}{limit}", style.keyword("limit")));
    }
    text
}

fn write_filter(
    filter: &Filter,
    style: &mut Style,
    column: &dyn Fn(&mut Style, usize, u8) -> String,
    taken: &mut Vec<String>,
) -> String {
    match filter {
        Filter::Number(relation, number, value) => {
            format!("{} > {value}", column(style, *relation, *number))
        }
        Filter::Text(relation, number, value) => {
            let value = value.replace('\'', "''");
            format!("{} = '{value}'", column(style, *relation, *number))
        }
        Filter::Columns(left, right) => {
            format!(
                "{} = {}",
                column(style, left.0, left.1),
                column(style, right.0, right.1)
            )
        }
        Filter::Exists(table, relation, number) => {
            let alias = style.alias(taken);
            let outer = column(style, *relation, *number);
            format!(
                "{}({}1{}{}.t{table} {}{}{}.col0 = {outer})",
                style.keyword("exists"),
                style.keyword("select"),
                style.keyword("from"),
                style.name("layer"),
                style.name(&alias),
                style.keyword("where"),
                style.name(&alias),
            )
        }
        Filter::Not(inner) => format!(
            "{}({})",
            style.keyword("not"),
            write_filter(inner, style, column, taken)
        ),
    }
}

fn filters() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        (0..3_usize, 0..3_u8, 0..3_u8).prop_map(|(r, c, v)| Filter::Number(r, c, v)),
        (0..3_usize, 0..3_u8, "[ab' \\\\;ö-]{0,3}").prop_map(|(r, c, v)| Filter::Text(r, c, v)),
        ((0..3_usize, 0..3_u8), (0..3_usize, 0..3_u8)).prop_map(|(l, r)| Filter::Columns(l, r)),
        (0..2_u8, 0..3_usize, 0..3_u8).prop_map(|(t, r, c)| Filter::Exists(t, r, c)),
    ];
    leaf.prop_recursive(2, 3, 1, |inner| {
        inner.prop_map(|f| Filter::Not(Box::new(f)))
    })
}

fn queries() -> impl Strategy<Value = Query> {
    let leaf = (0..3_u8).prop_map(|table| Query {
        from: vec![Source::Table(table)],
        select: vec![(0, 0, None)],
        filter: None,
        limit: None,
    });
    leaf.prop_recursive(2, 6, 2, |inner| {
        let source = prop_oneof![
            (0..3_u8).prop_map(Source::Table),
            inner
                .clone()
                .prop_map(|query| Source::Subquery(Box::new(query))),
            inner.prop_map(|query| Source::Cte(Box::new(query))),
        ];
        (
            prop::collection::vec(source, 1..3),
            prop::collection::vec((0..3_usize, 0..3_u8, prop::option::of(0..2_u8)), 1..3),
            prop::option::of(filters()),
            prop::option::of(0..3_u8),
        )
            .prop_map(|(from, select, filter, limit)| Query {
                from,
                select,
                filter,
                limit,
            })
            .prop_map(with_relations_in_range)
    })
}

/// Relations are written modulo their number: so must equal queries be.
fn with_relations_in_range(mut query: Query) -> Query {
    fn fix(filter: &mut Filter, count: usize) {
        match filter {
            Filter::Number(r, ..) | Filter::Text(r, ..) | Filter::Exists(_, r, _) => *r %= count,
            Filter::Columns(left, right) => {
                left.0 %= count;
                right.0 %= count;
            }
            Filter::Not(inner) => fix(inner, count),
        }
    }
    let count = query.from.len();
    for (relation, _, _) in &mut query.select {
        *relation %= count;
    }
    if let Some(filter) = &mut query.filter {
        fix(filter, count);
    }
    query
}

fn canonical(query: &Query, seed: u64) -> String {
    normalise(&one(&write(query, &mut Style { seed }, &[])))
}

/// The query with one thing changed: which, and to what, is up to `choice`.
fn mutated(query: &Query, choice: u64) -> Query {
    let mut query = query.clone();
    let count = query.from.len();
    let value = (choice / 8 % 3) as u8;
    let index = (choice / 24) as usize;
    let item = index % query.select.len();
    match choice % 8 {
        0 => query.select[item].1 = value,
        1 => query.select[item].0 = value as usize % count,
        2 => query.select[item].2 = Some(value),
        3 => query.limit = Some(value),
        4 => query.filter = Some(Filter::Columns((0, value), (index % count, value))),
        5 => query.from.reverse(),
        6 => query.select.reverse(),
        _ => {
            let source = &mut query.from[index % count];
            *source = match source.clone() {
                Source::Table(_) => Source::Table(value),
                Source::Subquery(inner) => Source::Subquery(Box::new(mutated(&inner, choice / 8))),
                Source::Cte(inner) => Source::Cte(Box::new(mutated(&inner, choice / 8))),
            };
        }
    }
    query
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn one_query_has_one_text(query in queries(), left: u64, right: u64) {
        prop_assert_eq!(canonical(&query, left), canonical(&query, right));
    }

    #[test]
    fn two_queries_have_two_texts(
        first in queries(),
        second in queries(),
        left: u64,
        right: u64,
    ) {
        prop_assert_eq!(
            canonical(&first, left) == canonical(&second, right),
            first == second
        );
    }

    #[test]
    fn a_changed_query_has_another_text(
        query in queries(),
        choice: u64,
        left: u64,
        right: u64,
    ) {
        let changed = mutated(&query, choice);
        prop_assert_eq!(
            canonical(&query, left) == canonical(&changed, right),
            query == changed
        );
    }
}
