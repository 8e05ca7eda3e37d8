//! `mode: merge` and `mode: scd2` with a rule that quarantines: what is in quarantine is what a
//! table that is made whole would put there.

use crate::sandbox::Sandbox;

const TABLES: &str = "\
tables:
  bronze.e:
    ingest:
      files: in/
      csv: {columns: {k: string, t: int, a: double, op: string}}
  gold.now:
    mode: {merge: {keys: [k], sequence_by: t, delete_when: op = 'D'}}
    expect: {big: {that: a > 1, otherwise: quarantine}}
    sql: SELECT k, t, a, op FROM bronze.e
  gold.plain:
    mode: {merge: {keys: [k], sequence_by: t}}
    expect: {big: {that: a > 1, otherwise: quarantine}}
    split: {parts: {train: 0.5, test: 0.5}, seed: 1}
    sql: SELECT k, t, a FROM bronze.e
  gold.h:
    mode: {scd2: {keys: [k], sequence_by: t, delete_when: op = 'D'}}
    expect: {big: {that: a > 1, otherwise: quarantine}}
    split: {parts: {train: 0.5, test: 0.5}, seed: 1}
    sql: SELECT k, t, a, op FROM bronze.e
";

/// The rows of the tables that keep last rows, and of the history, with those in quarantine.
async fn shown(sandbox: &Sandbox) -> [String; 3] {
    let last = |table: &str| {
        format!(
            "SELECT string_agg(place || k || t || ':' || a, ' ' ORDER BY place, k) FROM (
                SELECT '' AS place, k, t, a FROM {table} UNION ALL
                SELECT '!', k, t, a FROM {table}__quarantine)"
        )
    };
    let history = "SELECT string_agg(place || k || s || '-' || coalesce(CAST(e AS VARCHAR), '')
            || ':' || a, ' ' ORDER BY place, k, s) FROM (
        SELECT '' AS place, k, __start_at AS s, __end_at AS e, a FROM gold.h UNION ALL
        SELECT '!', k, __start_at, __end_at, a FROM gold.h__quarantine)";
    [
        sandbox.value(&last("gold.now")).await,
        sandbox.value(&last("gold.plain")).await,
        sandbox.value(history).await,
    ]
}

/// Brings tables up to date file after file (`name: rows`); shows them at the end, and that
/// tables that are made whole are the same.
async fn told(files: &[(&str, &str)]) -> [String; 3] {
    let sandbox = Sandbox::new(TABLES);
    let put = |(file, rows): &(&str, &str)| {
        let rows = rows.replace(' ', "\n");
        sandbox.write(&format!("in/{file}.csv"), format!("k,t,a,op\n{rows}\n"));
    };
    for file in files {
        put(file);
        sandbox.run_well().await;
    }
    let is = shown(&sandbox).await;
    let mut plan = sandbox.checked().await;
    let gold = ["gold.now", "gold.plain", "gold.h"];
    plan.refreshed = gold.map(|name| plan.position(name).unwrap()).into();
    sandbox.try_run(plan, |_, _| {}).await.unwrap();
    assert_eq!(is, shown(&sandbox).await, "after {files:?}");
    is
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_quarantine_stay_when_their_key_goes_on() {
    let files = [("a", "c,3,0.5,U c,7,1.5,U"), ("b", "c,9,1.5,U")];
    insta::assert_snapshot!(told(&files).await.join("\n"), @r"
    c9:1.5
    c9:1.5
    c7-9:1.5 c9-:1.5 !c3-7:0.5
    ");
    let files = [
        ("a", "c,11,0.5,U"),
        ("b", "c,3,1.5,U"),
        ("c", "c,4,1.5,U"),
        ("d", "c,4,1.5,U c,2,0.1,U"),
    ];
    insta::assert_snapshot!(told(&files).await.join("\n"), @r"
    !c11:0.5
    !c11:0.5
    c3-4:1.5 c4-11:1.5 !c2-3:0.1 !c11-:0.5
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_quarantine_go_with_their_key() {
    let files = [
        ("a", "c,1,0.5,U a,1,2,U"),
        ("b", "c,2,2,D z,1,1.5,U"),
        // What comes late is compared with what is in quarantine, and with what is gone.
        ("c", "z,0,0.5,U c,0,2,U y,5,0.5,U"),
        ("d", "y,4,3,U y,6,3,U"),
    ];
    insta::assert_snapshot!(told(&files).await.join("\n"), @r"
    a1:2.0 y6:3.0 z1:1.5
    a1:2.0 c2:2.0 y6:3.0 z1:1.5
    a1-:2.0 c0-1:2.0 y4-5:3.0 y6-:3.0 z1-:1.5 !c1-2:0.5 !y5-6:0.5 !z0-1:0.5
    ");
}

/// Of a source that is written anew the last rows know nothing any more; a history does.
#[tokio::test(flavor = "multi_thread")]
async fn rows_in_quarantine_go_with_the_rows_of_the_source() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("in/a.csv", "k,t,a,op\nc,1,0.5,U\na,1,2,U\n");
    sandbox.run_well().await;
    sandbox.write("in/a.csv", "k,t,a,op\na,1,2,U\nb,1,0.5,U\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(shown(&sandbox).await.join("\n"), @r"
    a1:2.0 !b1:0.5
    a1:2.0 !b1:0.5
    a1-:2.0 !b1-:0.5 !c1-:0.5
    ");
    sandbox.write("in/b.csv", "k,t,a,op\na,4,0.5,U\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(shown(&sandbox).await.join("\n"), @r"
    !a4:0.5 !b1:0.5
    !a4:0.5 !b1:0.5
    a1-4:2.0 !a4-:0.5 !b1-:0.5 !c1-:0.5
    ");
}
