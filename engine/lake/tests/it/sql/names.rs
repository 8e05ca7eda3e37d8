//! Names match in upper and lower case, quoted or not.

use super::{mistake, rows};

#[tokio::test]
async fn columns_take_the_spelling_of_their_schema() {
    let expected = ["pH=3.1 Quality=5", "pH=3.2 Quality=5"];
    for sql in [
        "SELECT pH, Quality FROM silver.wine WHERE quality = 5 ORDER BY id",
        "SELECT PH, quality FROM silver.wine WHERE QUALITY = 5 ORDER BY ID",
        r#"SELECT "ph", `QUALITY` FROM SILVER.Wine WHERE "quality" = 5 ORDER BY "Id""#,
        "SELECT w.ph, W.quality FROM Silver.WINE AS w WHERE w.QUALITY = 5 ORDER BY w.id",
        "SELECT Wine.PH, silver.wine.quality FROM silver.wine WHERE lake.silver.wine.quality = 5 ORDER BY wine.id",
        "SELECT ph, quality FROM LAKE.silver.wine WHERE quality = 5 ORDER BY id",
    ] {
        assert_eq!(rows(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn what_a_query_names_itself_is_found_again() {
    for sql in [
        "SELECT pH AS Acid, Quality FROM silver.wine WHERE id = 2 ORDER BY ACID",
        "SELECT * FROM (SELECT ph AS Acid, quality FROM silver.wine) WHERE acid = 3.3",
        "WITH Sour AS (SELECT id, ph AS Acid, quality FROM silver.wine) SELECT ACID, quality FROM sour WHERE sour.ID = 2",
        "WITH s (Acid, Quality) AS (SELECT ph, quality FROM silver.wine) SELECT acid, quality FROM S WHERE acid > 3.25",
        "SELECT t.acid, t.quality FROM (SELECT ph, quality FROM silver.wine) AS T (Acid, Quality) WHERE ACID > 3.25",
        "SELECT acid, quality FROM (SELECT ph AS Acid, quality, id FROM silver.wine UNION ALL SELECT 0, 0, 0) WHERE ID = 2",
    ] {
        assert_eq!(rows(sql).await, ["Acid=3.3 Quality=7"], "{sql}");
    }
}

#[tokio::test]
async fn aliases_serve_order_by_group_by_having_and_qualify() {
    assert_eq!(
        rows("SELECT Quality AS Grade, count(*) AS N FROM silver.wine GROUP BY GRADE HAVING n > 1 ORDER BY grade").await,
        ["Grade=5 N=2"]
    );
    assert_eq!(
        rows(
            "SELECT quality, count(*) AS n FROM silver.wine GROUP BY ALL ORDER BY N DESC, QUALITY"
        )
        .await,
        ["Quality=5 n=2", "Quality=7 n=1"]
    );
    assert_eq!(
        rows("SELECT id, row_number() OVER (PARTITION BY QUALITY ORDER BY PH DESC) AS Place FROM silver.wine QUALIFY place = 1 ORDER BY ID").await,
        ["id=2 Place=1", "id=3 Place=1"]
    );
    assert_eq!(
        rows("SELECT id, sum(quality) OVER Running AS s FROM silver.wine WINDOW running AS (ORDER BY ID) ORDER BY id").await,
        ["id=1 s=5", "id=2 s=12", "id=3 s=17"]
    );
    assert_eq!(
        rows("SELECT DISTINCT ON (QUALITY) quality, id FROM silver.wine ORDER BY Quality, ID DESC")
            .await,
        ["Quality=5 id=3", "Quality=7 id=2"]
    );
    assert_eq!(
        rows("SELECT id AS k FROM silver.wine UNION SELECT 9 ORDER BY K DESC LIMIT 2").await,
        ["k=9", "k=3"]
    );
}

#[tokio::test]
async fn an_alias_gives_way_to_a_column_except_in_order_by() {
    assert_eq!(
        rows("SELECT -quality AS ID FROM silver.wine ORDER BY id, 1").await,
        ["ID=-7", "ID=-5", "ID=-5"]
    );
    assert_eq!(
        rows("SELECT count(*) AS n, max(quality) AS PH FROM silver.wine GROUP BY ph ORDER BY n")
            .await
            .len(),
        3
    );
}

#[tokio::test]
async fn lists_after_a_star_take_any_case() {
    for sql in [
        "SELECT * EXCEPT (PH, Is_Red, WINERY) FROM silver.wine WHERE id = 2",
        "SELECT * EXCLUDE (ph, is_red, winery) FROM silver.wine WHERE id = 2",
        "SELECT w.* EXCEPT (PH, is_RED, winery) FROM silver.wine AS W WHERE id = 2",
        "SELECT Wine.* EXCEPT (PH, is_RED, winery) FROM silver.wine WHERE id = 2",
        "SELECT * FROM (SELECT * EXCEPT (ph, is_red, winery) FROM silver.wine) WHERE ID = 2",
        "FROM (SELECT * EXCEPT (ph, is_red, winery) FROM silver.wine WHERE ID = 2)",
        "FROM silver.wine SELECT id, QUALITY WHERE ID = 2",
    ] {
        assert_eq!(rows(sql).await, ["id=2 Quality=7"], "{sql}");
    }
    assert_eq!(
        rows("SELECT * EXCEPT (is_red, winery) REPLACE (QUALITY * 10 AS quality) FROM silver.wine WHERE id = 2").await,
        ["id=2 pH=3.3 Quality=70"]
    );
    assert_eq!(
        rows("SELECT QUALITY FROM (SELECT * REPLACE (1 AS quality) FROM silver.wine) LIMIT 1")
            .await,
        ["Quality=1"]
    );
}

#[tokio::test]
async fn joins_find_columns_on_both_sides() {
    for sql in [
        "SELECT w.id, PRICE FROM silver.wine W JOIN gold.PRICES p ON w.ID = P.id WHERE price > 10",
        "SELECT id, price FROM silver.wine JOIN gold.prices USING (ID) WHERE price > 10",
        "SELECT ID, price FROM silver.wine NATURAL JOIN gold.prices WHERE PRICE > 10",
        "SELECT w.id, price FROM silver.wine w, gold.prices p WHERE w.ID = p.ID AND price > 10",
        "SELECT w.id, p.price FROM silver.wine w JOIN LATERAL (SELECT price FROM gold.prices q WHERE q.ID = W.ID) p ON true WHERE PRICE > 10",
    ] {
        assert_eq!(rows(sql).await, ["id=2 Price=12.0"], "{sql}");
    }
    assert_eq!(
        rows(
            "SELECT * FROM silver.wine LEFT SEMI JOIN gold.visits v ON wine.id = v.id WHERE ID = 2"
        )
        .await,
        ["id=2 pH=3.3 Quality=7 is_red=false winery=B"]
    );
    assert_eq!(
        rows("SELECT * EXCEPT (ph, is_red, winery) FROM silver.wine JOIN gold.prices USING (id) WHERE id = 2").await,
        ["id=2 Quality=7 Price=12.0"]
    );
}

#[tokio::test]
async fn subqueries_see_the_tables_around_them() {
    for sql in [
        "SELECT ID FROM silver.wine w WHERE EXISTS (SELECT 1 FROM gold.visits v WHERE V.id = W.ID AND Day = 11)",
        "SELECT id FROM silver.wine WHERE ID IN (SELECT id FROM gold.visits WHERE DAY = 11)",
        "SELECT id FROM silver.wine WHERE PH = (SELECT min(PH) FROM silver.wine)",
        "SELECT id FROM silver.wine w WHERE (SELECT count(*) FROM gold.visits WHERE visits.id = w.id) = 2",
    ] {
        assert_eq!(rows(sql).await, ["id=1"], "{sql}");
    }
}

#[tokio::test]
async fn fields_of_structs_take_the_spelling_of_their_type() {
    for sql in [
        "SELECT place.town AS t FROM gold.wineries WHERE WINERY = 'A'",
        "SELECT w.PLACE.TOWN AS t FROM gold.wineries w WHERE w.place.zip = 4000",
        "SELECT wineries.place['Town'] AS t FROM gold.wineries WHERE place.ZIP = 4000",
        "SELECT gold.wineries.place.town AS t FROM gold.wineries WHERE winery = 'A'",
    ] {
        assert_eq!(rows(sql).await, ["t=Porto"], "{sql}");
    }
}

#[tokio::test]
async fn ctes_shadow_tables_only_where_they_are_in_scope() {
    assert_eq!(
        rows("WITH RECURSIVE Steps (N) AS (SELECT 1 UNION ALL SELECT n + 1 FROM STEPS WHERE n < 3) SELECT sum(N) AS s FROM steps").await,
        ["s=6"]
    );
    assert_eq!(
        rows("WITH a AS (SELECT id FROM silver.wine), b AS (SELECT A.ID FROM A) SELECT count(*) AS n FROM B").await,
        ["n=3"]
    );
    assert_eq!(
        rows("WITH t AS (SELECT 1 AS x), u AS (WITH T AS (SELECT 2 AS x) SELECT t.X FROM t) SELECT t.x AS a, U.x AS b FROM T, u").await,
        ["a=1 b=2"]
    );
}

#[tokio::test]
async fn a_name_of_two_tables_is_refused_in_any_case() {
    assert_eq!(
        mistake("SELECT id FROM silver.wine JOIN gold.visits ON true").await,
        "1:8 'id' `id` is ambiguous (write `wine.id` or `visits.ID`)"
    );
    assert_eq!(
        mistake("SELECT wine.id FROM silver.wine JOIN bronze.wine ON true").await,
        "1:13 'id' `id` is ambiguous (write `silver.wine.id` or `bronze.wine.id`)"
    );
    assert_eq!(
        mistake("SELECT b FROM (SELECT 1 AS A, 2 AS a), (SELECT 3 AS b) WHERE a = 1 AND B = A AND Aa = 1").await,
        "1:82 'Aa' unknown column `Aa` (did you mean `A`?)"
    );
    assert_eq!(
        mistake("SELECT id FROM silver.wine JOIN gold.prices USING (id) JOIN gold.visits v ON v.id = prices.id").await,
        "1:8 'id' `id` is ambiguous (write `wine.id` or `prices.id` or `v.ID`)"
    );
    assert_eq!(
        mistake("WITH a AS (SELECT 1), A AS (SELECT 2) SELECT 1").await,
        "1:23 'A' WITH names `A` twice"
    );
}

#[tokio::test]
async fn a_merged_column_has_the_value_of_the_side_that_is_there() {
    // gold.visits spells it ID and has no 3; gold.prices has.
    let day = "SELECT 1 AS id, 10 AS day UNION ALL SELECT 4, 40";
    for (join, expected) in [
        (
            "LEFT",
            vec![
                "id=1 Price=9.5 day=10",
                "id=2 Price=12.0 day=",
                "id=3 Price=7.0 day=",
            ],
        ),
        ("RIGHT", vec!["id=1 Price=9.5 day=10", "id=4 Price= day=40"]),
        (
            "FULL",
            vec![
                "id=1 Price=9.5 day=10",
                "id=2 Price=12.0 day=",
                "id=3 Price=7.0 day=",
                "id=4 Price= day=40",
            ],
        ),
        ("INNER", vec!["id=1 Price=9.5 day=10"]),
    ] {
        for sql in [
            format!("SELECT * FROM gold.prices {join} JOIN ({day}) USING (ID) ORDER BY id"),
            format!(
                "SELECT Id, price, day FROM gold.prices {join} JOIN ({day}) AS a USING (id) ORDER BY ID"
            ),
            format!(
                "SELECT * FROM gold.prices NATURAL {join} JOIN ({day}) d WHERE id > 0 ORDER BY id"
            ),
            format!(
                "SELECT * REPLACE (Price AS PRICE) FROM gold.prices {join} JOIN ({day}) USING (id) ORDER BY id"
            ),
        ] {
            assert_eq!(rows(&sql).await, expected, "{sql}");
        }
    }
    assert_eq!(
        rows("SELECT id, count(*) AS n FROM gold.prices LEFT JOIN gold.visits USING (id) GROUP BY id HAVING id < 3 ORDER BY id").await,
        ["id=1 n=2", "id=2 n=1"]
    );
    assert_eq!(
        rows("SELECT * EXCEPT (day) FROM gold.prices FULL JOIN gold.visits USING (id) FULL JOIN (SELECT 9 AS iD) USING (id) ORDER BY id DESC LIMIT 2").await,
        ["id=9 Price=", "id=3 Price=7.0"]
    );
    assert_eq!(
        rows("SELECT visits.* FROM gold.prices JOIN gold.visits USING (id) WHERE id = 2").await,
        ["ID=2 day=10"]
    );
}

#[tokio::test]
async fn names_are_found_in_every_kind_of_expression() {
    for expression in [
        "CASE ID WHEN 1 THEN QUALITY ELSE -ID END",
        "CASE WHEN IS_RED THEN PH ELSE 0 END",
        "coalesce(NULLIF(ID, 1), QUALITY)",
        "CAST(PH AS INT) + ID::BIGINT + TRY_CAST(WINERY AS INT)",
        "ID IN (1, QUALITY) AND PH BETWEEN ID AND QUALITY",
        "WINERY LIKE 'A%' OR WINERY ILIKE 'a%' OR WINERY SIMILAR TO 'A'",
        "ID IS NOT NULL AND NOT IS_RED AND IS_RED IS NOT TRUE AND ID IS DISTINCT FROM QUALITY",
        "EXTRACT(year FROM to_timestamp(ID)) + date_part('day', to_timestamp(QUALITY))",
        "to_timestamp(ID) + INTERVAL '1' DAY",
        "substring(WINERY FROM 1 FOR ID) || trim(BOTH ' ' FROM WINERY) || upper(WINERY)",
        "position('A' IN WINERY) + ceil(PH) + floor(PH)",
        "[ID, QUALITY][1] + array_length([ID])",
        "{'a': ID, 'b': QUALITY}['a']",
        "named_struct('Deep', PH)['Deep']",
        "struct(ID, PH)",
        "MAP {'k': ID}['k']",
        "sum(ID) FILTER (WHERE QUALITY > 5)",
        "array_agg(ID ORDER BY PH DESC)",
        "sum(DISTINCT QUALITY) + count(*)",
        "avg(PH) OVER (PARTITION BY QUALITY ORDER BY ID ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
        "first_value(ID) IGNORE NULLS OVER (ORDER BY PH)",
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY PH)",
        "(SELECT max(v.DAY) FROM gold.visits v WHERE V.id = W.ID)",
        "ID = ANY ([1, QUALITY])",
        "E'\\n' || WINERY",
    ] {
        let sql = format!("SELECT {expression} AS x FROM silver.wine AS w");
        assert!(!rows(&sql).await.is_empty(), "{sql}");
    }
    assert_eq!(
        rows("SELECT QUALITY, count(*) AS n FROM silver.wine GROUP BY ROLLUP (quality) ORDER BY N, Quality").await,
        ["Quality=7 n=1", "Quality=5 n=2", "Quality= n=3"]
    );
    assert_eq!(
        rows("SELECT w.QUALITY AS q, max(W.pH) AS p FROM silver.wine w GROUP BY GROUPING SETS ((W.Quality), ()) ORDER BY Q NULLS FIRST").await,
        ["q= p=3.3", "q=5 p=3.2", "q=7 p=3.3"]
    );
    assert_eq!(
        rows("SELECT X AS y FROM unnest([1, 2]) AS t (x) WHERE T.x > 1").await,
        ["y=2"]
    );
    assert_eq!(
        rows("SELECT g.Value FROM generate_series(1, 2) AS G (VALUE) ORDER BY value DESC LIMIT 1")
            .await,
        ["VALUE=2"]
    );
    assert_eq!(
        rows("SELECT COLUMN1, b.COLUMN2 FROM (VALUES (1, 2)) AS B").await,
        ["column1=1 column2=2"]
    );
}
