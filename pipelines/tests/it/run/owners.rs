//! Tables that are there although their project never made them: its name or its identity is
//! another. What cannot be made again is not, unless somebody asks for it.

use crate::sandbox::Sandbox;

const TABLES: &str = "\
tables:
  bronze.e:
    ingest: {files: e.csv}
  bronze.f:
    ingest: {files: f.csv}
  gold.h:
    mode: {scd2: {keys: [k], sequence_by: t}}
    sql: SELECT k, t, a FROM bronze.e
  gold.ap:
    mode: append
    refresh: strict
    sql: SELECT b FROM bronze.f
  gold.all:
    sql: SELECT a FROM bronze.e
";

const HISTORY: &str = "SELECT count(*) FROM gold.h";

/// A project whose history knows more than its source.
async fn made() -> Sandbox {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("f.csv", "b\n1\n");
    sandbox.write("e.csv", "k,t,a\n0,1,10\n");
    sandbox.run_well().await;
    sandbox.write("e.csv", "k,t,a\n0,2,11\n");
    sandbox.run_well().await;
    assert_eq!(sandbox.value(HISTORY).await, "2");
    sandbox
}

/// The plan, with the identity of the project in words.
async fn planned(sandbox: &Sandbox, identity: &str) -> String {
    sandbox.plan().await.replace(identity, "[project]")
}

fn identity(sandbox: &Sandbox, pipeline: &str) -> String {
    let found = sandbox.lakehouse().existing_project_uuid(pipeline);
    found.unwrap().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_of_another_name_takes_over_only_what_can_be_made_again() {
    let sandbox = made().await;
    let one = identity(&sandbox, "p");
    sandbox.edit("pipeline: p\n", "pipeline: q\n");
    insta::assert_snapshot!(planned(&sandbox, &one).await, @r"
    run   bronze.e: it was made by another project (`pipeline: p`, [project])
    run   bronze.f: it was made by another project (`pipeline: p`, [project])
    fails gold.h: made anew it would lose the history that its source no longer has: it was made by another project (`pipeline: p`, [project]); take it over with `--full-refresh gold.h`; or, if this project was called so, give it its name back (`pipeline: p`)
    fails gold.ap: it would be recomputed in full, and `refresh` is `strict`: it was made by another project (`pipeline: p`, [project]); take it over with `--full-refresh gold.ap`; or, if this project was called so, give it its name back (`pipeline: p`)
    run   gold.all: it was made by another project (`pipeline: p`, [project])
    ");
    let ran = sandbox.run().await;
    let failure = ran.failure("gold.h").replace(&one, "[project]");
    insta::assert_snapshot!(failure, @"made anew it would lose the history that its source no longer has: it was made by another project (`pipeline: p`, [project]), so nothing was written; take it over with `--full-refresh gold.h`; or, if this project was called so, give it its name back (`pipeline: p`)");
    assert!(ran.failure("gold.ap").contains("`refresh` is `strict`"));
    assert_eq!(sandbox.value(HISTORY).await, "2");
    assert_eq!(sandbox.value("SELECT sum(a) FROM gold.all").await, "11");

    // Somebody asks for it.
    let mut plan = sandbox.checked().await;
    plan.refreshed = ["gold.h", "gold.ap"]
        .map(|name| plan.position(name).unwrap())
        .into();
    sandbox.try_run(plan, |_, _| {}).await.unwrap();
    assert_eq!(sandbox.value(HISTORY).await, "1");
    sandbox.write("e.csv", "k,t,a\n0,3,12\n");
    sandbox.run_well().await;
    assert_eq!(sandbox.value(HISTORY).await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_lost_its_identity_says_so_until_it_is_restored() {
    let sandbox = made().await;
    let one = identity(&sandbox, "p");
    let (there, aside) = (sandbox.path("lakehouse/_sluice"), sandbox.path("aside"));
    std::fs::rename(&there, &aside).unwrap();
    insta::assert_snapshot!(planned(&sandbox, &one).await, @r"
    run   bronze.e: it was made by another project ([project])
    run   bronze.f: it was made by another project ([project])
    fails gold.h: made anew it would lose the history that its source no longer has: it was made by another project ([project]); take it over with `--full-refresh gold.h`; or, if it was this project's, restore `_sluice` of the lakehouse, where the project's identity lies
    fails gold.ap: it would be recomputed in full, and `refresh` is `strict`: it was made by another project ([project]); take it over with `--full-refresh gold.ap`; or, if it was this project's, restore `_sluice` of the lakehouse, where the project's identity lies
    run   gold.all: it was made by another project ([project])
    ");
    let ran = sandbox.run().await;
    assert!(ran.failure("gold.h").contains("restore `_sluice`"));
    assert_eq!(sandbox.value(HISTORY).await, "2");
    std::fs::remove_dir_all(&there).unwrap();
    std::fs::rename(&aside, &there).unwrap();
    sandbox.write("e.csv", "k,t,a\n0,3,12\n");
    sandbox.run_well().await;
    assert_eq!(sandbox.value(HISTORY).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_not_given_up_for_another_mode() {
    let sandbox = made().await;
    for mode in ["mode: {merge: {keys: [k], sequence_by: t}}", "mode: full"] {
        let scd2 = "mode: {scd2: {keys: [k], sequence_by: t}}";
        sandbox.edit(scd2, mode);
        let (plan, failure) = (
            sandbox.plan_of("gold.h").await,
            sandbox.run().await.failure("gold.h").to_owned(),
        );
        let name = if mode.contains("merge") {
            "merge"
        } else {
            "full"
        };
        let words = format!("no longer has: `mode` is {name} (was scd2)");
        assert!(plan.starts_with("fails gold.h: made anew"), "{plan}");
        for told in [plan, failure] {
            assert!(told.contains(&words), "{told}");
            assert!(told.contains("--full-refresh gold.h"), "{told}");
        }
        assert_eq!(sandbox.value(HISTORY).await, "2");
        sandbox.edit(mode, scd2);
    }
    sandbox.edit("scd2: {keys", "merge: {keys");
    let mut plan = sandbox.checked().await;
    plan.refreshed = [plan.position("gold.h").unwrap()].into();
    sandbox.try_run(plan, |_, _| {}).await.unwrap();
    assert_eq!(sandbox.value(HISTORY).await, "1");
    // The other way there is none to lose.
    sandbox.edit("merge: {keys", "scd2: {keys");
    insta::assert_snapshot!(sandbox.plan_of("gold.h").await, @"run   gold.h: recomputed in full: `mode` is scd2 (was merge)");
    sandbox.run_well().await;
    sandbox.write("e.csv", "k,t,a\n0,3,12\n");
    sandbox.run_well().await;
    assert_eq!(sandbox.value(HISTORY).await, "2");
}
