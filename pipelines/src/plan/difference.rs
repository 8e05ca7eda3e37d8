//! Two definitions in words: what of one is not in the other.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;

use crate::spec::{INTERVAL_END, INTERVAL_START};

/// Words of the query around a change, for context.
const AROUND: usize = 3;
/// The longest piece of a query that is repeated, in characters.
const LONGEST: usize = 80;

/// What stands before a variable's name in the settings of a table.
const VARIABLE: &str = "vars.";

/// Variables and their values, as settings of a table. They tell what changed and decide
/// nothing: the SQL does that, in which they are filled in.
pub(crate) fn of_variables(
    variables: &BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> {
    let variables = variables.iter();
    variables.map(|(name, value)| (format!("{VARIABLE}{name}"), value.clone()))
}

/// The variables whose values changed, in words.
pub(crate) fn changed_variables(
    now: &BTreeMap<String, String>,
    earlier: &BTreeMap<String, String>,
) -> Option<String> {
    let changed = now.iter().filter_map(|(key, new)| {
        let name = key.strip_prefix(VARIABLE)?;
        let old = earlier.get(key).filter(|old| *old != new)?;
        Some(format!("`{name}` is {} (was {})", short(new), short(old)))
    });
    let changed: Vec<String> = changed.collect();
    match changed.as_slice() {
        [] => None,
        [one] => Some(format!("the variable {one}")),
        several => Some(format!("the variables {}", several.join(", "))),
    }
}

/// A value that is not repeated in full where it is long.
fn short(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &value[..cut]),
        None => value.to_owned(),
    }
}

/// What of a table's definition changed, in words that follow a colon; `None` where its parts
/// are not known, or the same.
pub(crate) fn of_table(
    now: &BTreeMap<String, String>,
    earlier: &BTreeMap<String, String>,
) -> Option<String> {
    if earlier.is_empty() {
        return None;
    }
    let name = super::fingerprint::difference(now, earlier)?;
    let (new, old) = (now.get(&name), earlier.get(&name));
    let words = match (name.as_str(), new, old) {
        ("sql", Some(new), Some(old)) => of_query(new, old),
        ("rows.rules" | "rows.unique" | "rows.table_rules", ..) => "its rules".to_owned(),
        ("rows.split" | "rows.split.0", ..) => "its split".to_owned(),
        ("csv", ..) => "how its files are read".to_owned(),
        (_, Some(new), Some(old)) => format!("`{name}` is {new} (was {old})"),
        (_, Some(new), None) => format!("`{name}` is {new} (was not there)"),
        (_, None, _) => format!("`{name}` is not there any more"),
    };
    Some(words)
}

/// The stretch of a query that is another.
fn of_query(new: &str, old: &str) -> String {
    let (new, old): (Vec<&str>, Vec<&str>) = (words(new), words(old));
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| {
        pairs.take_while(|(new, old)| new == old).count()
    };
    let before = same(&mut new.iter().zip(&old));
    let rest = new.len().min(old.len()) - before;
    let after = same(&mut new.iter().rev().zip(old.iter().rev())).min(rest);
    let piece = |words: &[&str]| {
        let start = before.saturating_sub(AROUND);
        let end = (words.len() - after + 1).min(words.len());
        // Names are quoted only to be compared, and bounds have other names as they are written.
        let text = words[start..end].join(" ").replace('"', "");
        let text = text.replace(INTERVAL_START, "${start}");
        let text = text.replace(INTERVAL_END, "${end}");
        let text = short(&text);
        match start {
            0 => format!("`{text}`"),
            _ => format!("`... {text}`"),
        }
    };
    format!("the query has {} (was {})", piece(&new), piece(&old))
}

/// The words of a normalised query.
fn words(query: &str) -> Vec<&str> {
    query.split_whitespace().collect()
}

/// The first difference between the columns that are wanted and those that there are.
pub(super) fn columns_differ(wanted: &Schema, stored: &Schema) -> Option<String> {
    let gone = stored.fields().iter().find_map(|field| {
        let gone = wanted.field_with_name(field.name()).is_err();
        gone.then(|| format!("the column `{}` is not there any more", field.name()))
    });
    let changed = || {
        wanted.fields().iter().find_map(|field| {
            let name = field.name();
            match stored.field_with_name(name) {
                Err(_) => Some(format!("the column `{name}` is new")),
                Ok(same) if same.data_type() != field.data_type() => Some(format!(
                    "the column `{name}` is {} (was {})",
                    field.data_type(),
                    same.data_type()
                )),
                Ok(_) => None,
            }
        })
    };
    gone.or_else(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn variables_that_changed_are_told() {
        let told = |now: &[_], earlier: &[_]| changed_variables(&map(now), &map(earlier));
        let earlier = [("sql", "SELECT 1"), ("vars.n", "1"), ("vars.same", "x")];
        let now = [("sql", "SELECT 2"), ("vars.n", "2"), ("vars.same", "x")];
        let words = told(&now, &earlier).unwrap();
        assert_eq!(words, "the variable `n` is 2 (was 1)");
        // One that the query begins to name is a change of the query.
        assert_eq!(told(&now, &earlier[..1]), None);
    }

    fn told(now: &[(&str, &str)], earlier: &[(&str, &str)]) -> String {
        of_table(&map(now), &map(earlier)).unwrap_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn the_part_that_changed_is_told() {
        let sql = |text: &'static str| [("sql", text)];
        let cases = [
            told(
                &sql("SELECT a FROM t WHERE a > 2"),
                &sql("SELECT a FROM t WHERE a > 1"),
            ),
            told(&sql("SELECT a, b FROM t"), &sql("SELECT a FROM t")),
            told(
                &sql("SELECT a FROM t"),
                &sql("SELECT a FROM t WHERE a > 1 AND a < 7"),
            ),
            told(&sql("SELECT 1"), &sql("SELECT 2")),
            told(&[("mode.merge.keys", "[a]")], &[("mode.merge.keys", "[b]")]),
            told(&[("mode.append.from", "t")], &[("sql", "SELECT 1")]),
            told(&[("rows.rules", "[]")], &[("rows.rules", "[x]")]),
            told(&sql("SELECT 1"), &[]),
            told(&sql("SELECT 1"), &sql("SELECT 1")),
        ];
        insta::assert_snapshot!(cases.join("\n"), @r"
        the query has `... WHERE a > 2` (was `... WHERE a > 1`)
        the query has `SELECT a, b FROM` (was `SELECT a FROM`)
        the query has `... a FROM t` (was `... a FROM t WHERE a > 1 AND a < 7`)
        the query has `SELECT 1` (was `SELECT 2`)
        `mode.merge.keys` is [a] (was [b])
        `mode.append.from` is t (was not there)
        its rules
        nothing
        nothing
        ");
    }
}
