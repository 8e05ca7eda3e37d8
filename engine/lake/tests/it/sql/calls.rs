//! Rewriting calls with the columns that they can see.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned,
};
use sluice_lake::sql::{
    ScopeColumns, SqlError, SqlErrorKind, TableSchemas, table_schemas, visit_calls_mut,
};

use super::{lake, one, render, schema_of};

/// Every call of `score` with what its arguments can see.
async fn scopes(sql: &str) -> Vec<String> {
    let ctx = lake();
    let mut statement = one(sql);
    let schemas = table_schemas(&ctx, &statement).await.unwrap();
    let mut seen = Vec::new();
    visit_calls_mut(&mut statement, "score", &schemas, &mut |_, scope| {
        let columns = scope.columns.iter().map(|column| {
            let expr = column.to_expr().to_string().replace('"', "");
            match &column.data_type {
                Some(data_type) => format!("{expr} {data_type}"),
                None => expr,
            }
        });
        let mut text = columns.collect::<Vec<_>>().join(", ");
        if !scope.complete {
            text.push_str(", ...");
        }
        seen.push(text);
        Ok(())
    })
    .unwrap();
    seen
}

#[tokio::test]
async fn a_call_sees_the_columns_of_its_select() {
    assert_eq!(
        scopes("SELECT Score('m', *) FROM gold.prices").await,
        ["gold.prices.id Int64, gold.prices.Price Float64"]
    );
    assert_eq!(
        scopes("SELECT 1 + abs(score('m', *)) FROM gold.prices AS p WHERE score('m', id) > 1")
            .await,
        ["p.id Int64, p.Price Float64", "p.id Int64, p.Price Float64"]
    );
    assert_eq!(
        scopes(
            "WITH t AS (SELECT id, price * 2 AS Double FROM gold.prices) SELECT score(*) FROM T"
        )
        .await,
        ["t.id Int64, t.Double"]
    );
    assert_eq!(
        scopes("SELECT score(*) FROM (SELECT price, id + 1 FROM gold.prices)").await,
        ["Price Float64, ..."]
    );
    assert_eq!(
        scopes("SELECT score(*) FROM gold.prices JOIN gold.visits v ON prices.id = v.id").await,
        ["gold.prices.id Int64, gold.prices.Price Float64, v.ID Int64, v.day Int64"]
    );
    assert_eq!(
        scopes("SELECT score(*) FROM gold.prices JOIN silver.wine USING (ID)").await,
        [
            "id Int64, gold.prices.Price Float64, silver.wine.pH Float64, silver.wine.Quality Int64, silver.wine.is_red Boolean, silver.wine.winery Utf8"
        ]
    );
    assert_eq!(scopes("SELECT score(1)").await, [""]);
    assert_eq!(
        scopes("SELECT (SELECT score(*) FROM gold.prices p) FROM gold.visits").await,
        ["p.id Int64, p.Price Float64"]
    );
}

fn expand(function: &mut Function, scope: &ScopeColumns) -> Result<(), SqlError> {
    let place = scope.place(function.span());
    let FunctionArguments::List(list) = &mut function.args else {
        return Ok(());
    };
    let mut wanted = Vec::new();
    for name in ["price", "id"] {
        match scope.named(name).as_slice() {
            [column] => wanted.push(column.to_expr()),
            _ => {
                let message = format!("the model needs `{name}`");
                return Err(SqlError::new(SqlErrorKind::UnknownColumn, message).at(place));
            }
        }
    }
    list.args
        .retain(|arg| !matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Wildcard)));
    list.args.extend(
        wanted
            .into_iter()
            .map(|expr: Expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))),
    );
    Ok(())
}

#[tokio::test]
async fn a_star_is_expanded_by_the_names_in_scope() {
    let ctx = lake();
    let mut statement = one("SELECT score('m', *), PRICE FROM gold.prices p");
    let schemas = table_schemas(&ctx, &statement).await.unwrap();
    visit_calls_mut(&mut statement, "SCORE", &schemas, &mut expand).unwrap();
    assert_eq!(
        statement.ast().to_string(),
        "SELECT score('m', \"p\".\"Price\", \"p\".\"id\"), Price FROM gold.prices p"
    );
}

#[tokio::test]
async fn an_error_of_the_caller_stops_the_walk() {
    let sql = "SELECT x FROM a.b WHERE score('m', *) > 1";
    let mut statement = one(sql);
    let mut schemas = TableSchemas::new();
    schemas.insert(&["A", "B"], schema_of(&[("X", DataType::Int64)]));
    let error = visit_calls_mut(&mut statement, "score", &schemas, &mut expand).unwrap_err();
    assert!(
        render(sql, &error).starts_with("1:25 'score("),
        "{}",
        render(sql, &error)
    );
    assert_eq!(error.message, "the model needs `price`");
}
