//! What a statement depends on, told from its text alone.

use sluice_lake::sql::{function_calls, parse, plan, table_refs, volatile_call};

use super::{lake, one};

fn tables(sql: &str) -> Vec<String> {
    let statement = one(sql);
    let mut tables: Vec<String> = table_refs(&statement)
        .into_iter()
        .map(|table| {
            let span = table.span.unwrap();
            format!("{}@{}:{}", table.parts.join("."), span.line, span.column)
        })
        .collect();
    tables.sort();
    tables
}

#[test]
fn tables_are_found_wherever_they_stand() {
    assert_eq!(
        tables("SELECT * FROM a.b JOIN \"c\".d ON true, (SELECT 1 FROM e.f) x"),
        ["a.b@1:15", "c.d@1:24", "e.f@1:54"]
    );
    assert_eq!(
        tables(
            "SELECT (SELECT max(x) FROM a.b)\nFROM c.d WHERE y IN (SELECT z FROM e.f)\nORDER BY (SELECT 1 FROM g.h)"
        ),
        ["a.b@1:28", "c.d@2:6", "e.f@2:36", "g.h@3:25"]
    );
    assert_eq!(
        tables("SELECT 1 UNION SELECT 2 FROM a.b LIMIT (SELECT 1 FROM c.d)"),
        ["a.b@1:30", "c.d@1:55"]
    );
    assert_eq!(tables("EXPLAIN SELECT * FROM a.b"), ["a.b@1:23"]);
    assert_eq!(tables("DESCRIBE a.b"), ["a.b@1:10"]);
    assert_eq!(tables("FROM a.b"), ["a.b@1:6"]);
    assert_eq!(tables("SELECT * FROM a.b, a.b"), ["a.b@1:15", "a.b@1:20"]);
    assert_eq!(tables("SELECT sum(x) FILTER (WHERE y > (SELECT 1 FROM c.d)) OVER (ORDER BY (SELECT 1 FROM e.f)) FROM a.b").len(), 3);
}

#[test]
fn names_of_ctes_are_not_tables_where_they_are_in_scope() {
    assert_eq!(
        tables("WITH t AS (SELECT * FROM t) SELECT * FROM t"),
        ["t@1:26"]
    );
    assert_eq!(
        tables("WITH t AS (SELECT * FROM a.b) SELECT * FROM T JOIN a.t ON true"),
        ["a.b@1:26", "a.t@1:52"]
    );
    assert_eq!(
        tables("SELECT * FROM (WITH u AS (SELECT 1) SELECT * FROM u) x, u"),
        ["u@1:57"]
    );
    assert_eq!(
        tables("(WITH t AS (WITH u AS (SELECT 1) SELECT * FROM u) SELECT * FROM u CROSS JOIN t)"),
        ["u@1:65"]
    );
    assert_eq!(
        tables("(WITH t AS (SELECT 1) SELECT * FROM t) UNION (SELECT * FROM t)"),
        ["t@1:61"]
    );
    assert_eq!(
        tables(
            "WITH RECURSIVE t AS (SELECT 1 AS n FROM s UNION ALL SELECT n FROM t) SELECT * FROM t"
        ),
        ["s@1:41"]
    );
    assert_eq!(
        tables(
            "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b WHERE EXISTS (SELECT * FROM a)"
        ),
        [""; 0]
    );
    assert_eq!(
        tables("WITH b AS (SELECT * FROM a), a AS (SELECT 1) SELECT * FROM a"),
        ["a@1:26"]
    );
}

#[test]
fn columns_aliases_strings_and_functions_are_not_tables() {
    assert_eq!(
        tables("SELECT a.b, 'c.d' AS \"e.f\" FROM g.h AS a -- i.j\n WHERE /* k.l */ a.b = 1"),
        ["g.h@1:33"]
    );
    assert_eq!(
        tables("SELECT * FROM generate_series(1, 3) AS t (x), LATERAL unnest([1]) AS u"),
        [""; 0]
    );
}

#[test]
fn calls_are_found_with_their_literals() {
    let statement = one(
        "SELECT *, Predict('models:/a@production', *) AS p,\n  predict(E'models:/b\\x2f3', x, 'y')\nFROM t WHERE abs(predict('models:/c/1', x)) > 1 AND \"predict\" > 1 AND predict(name, x) > 1",
    );
    let calls = function_calls(&statement, "predict");
    let seen: Vec<(usize, usize, Option<&str>)> = calls
        .iter()
        .map(|call| {
            let span = call.span.unwrap();
            (
                span.line,
                call.args,
                call.literal(0).map(|l| l.value.as_str()),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, 2, Some("models:/a@production")),
            (2, 3, Some("models:/b/3")),
            (3, 2, Some("models:/c/1")),
            (3, 2, None),
        ]
    );
    let literal = calls[1].literal(2).unwrap();
    assert_eq!(&statement.text()[literal.span.unwrap().range()], "'y'");
    assert_eq!(&statement.text()[calls[0].span.unwrap().range()], "Predict");
}

#[test]
fn statements_know_their_place_in_the_text() {
    let text = "-- first\nSELECT 1;\n\n  SELECT 'ä;' ;\n";
    let statements = parse(text).unwrap();
    let places: Vec<&str> = statements.iter().map(|s| &text[s.span().range()]).collect();
    assert_eq!(places, ["SELECT 1", "SELECT 'ä;'"]);
    assert_eq!(
        (statements[1].span().line, statements[1].span().column),
        (4, 3)
    );
    assert!(parse("").unwrap().is_empty());
    assert!(parse(" ; -- nothing\n;").unwrap().is_empty());
}

#[test]
fn strings_keep_their_backslashes_and_numbers_their_underscores() {
    assert_eq!(
        one(r"SELECT regexp_like(x, '\d+') AND x <> E'a\n' AND y = 1_000")
            .ast()
            .to_string(),
        "SELECT regexp_like(x, '\\d+') AND x <> E'a\\n' AND y = 1_000"
    );
}

#[tokio::test]
async fn answers_that_change_by_themselves_are_told() {
    for (sql, call) in [
        ("SELECT id FROM silver.wine", None),
        ("SELECT sum(id) OVER (ORDER BY id) FROM silver.wine", None),
        (
            "SELECT abs(id) FROM silver.wine WHERE winery LIKE 'A%'",
            None,
        ),
        ("SELECT random()", Some("random()")),
        (
            "SELECT id FROM silver.wine WHERE id > (SELECT random())",
            Some("random()"),
        ),
        ("SELECT id FROM silver.wine ORDER BY uuid()", Some("uuid()")),
        ("SELECT now()", Some("now()")),
        ("SELECT current_date", Some("current_date()")),
        (
            "WITH t AS (SELECT now() AS n) SELECT 1 FROM t",
            Some("now()"),
        ),
        (
            "SELECT max(id + random()) FROM silver.wine",
            Some("random()"),
        ),
        (
            "SELECT 1 FROM silver.wine a JOIN silver.wine b ON a.id = b.id + random()",
            Some("random()"),
        ),
    ] {
        let plan = plan(&lake(), one(sql)).await.unwrap();
        assert_eq!(volatile_call(&plan).as_deref(), call, "{sql}");
    }
}
