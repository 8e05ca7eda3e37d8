//! Which assets a command is about: selectors, `--exclude`, `--full-refresh`, `retry`.

use serde_json::Value;

use crate::sandbox::{Ended, Sandbox};

fn named(rows: &[Value], event: Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = rows
        .iter()
        .filter(|row| event.is_none_or(|event| row["event"] == event))
        .filter_map(|row| Some(row["asset"].as_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

/// The assets that `plan` is about with these arguments.
fn planned(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let mut all = vec!["plan", "--json"];
    all.extend(arguments);
    let ended = sandbox.call(&all);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    named(&ended.events(), None)
}

fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let ended: Ended = sandbox.call(arguments);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    ended.stderr
}

fn apples() -> Sandbox {
    let sandbox = Sandbox::apples();
    let tagged = "  gold.scored:\n    tags: [nightly, scores]\n";
    sandbox.edit("pipeline.yaml", "  gold.scored:\n", tagged);
    sandbox
}

#[test]
fn selectors_follow_the_graph() {
    let sandbox = apples();
    let plan = |arguments: &[&str]| planned(&sandbox, arguments);
    assert_eq!(plan(&["-s", "gold.apples"]), ["gold.apples"]);
    assert_eq!(plan(&["-s", "GOLD.*"]), ["gold.apples", "gold.scored"]);
    assert_eq!(plan(&["-s", "layer:gold"]), ["gold.apples", "gold.scored"]);
    assert_eq!(plan(&["-s", "tag:night*"]), ["gold.scored"]);
    assert_eq!(plan(&["-s", "kind:ingest"]), ["bronze.apples"]);
    assert_eq!(
        plan(&["-s", "+gold.apples"]),
        ["bronze.apples", "gold.apples", "silver.apples"]
    );
    assert_eq!(
        plan(&["-s", "1+gold.apples"]),
        ["gold.apples", "silver.apples"]
    );
    assert_eq!(
        plan(&["-s", "bronze.apples+1"]),
        ["bronze.apples", "silver.apples"]
    );
    assert_eq!(
        plan(&["-s", "bronze.apples+,layer:gold"]),
        ["gold.apples", "gold.scored"]
    );
    assert_eq!(
        plan(&["-s", "bronze.apples gold.scored"]),
        plan(&["-s", "bronze.apples", "-s", "gold.scored"])
    );
    let everything = plan(&[]);
    assert_eq!(plan(&["-s", "@bronze.apples"]), everything);
    let mut rest = everything.clone();
    rest.retain(|name| !name.starts_with("gold."));
    assert_eq!(plan(&["--exclude", "layer:gold"]), rest);
    // Nothing was made: all is new.
    assert_eq!(plan(&["-s", "state:new"]), everything);
}

#[test]
fn what_is_selected_runs_and_nothing_else() {
    let sandbox = apples();
    let early = refused(&sandbox, &["run", "-s", "gold.apples"]);
    insta::assert_snapshot!(early, @"error: `gold.apples` needs `silver.apples`, which was never made and is not selected; select it, too: `+gold.apples`");
    let run = |arguments: &[&str]| {
        let mut all = vec!["run", "--json"];
        all.extend(arguments);
        let ended = sandbox.call(&all);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        ended.events()
    };
    let events = run(&["-s", "+silver.apples"]);
    assert_eq!(
        named(&events, Some("stage_finished")),
        ["bronze.apples", "silver.apples"]
    );
    assert!(!sandbox.has_table("gold", "apples"));
    run(&[]);
    assert_eq!(named(&run(&[]), Some("stage_finished")), [""; 0]);

    // Only what was written differently is modified, and what follows is stale.
    sandbox.edit("pipeline.yaml", "weight > 0", "weight > 1");
    let plan = |selector: &str| planned(&sandbox, &["-s", selector]);
    assert_eq!(plan("state:modified"), ["silver.apples"]);
    assert!(plan("state:stale").contains(&"gold.apples".to_owned()));
    assert!(!plan("state:unmodified").contains(&"silver.apples".to_owned()));
    assert_eq!(plan("state:new"), [""; 0]);
    assert_eq!(
        run(&["-s", "state:new"]).len(),
        2,
        "a run of nothing goes well"
    );
    run(&["-s", "state:modified"]);
    assert_eq!(
        named(&run(&["-s", "silver.apples"]), Some("stage_skipped")),
        ["silver.apples"]
    );

    // A table whose query changed is made; its readers, which are not selected, are not.
    let fresh = run(&["-s", "silver.apples", "--full-refresh", "*"]);
    assert_eq!(named(&fresh, Some("stage_finished")), ["silver.apples"]);
    let why = sandbox.value(
        "SELECT reason FROM system.stages WHERE asset = 'silver.apples' ORDER BY start_time DESC LIMIT 1",
    );
    assert_eq!(why, "--full-refresh");
}

#[test]
fn a_model_is_trained_again_when_it_is_refreshed() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let trainings = "SELECT count(*) AS n FROM system.runs WHERE kind = 'train'";
    let before = sandbox.value(trainings).as_i64().unwrap();
    let ended = sandbox.call(&["run", "-s", "baseline", "--full-refresh", "baseline"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert_eq!(sandbox.value(trainings).as_i64().unwrap(), before + 1);
}

#[test]
fn a_retry_makes_what_was_left() {
    let sandbox = Sandbox::apples();
    let early = refused(&sandbox, &["retry"]);
    insta::assert_snapshot!(early, @"error: `retry of apples` selects nothing: the project has not run yet");
    sandbox.edit("pipeline.yaml", "weight > 0", "weight > 100000");
    sandbox.edit("pipeline.yaml", "otherwise: drop", "otherwise: fail");
    let failed = sandbox.call(&["run"]);
    assert_eq!(failed.code, Some(1), "{}", failed.all());
    assert_eq!(
        planned(&sandbox, &["-s", "result:error"]),
        ["silver.apples"]
    );
    let blocked = planned(&sandbox, &["-s", "result:blocked"]);
    assert!(blocked.contains(&"gold.apples".to_owned()), "{blocked:?}");
    sandbox.edit("pipeline.yaml", "weight > 100000", "weight > -1000");
    let again = sandbox.call(&["retry", "--json"]);
    assert_eq!(again.code, Some(0), "{}", again.all());
    let events = again.events();
    let made = named(&events, Some("stage_finished"));
    assert!(made.contains(&"silver.apples".to_owned()), "{made:?}");
    assert!(!named(&events, None).contains(&"bronze.apples".to_owned()));
    let nothing = sandbox.call(&["retry"]);
    assert_eq!(nothing.code, Some(0), "{}", nothing.all());
    assert!(nothing.stdout.contains("left nothing undone"));
}

#[test]
fn wrong_selectors_are_told() {
    let sandbox = apples();
    let told: Vec<String> = ["gold.appels", "state:modifed", "layr:gold", "+", "tag:none"]
        .iter()
        .map(|selector| refused(&sandbox, &["plan", "-s", selector]))
        .collect();
    insta::assert_snapshot!(told.join(""));
}
