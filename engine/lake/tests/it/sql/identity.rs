//! Definitions that mean the same have the same canonical text, as far as it
//! goes; those that do not, never.

use sluice_lake::sql::{normalise, normalise_expression, parse_expression};

use super::one;

fn canonical(sql: &str) -> String {
    normalise(&one(sql))
}

#[test]
fn writing_makes_no_difference() {
    for (left, right) in [
        ("select a from t.u", "SELECT  a\n-- all of it\nFROM t.u ;"),
        ("SELECT \"a\" FROM `t`.u", "SELECT a FROM t.\"u\""),
        ("SELECT a AS b FROM t.u", "SELECT a b FROM t.u"),
        (
            "SELECT a FROM t.u AS x WHERE x.a > 1",
            "SELECT a FROM t.u some WHERE some.a > 1",
        ),
        (
            "WITH x AS (SELECT a FROM t.u) SELECT * FROM x WHERE x.a = 1",
            "WITH other AS (SELECT a FROM t.u) SELECT * FROM OTHER WHERE other.a = 1",
        ),
        (
            "SELECT p.* FROM t.u p JOIN t.v q ON p.a = q.a ORDER BY p.a",
            "SELECT l.* FROM t.u AS l JOIN t.v AS r ON L.a = R.a ORDER BY l.a",
        ),
        (
            "SELECT a FROM t.u x WHERE EXISTS (SELECT 1 FROM t.v y WHERE y.a = x.a)",
            "SELECT a FROM t.u y WHERE EXISTS (SELECT 1 FROM t.v x WHERE x.a = y.a)",
        ),
        (
            "SELECT Lower(a) AS b, COUNT(*) AS n FROM t.u",
            "SELECT lower(a) AS b, count(*) AS n FROM t.u",
        ),
        ("FROM t.u", "SELECT * FROM t.u"),
        (
            "SELECT * REPLACE (1 a) FROM t.u",
            "SELECT * REPLACE (1 AS a) FROM t.u",
        ),
        ("SELECT a <> 1 AS b FROM t.u", "SELECT a != 1 AS b FROM t.u"),
        (
            "SELECT a FROM t.u WHERE (a > 1 AND (b OR c))",
            "SELECT a FROM t.u WHERE a > 1 AND (b OR c)",
        ),
    ] {
        assert_eq!(canonical(left), canonical(right), "{left} / {right}");
    }
}

#[test]
fn meaning_makes_a_difference() {
    let texts = [
        "SELECT a FROM t.u",
        "SELECT A FROM t.u",
        "SELECT b FROM t.u",
        "SELECT a AS b FROM t.u",
        "SELECT a AS B FROM t.u",
        "SELECT a FROM t.v",
        "SELECT 'a' FROM t.u",
        "SELECT 'A' FROM t.u",
        "SELECT 1 FROM t.u",
        "SELECT 1.0 FROM t.u",
        "SELECT '1' FROM t.u",
        "SELECT a FROM t.u WHERE a > 1",
        "SELECT a FROM t.u WHERE a > 2",
        "SELECT a FROM t.u LIMIT 1",
        "SELECT DISTINCT a FROM t.u",
        "SELECT * FROM t.u",
        "SELECT * EXCEPT (a) FROM t.u",
        "SELECT current_date FROM t.u",
        "SELECT \"current_date\" FROM t.u",
        "SELECT lower(a) FROM t.u",
        "SELECT \"LOWER\"(a) FROM t.u",
        "SELECT a, b FROM t.u",
        "SELECT b, a FROM t.u",
        "SELECT p.a FROM t.u p, t.v q",
        "SELECT q.a FROM t.u p, t.v q",
        "SELECT p.a FROM t.v p, t.u q",
        "SELECT a -1 FROM t.u",
        "SELECT a \"-1\" FROM t.u",
        "SELECT true FROM t.u",
        "SELECT \"true\" FROM t.u",
        "SELECT E'\\n' FROM t.u",
        "SELECT '\\n' FROM t.u",
        "SELECT 'a''b' FROM t.u",
        "SELECT 'a' 'b' FROM t.u",
        "SELECT \"a\"\"b\" FROM t.u",
        "WITH u AS (SELECT 1 AS a) SELECT a FROM u",
        "WITH u AS (SELECT 1 AS a) SELECT a FROM t.u",
    ];
    let mut seen = std::collections::HashMap::new();
    for text in texts {
        let Ok(statements) = sluice_lake::sql::parse(text) else {
            continue;
        };
        if let Some(other) = seen.insert(normalise(&statements[0]), text) {
            panic!("`{other}` and `{text}` are one");
        }
    }
    assert!(seen.len() > 30);
}

#[test]
fn an_alias_that_names_a_column_stays() {
    // DataFusion calls these columns `x.a + Int64(1)` and `y.a + Int64(1)`.
    assert_ne!(
        canonical("SELECT x.a + 1 FROM t.u x"),
        canonical("SELECT y.a + 1 FROM t.u y")
    );
    assert_eq!(
        canonical("SELECT x.a + 1 AS b FROM t.u x"),
        canonical("SELECT y.a + 1 AS b FROM t.u y")
    );
}

#[test]
fn fresh_names_are_not_those_of_columns() {
    let plain = canonical("SELECT x.a, r0 FROM t.u x");
    assert_eq!(plain, canonical("SELECT y.a, r0 FROM t.u y"));
    assert_ne!(plain, canonical("SELECT y.a, r1 FROM t.u y"));
    assert_ne!(
        canonical("SELECT r0.a FROM t.u x, t.v r0"),
        canonical("SELECT r0.a FROM t.u r0, t.v x")
    );
}

#[test]
fn canonical_text_is_its_own_canonical_text() {
    for sql in [
        "SELECT a FROM t.u x JOIN t.v USING (b) WHERE x.c IN (1, 2) ORDER BY a DESC NULLS LAST LIMIT 3",
        "WITH x AS (SELECT 1 AS a) SELECT CASE WHEN a > 1 THEN 'b' ELSE NULL END AS c FROM x",
        "SELECT sum(a) OVER (PARTITION BY b ORDER BY c ROWS 2 PRECEDING) AS s FROM t.u",
        "SELECT a::INT AS b, CAST(c AS DOUBLE) AS d, INTERVAL '1' DAY AS e FROM t.u",
    ] {
        let once = canonical(sql);
        assert!(!once.starts_with("tree:"), "{once}");
        assert_eq!(canonical(&once), once);
    }
}

#[test]
fn rules_have_an_identity_too() {
    let canonical = |text| normalise_expression(&parse_expression(text).unwrap());
    assert_eq!(
        canonical("quality  between 0 and 10"),
        canonical("\"quality\" BETWEEN 0 AND 10")
    );
    assert_ne!(canonical("quality > 1"), canonical("quality > 2"));
}

#[test]
fn how_aliases_are_called_does_not_show() {
    for alias in ["r", "r_", "r0", "r_0", "R1", "x"] {
        let sql = format!(
            "SELECT {alias}.a -- r_r_ {alias}0\n, 'r0' AS b FROM t.u {alias} WHERE {alias}.s['k'].f > 1 AND {alias}.s.f[1] > 0"
        );
        assert_eq!(
            canonical(&sql),
            canonical("SELECT q.a, 'r0' AS b FROM t.u AS q WHERE q.s['k'].f > 1 AND q.s.f[1] > 0"),
            "{sql}"
        );
    }
}

#[test]
fn long_queries_do_not_overflow_the_stack() {
    let terms: Vec<String> = (0..5000).map(|n| format!("a = {n}")).collect();
    let sql = format!("SELECT a FROM t.u WHERE {}", terms.join(" OR "));
    let text = canonical(&sql);
    assert!(text.contains("2999") && !text.starts_with("tree:"));
    assert_eq!(text, canonical(&text));
}
