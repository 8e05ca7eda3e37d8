//! Mistakes are reported where they are, with what to write instead.

use super::{mistake, render};
use sluice_lake::sql::{SqlErrorKind, parse_expression, parse_query, plan, plan_expression};

#[tokio::test]
async fn typing_errors_have_their_place() {
    assert_eq!(
        mistake("SELCT 1").await,
        "1:1 'SELCT' expected an SQL statement, found `SELCT` (did you mean SELECT instead of `SELCT`?)"
    );
    assert_eq!(
        mistake("SELECT id\nFORM silver.wine").await,
        "2:6 'silver' expected the end of the statement, found `silver` (did you mean FROM instead of `FORM`?)"
    );
    assert_eq!(
        mistake("SELECT id, FROM silver.wine WHERE").await,
        "1:34 '' expected an expression, found the end of the text"
    );
    assert_eq!(
        mistake("SELECT 'ä', (1 + ) FROM silver.wine").await,
        "1:18 ')' expected an expression, found `)`"
    );
    assert_eq!(
        mistake("SELECT 'oh").await,
        "1:8 ''' unterminated string literal"
    );
}

#[tokio::test]
async fn unknown_columns_suggest_known_ones() {
    assert_eq!(
        mistake("SELECT id,\n  qualty\nFROM silver.wine").await,
        "2:3 'qualty' unknown column `qualty` (did you mean `Quality`?)"
    );
    assert_eq!(
        mistake("SELECT w.prize FROM silver.wine w").await,
        "1:10 'prize' `w` has no column `prize` (there are `id`, `pH`, `Quality`, `is_red`, `winery`)"
    );
    assert_eq!(
        mistake("SELECT wnie.id FROM silver.wine AS wine").await,
        "1:8 'wnie' nothing is called `wnie` here (did you mean `wine`?)"
    );
    assert_eq!(
        mistake("SELECT * EXCEPT (qualty) FROM silver.wine").await,
        "1:18 'qualty' unknown column `qualty` (did you mean `Quality`?)"
    );
    assert_eq!(
        mistake("SELECT 1 FROM silver.wine JOIN gold.prices USING (prise)").await,
        "1:51 'prise' the tables do not both have a column `prise` (there are `id`)"
    );
    assert_eq!(
        mistake("SELECT pH AS acid, acid * 2 AS twice FROM silver.wine").await,
        "1:20 'acid' unknown column `acid` (`acid` is a name that this SELECT gives: repeat the expression, or use WITH)"
    );
    assert_eq!(
        mistake("SELECT red").await,
        "1:8 'red' unknown column `red` (there is no FROM here; if `red` is text, write it as 'red')"
    );
    assert_eq!(
        mistake("SELECT x.id FROM (SELECT id FROM silver.wine WHERE qualty = 1) x").await,
        "1:52 'qualty' unknown column `qualty` (did you mean `Quality`?)"
    );
}

#[tokio::test]
async fn unknown_tables_suggest_known_ones() {
    assert_eq!(
        mistake("SELECT 1 FROM sliver.wine").await,
        "1:15 'sliver.wine' unknown table `sliver.wine` (did you mean `silver.wine`?)"
    );
    assert_eq!(
        mistake("SELECT 1 FROM wine").await,
        "1:15 'wine' unknown table `wine` (write its layer too: `bronze.wine` or `silver.wine`)"
    );
    assert_eq!(
        mistake("SELECT 1 FROM pricse").await,
        "1:15 'pricse' unknown table `pricse` (did you mean `gold.prices`?)"
    );
    assert_eq!(
        mistake("SELECT 1 FROM bronze.prices").await,
        "1:15 'bronze.prices' unknown table `bronze.prices` (did you mean `gold.prices`?)"
    );
    assert_eq!(
        mistake("SELECT 1 FROM lakes.silver.wine").await,
        "1:15 'lakes.silver.wine' unknown catalog `lakes` (did you mean `lake`?)"
    );
    assert_eq!(
        mistake("SELECT 1 FROM a.b.c.d").await,
        "1:15 'a.b.c.d' `a.b.c.d` has too many parts (write layer.table or catalog.layer.table)"
    );
    assert_eq!(
        mistake("SELECT 1 FROM 'data.csv'").await,
        "1:15 ''data.csv'' unknown table `data.csv` (tables are named layer.table)"
    );
}

#[tokio::test]
async fn unknown_functions_suggest_known_ones() {
    assert_eq!(
        mistake("SELECT id, lowr(winery) FROM silver.wine").await,
        "1:12 'lowr' unknown function `lowr` (did you mean `lower`?)"
    );
    assert_eq!(
        mistake("SELECT fly_to_the_moon(1)").await,
        "1:8 'fly_to_the_moon' unknown function `fly_to_the_moon`"
    );
}

#[tokio::test]
async fn what_does_not_fit_together_is_found_while_planning() {
    for (sql, expected) in [
        (
            "SELECT id,\n  abs(winery) FROM silver.wine",
            "2:3 'abs' function 'abs' expects Numeric but received String",
        ),
        (
            "SELECT 1 FROM silver.wine WHERE is_red + 1 > 2",
            "1:1 'SELECT' cannot coerce arithmetic expression Boolean + BIGINT to valid types",
        ),
        (
            "SELECT winery, ph FROM silver.wine GROUP BY winery",
            "1:16 'ph' 'silver.wine.pH' must appear in GROUP BY clause because it's not an aggregate expression \
             (either add 'silver.wine.pH' to GROUP BY clause, or use an aggregate function like ANY_VALUE(silver.wine.pH))",
        ),
        (
            "SELECT id FROM silver.wine WHERE sum(id) > 1",
            "1:1 'SELECT' aggregate functions are not allowed in the WHERE clause. Consider using HAVING instead",
        ),
        (
            "SELECT id FROM silver.wine WHERE ID",
            "1:34 'ID' cannot create filter with non-boolean predicate 'silver.wine.id' returning BIGINT",
        ),
        (
            "SELECT row_number() FROM silver.wine",
            "1:8 'row_number' `row_number` is a window function (write row_number(...) OVER (...))",
        ),
        (
            "SELECT sum(id) OVER Nowhere FROM silver.wine",
            "1:21 'Nowhere' the window Nowhere is not defined!",
        ),
        (
            "SELECT w.place.street FROM gold.wineries w",
            "1:16 'street' field street not found in struct",
        ),
        (
            "SELECT id FROM silver.wine WHERE id IN (SELECT id, pH FROM silver.wine)",
            "1:48 'id, pH' too many columns! The subquery should only return one column \
             (select only one column in the subquery)",
        ),
        (
            "SELECT * FROM silver.wine w JOIN silver.wine w ON true",
            "1:1 'SELECT' two tables called `w` have a column `id` (give each table an alias of its own)",
        ),
        (
            "SELECT CAST(winery AS NOTATYPE) FROM silver.wine",
            "1:1 'SELECT' unsupported SQL type NOTATYPE",
        ),
        (
            "SELECT DISTINCT id FROM silver.wine ORDER BY pH",
            "1:46 'pH' for SELECT DISTINCT, ORDER BY expressions silver.wine.pH must appear in select list",
        ),
        (
            "SELECT id FROM silver.wine HAVING id > 1",
            "1:35 'id' HAVING clause references: silver.wine.id > 1 must appear in the GROUP BY clause or be used in an aggregate function",
        ),
        (
            "SELECT id FROM silver.wine ORDER BY 7",
            "1:1 'SELECT' order by column out of bounds, specified: 7, max: 1",
        ),
    ] {
        assert_eq!(mistake(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn only_questions_are_planned() {
    for (sql, place) in [
        (
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "1:1",
        ),
        ("COPY silver.wine TO 'out.csv'", "1:1"),
        ("SET datafusion.execution.target_partitions = 1", "1:1"),
        ("INSERT INTO silver.wine SELECT * FROM silver.wine", "1:1"),
        ("DROP TABLE silver.wine", "1:1"),
        (
            "EXPLAIN ANALYZE INSERT INTO silver.wine SELECT * FROM silver.wine",
            "1:1",
        ),
        (
            "WITH a AS (SELECT 1) INSERT INTO silver.wine SELECT * FROM a",
            "1:1",
        ),
        ("SELECT * INTO gold.copy FROM silver.wine", "1:1"),
        ("CREATE VIEW v AS SELECT 1", "1:1"),
        ("ATTACH DATABASE 'x' AS y", "1:1"),
    ] {
        let error = mistake(sql).await;
        assert!(error.starts_with(place), "{sql}: {error}");
        assert!(error.contains("is not a question"), "{sql}: {error}");
    }
    for sql in [
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT * FROM SILVER.wine",
        "DESCRIBE Silver.Wine",
        "SHOW TABLES",
        "SHOW COLUMNS FROM silver.WINE",
        "SELECT * FROM information_schema.tables",
        "VALUES (1), (2)",
        "SELECT * FROM generate_series(1, 3)",
    ] {
        assert!(!super::rows(sql).await.is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn what_the_planner_would_ignore_is_refused() {
    for (sql, what) in [
        (
            "SELECT * FROM silver.wine TABLESAMPLE (10 PERCENT)",
            "TABLESAMPLE",
        ),
        ("SELECT * FROM silver.wine FOR UPDATE", "FOR UPDATE"),
        ("SELECT id FROM silver.wine WHERE id = $1", "a placeholder"),
        ("SELECT id FROM silver.wine WHERE id = ?", "a placeholder"),
        ("SELECT TOP 3 id FROM silver.wine", "TOP"),
        ("SELECT id FROM silver.wine SORT BY id", "SORT BY"),
        (
            "SELECT id FROM silver.wine FETCH FIRST 2 ROWS ONLY",
            "FETCH",
        ),
    ] {
        let error = mistake(sql).await;
        assert!(
            error.contains(&format!("{what} is not supported")),
            "{sql}: {error}"
        );
    }
}

#[tokio::test]
async fn a_table_is_made_by_exactly_one_query() {
    for (sql, expected) in [
        ("", "1:1 '' there is no SQL here"),
        ("-- nothing\n", "1:11 '' there is no SQL here"),
        (
            "SELECT 1; SELECT 2",
            "1:11 'SELECT 2' a second statement: exactly one query can stand here",
        ),
        (
            "SHOW TABLES",
            "1:1 'SHOW TABLES' a table is made by a query: this statement is not one (write SELECT ... or WITH ... SELECT ...)",
        ),
    ] {
        assert_eq!(render(sql, &parse_query(sql).unwrap_err()), expected);
    }
    assert!(parse_query("SELECT 1 ; ;\n").is_ok());
}

#[tokio::test]
async fn rules_of_expectations_are_planned_over_one_table() {
    let ctx = super::lake();
    let schema = super::wine().schema();
    let rule = parse_expression("quality BETWEEN 0 AND 10 AND wine.PH > 0").unwrap();
    let planned = plan_expression(&ctx, &rule, "silver.wine", &schema).unwrap();
    assert_eq!(
        planned.to_string(),
        "silver.wine.Quality BETWEEN Int64(0) AND Int64(10) AND silver.wine.pH > Int64(0)"
    );
    for (text, expected) in [
        (
            "qualty > 0",
            "1:1 'qualty' unknown column `qualty` (did you mean `Quality`?)",
        ),
        (
            "quality >",
            "1:10 '' expected an expression, found the end of the text",
        ),
        (
            "quality > 0 drop",
            "1:13 'drop' expected the end of the expression, found `drop`",
        ),
        ("  ", "1:1 '' there is no expression here"),
        (
            "lowr(winery) = 'a'",
            "1:1 'lowr' unknown function `lowr` (did you mean `lower`?)",
        ),
    ] {
        let error = parse_expression(text)
            .and_then(|rule| plan_expression(&ctx, &rule, "silver.wine", &schema).map(drop))
            .unwrap_err();
        assert_eq!(render(text, &error), expected);
    }
}

#[tokio::test]
async fn errors_say_of_what_kind_they_are() {
    for (sql, kind) in [
        ("SELECT", SqlErrorKind::Syntax),
        ("DROP TABLE t", SqlErrorKind::NotReadOnly),
        ("SELECT TOP 1 1", SqlErrorKind::Unsupported),
        ("SELECT * FROM a.b", SqlErrorKind::UnknownTable),
        ("SELECT x FROM silver.wine", SqlErrorKind::UnknownColumn),
        ("SELECT x(1)", SqlErrorKind::UnknownFunction),
        (
            "SELECT id FROM silver.wine, gold.prices",
            SqlErrorKind::Ambiguous,
        ),
        ("SELECT 1 + true", SqlErrorKind::Planning),
    ] {
        let error = match sluice_lake::sql::parse(sql) {
            Ok(mut statements) => plan(&super::lake(), statements.remove(0))
                .await
                .unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind, kind, "{sql}: {error}");
    }
}

#[tokio::test]
async fn what_is_too_deep_is_an_error_and_not_a_crash() {
    let sum = vec!["1"; 3000].join(" + ");
    let error = mistake(&format!("SELECT {sum}")).await;
    assert!(
        error.starts_with("1:1 'SELECT' an expression is nested"),
        "{error}"
    );
    let nested = format!("SELECT {}1{}", "(".repeat(3000), ")".repeat(3000));
    let error = mistake(&nested).await;
    assert!(error.contains("nested too deeply"), "{error}");

    // What is refused is dropped as well, which takes stack where it is not taken apart.
    for (first, link) in [
        ("SELECT 1", " + 1"),
        ("SELECT 1", "::INT"),
        ("SELECT 1", " IS NULL"),
        ("SELECT 1", " BETWEEN 0 AND 1"),
        ("SELECT 1 AS x", " EXCEPT SELECT 1 AS x"),
        ("SELECT 1 AS x", " UNION SELECT 1 UNION ALL SELECT 1"),
    ] {
        let error = mistake(&format!("{first}{}", link.repeat(50_000))).await;
        assert!(
            error.contains("nested more than 200 deep"),
            "{link}: {error}"
        );
    }

    // The longest that are allowed do run, on a thread of the usual size.
    let sum = vec!["id"; 190].join(" + ");
    let either: Vec<String> = (0..2000).map(|n| format!("id = {n}")).collect();
    let sql = format!(
        "SELECT {sum} AS s FROM silver.wine WHERE {} ORDER BY id LIMIT 1",
        either.join(" OR ")
    );
    assert_eq!(super::rows(&sql).await, ["s=190"]);

    // Chains of UNION are as long as one likes, and their rows and names what they would be.
    for (union, rows) in [("UNION ALL", "n=602 s=615"), ("UNION", "n=3 s=16")] {
        let chain = format!(" {union} SELECT 1").repeat(600);
        let sql = format!(
            "SELECT count(i) AS n, sum(i) AS s FROM (SELECT 7 AS i{chain} {union} SELECT 8)"
        );
        assert_eq!(super::rows(&sql).await, [rows]);
    }
}
