//! Bytes of a SQL text lead back to the bytes of the file.

use sluice_pipelines::spec::{Spec, SqlText, TableBody};

use crate::language::load;

fn sql(spec: &Spec) -> &SqlText {
    spec.tables.get("a.b").unwrap().sql().unwrap()
}

/// Checks that `needle` of the SQL text was written as `written`, at a line and column.
fn check(yaml: &str, needle: &str, written: &str, line: usize, column: usize) {
    let spec = load(yaml);
    let sql = sql(&spec);
    let at = sql.text.find(needle).unwrap();
    let location = sql.to_source(at..at + needle.len());
    assert_eq!(
        location.source.slice(location.span),
        written,
        "{:?}",
        sql.text
    );
    let position = location.position();
    assert_eq!((position.line, position.column), (line, column));
    // The same by line and column of the SQL, as parsers count.
    let before = &sql.text[..at];
    let sql_line = before.matches('\n').count() + 1;
    let sql_column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    let located = sql.locate(sql_line, sql_column, needle.chars().count());
    assert_eq!(located.span, location.span);
}

const HEAD: &str = "pipeline: p\nvars: {seven: 7, neg: -1, name: O'Neill}\ntables:\n  a.b:\n";

#[test]
fn in_a_literal_block() {
    let yaml = format!(
        "{HEAD}    sql: |  # why\n\n        SELECT é,\n          needle\n\n        FROM   here\n    comment: x\n"
    );
    check(&yaml, "SELECT", "SELECT", 7, 9);
    check(&yaml, "needle", "needle", 8, 11);
    check(&yaml, "here", "here", 10, 16);
    check(&yaml, "é,\n  needle", "é,\n          needle", 7, 16);
}

#[test]
fn in_a_literal_block_with_indentation_indicator_and_keep() {
    let yaml = format!("{HEAD}    sql: |1+\n      SELECT\n     needle\n\n    comment: x\n");
    check(&yaml, "needle", "needle", 7, 6);
    check(&yaml, " SELECT", " SELECT", 6, 6);
}

#[test]
fn in_a_folded_block() {
    let yaml = format!(
        "{HEAD}    sql: >-\n      SELECT a,\n      needle,\n\n      c\n        more\n      FROM here\n"
    );
    check(&yaml, "needle", "needle", 7, 7);
    check(&yaml, "more", "more", 10, 9);
    check(&yaml, "here", "here", 11, 12);
}

#[test]
fn in_quotes() {
    let yaml = format!("{HEAD}    sql: 'SELECT ''x'', needle\n      FROM here'\n");
    check(&yaml, "needle", "needle", 5, 25);
    check(&yaml, "here", "here", 6, 12);
    check(&yaml, "'x'", "''x''", 5, 18);
    let yaml = format!(
        "{HEAD}    sql: \"SELECT \\\"x\\\",\\n  \\u00e9 AS needle, \\\n      c\n      FROM here\"\n"
    );
    check(&yaml, "needle", "needle", 5, 38);
    check(&yaml, "é", "\\u00e9", 5, 28);
    check(&yaml, "here", "here", 7, 12);
}

#[test]
fn in_a_plain_scalar() {
    let yaml = format!("{HEAD}    sql: SELECT a,\n      needle\n\n      FROM here  # why\n");
    check(&yaml, "needle", "needle", 6, 7);
    check(&yaml, "here", "here", 8, 12);
}

#[test]
fn with_windows_line_ends() {
    let yaml = format!("{HEAD}    sql: |\n      SELECT a,\n      needle\n      FROM here\n");
    let yaml = yaml.replace('\n', "\r\n");
    check(&yaml, "needle", "needle", 7, 7);
    check(&yaml, "here", "here", 8, 12);
}

#[test]
fn through_variables() {
    let yaml = format!(
        "{HEAD}    sql: |\n      SELECT ${{seven}} AS a, $$1, 3 -${{neg}} AS b, ${{name}} AS c,\n        '${{name}}' AS d, ${{ident:name}} AS needle -- ${{none}} $$ '\n      FROM here WHERE ${{seven}} = 7\n"
    );
    let spec = load(&yaml);
    assert_eq!(
        sql(&spec).text,
        "SELECT 7 AS a, $1, 3 -(-1) AS b, 'O''Neill' AS c,\n  'O''Neill' AS d, \"O'Neill\" AS needle -- ${none} $$ '\nFROM here WHERE 7 = 7\n"
    );
    check(&yaml, "7 AS a", "${seven} AS a", 6, 14);
    check(&yaml, "-1", "${neg}", 6, 37);
    check(&yaml, "b, 'O", "b, ${name}", 6, 47);
    check(&yaml, "needle", "needle", 7, 42);
    check(&yaml, "here", "here", 8, 12);
    check(&yaml, "7 = 7", "${seven} = 7", 8, 23);
}

#[test]
fn in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("pipeline.yaml");
    std::fs::write(
        folder.path().join("a.sql"),
        "\u{feff}SELECT ${seven},\n  needle\n",
    )
    .unwrap();
    std::fs::write(&pipeline, format!("{HEAD}    sql_file: a.sql\n")).unwrap();
    let project = sluice_pipelines::project::find_project(Some(folder.path())).unwrap();
    let (spec, _) = sluice_pipelines::spec::load(&project, &Default::default()).unwrap();
    let (_, table) = spec.tables.iter().next().unwrap();
    let TableBody::SqlFile(file) = &*table.body else {
        panic!("{table:?}");
    };
    assert_eq!(file.path.value, "a.sql");
    let sql = &file.sql;
    assert_eq!(sql.text, "SELECT 7,\n  needle\n");
    assert!(sql.source.path().ends_with("a.sql"));
    let at = sql.text.find("needle").unwrap();
    let location = sql.to_source(at..at + 6);
    assert_eq!(location.source.slice(location.span), "needle");
    assert_eq!(
        (location.position().line, location.position().column),
        (2, 3)
    );
    let variable = sql.to_source(7..8);
    assert_eq!(variable.source.slice(variable.span), "${seven}");
}

#[test]
fn places_behind_the_end_are_the_end() {
    let spec = load(&format!("{HEAD}    sql: |\n      SELECT\n      1\n"));
    let sql = sql(&spec);
    let end = sql.text.len();
    let location = sql.to_source(end..end);
    assert_eq!(location.position().line, 8);
    assert_eq!(sql.locate(99, 99, 5).span, location.span);
    assert_eq!(sql.to_source(end + 5..end + 9).span, location.span);
}
