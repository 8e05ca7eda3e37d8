//! `mode: merge` and `mode: scd2`: rules on what is there after the merge, and what happens
//! when it cannot be told which keys changed.

use crate::sandbox::Sandbox;

const TABLES: &str = "\
tables:
  bronze.wine:
    ingest: {files: data/*.csv}
  bronze.names:
    ingest: {files: names.csv}
  silver.wine:
    mode: {merge: {keys: [id], sequence_by: at, from: bronze.wine}}
    expect:
      one_label: {unique: label, otherwise: fail}
      good:
        that: quality > 3
        otherwise: drop
    sql: |
      SELECT w.id, w.at, w.quality, w.label, n.name
      FROM bronze.wine AS w LEFT JOIN bronze.names AS n ON n.quality = w.quality
  silver.history:
    mode: {scd2: {keys: [id], sequence_by: at}}
    sql: |
      SELECT id, at, quality FROM bronze.wine
";

const NOW: &str = "SELECT string_agg(id || ':' || quality, ' ' ORDER BY id) FROM silver.wine";
const HISTORY: &str = "SELECT string_agg(id || ':' || quality || ' ' || __start_at || '-' ||
    coalesce(CAST(__end_at AS VARCHAR), ''), ', ' ORDER BY id, __start_at) FROM silver.history";

async fn made() -> Sandbox {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", "id,at,quality,label\n1,10,5,a\n2,10,6,b\n");
    sandbox.write("names.csv", "quality,name\n5,fair\n6,good\n");
    sandbox.run_well().await;
    sandbox
}

async fn refresh(sandbox: &Sandbox, asset: &str) {
    let mut plan = sandbox.checked().await;
    plan.refreshed = [plan.position(asset).unwrap()].into();
    sandbox.try_run(plan, |_, _| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_about_the_table_after_the_merge() {
    let sandbox = made().await;
    // A label that a row has which stays.
    sandbox.write("data/b.csv", "id,at,quality,label\n3,10,7,b\n");
    let ran = sandbox.run().await;
    let failure = ran.failure("silver.wine").to_owned();
    assert!(
        failure.contains("`one_label` failed: 1 of 3 rows"),
        "{failure}"
    );
    assert_eq!(sandbox.value(NOW).await, "1:5 2:6");
    // The same label where that row gives it up.
    sandbox.write("data/b.csv", "id,at,quality,label\n3,10,7,b\n2,11,6,c\n");
    sandbox.run_well().await;
    assert_eq!(sandbox.value(NOW).await, "1:5 2:6 3:7");
    // A last row that a rule drops: its key is not there, nor is an older one that comes late.
    sandbox.write("data/c.csv", "id,at,quality,label\n1,20,1,a\n");
    sandbox.run_well().await;
    sandbox.write("data/d.csv", "id,at,quality,label\n1,15,9,a\n");
    sandbox.run_well().await;
    assert_eq!(sandbox.value(NOW).await, "2:6 3:7");
    assert_eq!(
        sandbox.value(HISTORY).await,
        "1:5 10-15, 1:9 15-20, 1:1 20-, 2:6 10-11, 2:6 11-, 3:7 10-"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_beside_decides_about_all_rows() {
    let sandbox = made().await;
    sandbox.write("names.csv", "quality,name\n5,fine\n6,good\n");
    sandbox.run_well().await;
    let fine = "SELECT count(*) FROM silver.wine WHERE name = 'fine'";
    assert_eq!(sandbox.value(fine).await, "1");
    sandbox.edit("silver.wine:\n", "silver.wine:\n    refresh: strict\n");
    sandbox.write("names.csv", "quality,name\n5,finer\n6,good\n");
    let failure = sandbox.run().await.failure("silver.wine").to_owned();
    assert!(
        failure.contains("`refresh` is `strict`: bronze.names is at version 2 (was 1)"),
        "{failure}"
    );
    assert_eq!(sandbox.value(fine).await, "1");
    refresh(&sandbox, "silver.wine").await;
    assert_eq!(sandbox.value(fine).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_not_made_anew_unless_somebody_asks() {
    let sandbox = made().await;
    sandbox.write("data/a.csv", "id,at,quality,label\n1,12,5,a\n2,10,6,b\n");
    sandbox.run_well().await;
    let known = "1:5 10-12, 1:5 12-, 2:6 10-";
    assert_eq!(sandbox.value(HISTORY).await, known);

    // The source is another table of the same name: every key is compared.
    std::fs::remove_dir_all(sandbox.path("lakehouse/bronze/wine")).unwrap();
    sandbox.write("data/b.csv", "id,at,quality,label\n2,30,4,c\n");
    sandbox.run_well().await;
    let known = "1:5 10-12, 1:5 12-, 2:6 10-30, 2:4 30-";
    assert_eq!(sandbox.value(HISTORY).await, known);

    sandbox.edit(
        "SELECT id, at, quality FROM",
        "SELECT id, at, quality + 0 AS quality FROM",
    );
    let plan = sandbox.plan_of("silver.history").await;
    assert!(
        plan.starts_with("fails silver.history: made anew it would lose the history"),
        "{plan}"
    );
    let failure = sandbox.run().await.failure("silver.history").to_owned();
    assert!(
        failure.contains("--full-refresh silver.history"),
        "{failure}"
    );
    assert_eq!(sandbox.value(HISTORY).await, known);

    refresh(&sandbox, "silver.history").await;
    assert_eq!(sandbox.value(HISTORY).await, "1:5 12-, 2:6 10-30, 2:4 30-");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_whose_quarantine_is_gone_compares_all_keys_once() {
    let pipeline = TABLES.replace(
        "  silver.history:\n",
        "  silver.history:\n    expect: {plausible: {that: quality < 9, otherwise: quarantine}}\n",
    );
    let sandbox = Sandbox::new(&pipeline);
    sandbox.write("names.csv", "quality,name\n5,fair\n");
    sandbox.write("data/a.csv", "id,at,quality,label\n1,10,5,a\n2,10,6,b\n");
    sandbox.run_well().await;
    let gone = || {
        let folder = sandbox.path("lakehouse/silver/history__quarantine");
        std::fs::remove_dir_all(folder).unwrap();
    };
    let aside =
        "SELECT string_agg(id || ':' || quality, ' ' ORDER BY id) FROM silver.history__quarantine";
    let history = sandbox.value(HISTORY).await;
    let warning = "silver.history__quarantine is gone";

    // Without a row in it, which would be written again, and with one.
    for bad in ["", "3:9"] {
        if !bad.is_empty() {
            sandbox.write("data/b.csv", "id,at,quality,label\n3,10,9,c\n");
            sandbox.run_well().await;
        }
        assert_eq!(sandbox.value(aside).await, bad);
        gone();
        let plan = sandbox.plan_of("silver.history").await;
        assert!(plan.contains("every key is compared"), "{plan}");
        let ran = sandbox.run_well().await;
        let told = ran.warnings().iter().any(|told| told.contains(warning));
        assert!(told, "{}", ran.told());
        assert_eq!(sandbox.value(aside).await, bad);
        assert_eq!(sandbox.value(HISTORY).await, history);
        let plan = sandbox.plan_of("silver.history").await;
        assert!(plan.starts_with("skip"), "{plan}");
        let again = sandbox.run_well().await;
        assert_eq!(again.warnings(), [] as [&str; 0], "{}", again.told());
    }
}
