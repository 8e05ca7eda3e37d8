//! Training only what is new, and what the registry remembers.

use serde_json::Value;

use crate::sandbox::Sandbox;

const TRAININGS: &str = "SELECT count(*) FROM system.runs WHERE kind IN ('train', 'sweep')";

/// Why `asset` would be made, and whether it would.
fn plan(sandbox: &Sandbox, asset: &str) -> (String, String) {
    let ended = sandbox.call(&["plan", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let steps = ended.events();
    let step = steps.iter().find(|step| step["asset"] == asset).unwrap();
    let text = |key: &str| step[key].as_str().unwrap().to_owned();
    (text("action"), text("reason"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn what_is_only_decided_is_not_trained_again() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    assert_eq!(sandbox.value(TRAININGS), 2);

    sandbox.edit(
        "pipeline.yaml",
        "alias: production, when: no champion}",
        "alias: staging}",
    );
    let (action, reason) = plan(&sandbox, "baseline");
    assert_eq!(action, "run");
    assert_eq!(
        reason,
        "`register.alias` is staging (was production); version 1 was trained so, and is only judged again"
    );
    sandbox.run();
    assert_eq!(sandbox.value(TRAININGS), 2);
    assert_eq!(
        sandbox.value("SELECT count(*) FROM system.model_versions"),
        2
    );
    let staging = "SELECT version FROM system.aliases WHERE alias = 'staging'";
    assert_eq!(sandbox.value(staging), 1);

    // Another registered model gets a version of its own, which names the same training.
    sandbox.edit(
        "pipeline.yaml",
        "{as: sweetness, alias: staging}",
        "{as: forest, alias: staging}",
    );
    let (_, reason) = plan(&sandbox, "baseline");
    assert_eq!(
        reason,
        "`register.as` is forest (was sweetness); models:/sweetness/1 was trained so, and is used again"
    );
    sandbox.run();
    assert_eq!(sandbox.value(TRAININGS), 2);
    let runs = "SELECT count(DISTINCT run_id) FROM system.model_versions WHERE asset = 'baseline'";
    assert_eq!(sandbox.value(runs), 1);
    let differ = "SELECT count(*) FROM gold.apples WHERE \
        predict('models:/forest@staging', *) <> predict('models:/sweetness/1', *)";
    assert_eq!(sandbox.value(differ), 0);

    // So does another asset.
    sandbox.edit("pipeline.yaml", "  baseline:\n", "  first_forest:\n");
    sandbox.edit("pipeline.yaml", "after: baseline", "after: first_forest");
    sandbox.run();
    assert_eq!(sandbox.value(TRAININGS), 2);
    assert_eq!(plan(&sandbox, "first_forest").0, "skip");
}

#[test]
fn what_was_trained_once_is_found_again() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let seed = ("{n_estimators: 3, seed: 7}", "{n_estimators: 3, seed: 8}");
    sandbox.edit("pipeline.yaml", seed.0, seed.1);
    let (action, reason) = plan(&sandbox, "baseline");
    assert_eq!(action, "run");
    assert_eq!(reason, "`estimator.random_forest.seed` is 8 (was 7)");
    sandbox.run();
    assert_eq!(sandbox.value(TRAININGS), 3);
    sandbox.edit("pipeline.yaml", seed.1, seed.0);
    let (_, reason) = plan(&sandbox, "baseline");
    assert!(
        reason.ends_with("; version 1 was trained so, and is only judged again"),
        "{reason}"
    );
    sandbox.run();
    assert_eq!(sandbox.value(TRAININGS), 3);
    assert_eq!(plan(&sandbox, "baseline").0, "skip");
}

#[test]
fn a_model_that_was_not_registered_is_registered_without_training() {
    let sandbox = Sandbox::apples();
    let register = "    register: {as: sweetness, alias: production, when: no champion}\n";
    sandbox.edit("pipeline.yaml", register, "");
    sandbox.run();
    sandbox.edit(
        "pipeline.yaml",
        "seed: 7}\n\n  search",
        &format!("seed: 7}}\n{register}\n  search"),
    );
    let (_, reason) = plan(&sandbox, "baseline");
    assert!(
        reason.contains("trained it so, and its model is used again"),
        "{reason}"
    );
    sandbox.run();
    assert_eq!(sandbox.value(TRAININGS), 2);
    let auc = "SELECT count(*) FROM system.model_versions AS v JOIN system.metrics AS m \
        ON m.run_id = v.run_id AND m.key = 'test.auc' \
        WHERE v.asset = 'baseline' AND v.metrics LIKE '%test.auc%'";
    assert_eq!(sandbox.value(auc), 1);
}

#[test]
fn the_model_that_made_a_row_is_known() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let before = sandbox.value("SELECT max(\"timestamp\") FROM system.alias_history");
    let production = "SELECT version FROM system.aliases WHERE alias = 'production'";
    let first = sandbox.value(production).as_i64().unwrap();
    let other = 3 - first;
    let made_with = "SELECT m.model_version, t.rows FROM system.table_models AS m \
        JOIN system.table_versions AS t USING (table_name, version) \
        WHERE table_name = 'gold.scored' ORDER BY version";
    let rows = sandbox.rows(made_with);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["model_version"], first);
    assert!(rows[0]["rows"].as_i64().unwrap() > 100);

    let moved = sandbox.call(&[
        "models",
        "alias",
        "sweetness",
        "production",
        &other.to_string(),
    ]);
    assert_eq!(moved.code, Some(0), "{}", moved.all());
    sandbox.run();
    let rows = sandbox.rows(made_with);
    let versions: Vec<&Value> = rows.iter().map(|row| &row["model_version"]).collect();
    assert_eq!(versions, [first, other]);

    // What the alias named before, by its history.
    let as_of = |time: &str| {
        format!(
            "SELECT count(*) AS n FROM gold.apples WHERE \
             predict('models:/sweetness@production', *, as_of => TIMESTAMP '{time}') \
             <> predict('models:/sweetness/{first}', *)"
        )
    };
    assert_eq!(sandbox.value(&as_of(text(&before))), 0);
    let now = sandbox.call(&["sql", &as_of("2001-01-01")]);
    assert_eq!(now.code, Some(2), "{}", now.all());
    assert!(
        now.stderr
            .contains("named no version at 2001-01-01T00:00:00.000Z"),
        "{}",
        now.all()
    );
    let future = sandbox.call(&["sql", &as_of("2201-01-01 00:00:00")]);
    assert!(
        future.stderr.contains("is not known yet"),
        "{}",
        future.all()
    );

    // A lost store is told again.
    sandbox.lose_state();
    sandbox.run();
    let told: Vec<Value> = sandbox.rows(made_with);
    let versions: Vec<&Value> = told.iter().map(|row| &row["model_version"]).collect();
    assert_eq!(versions[..2], [first, other]);
}

#[test]
fn a_pipeline_can_read_an_alias_as_it_was() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let moved_at = sandbox.value("SELECT max(\"timestamp\") FROM system.alias_history");
    let version = sandbox.value("SELECT version FROM system.aliases");
    let as_of = format!("*, as_of => TIMESTAMP '{}') AS p_sweet", text(&moved_at));
    sandbox.edit("pipeline.yaml", "*) AS p_sweet", &as_of);
    sandbox.run();
    let (action, reason) = plan(&sandbox, "gold.scored");
    assert_eq!(action, "skip", "{reason}");
    let other = 3 - version.as_i64().unwrap();
    let moved = sandbox.call(&[
        "models",
        "alias",
        "sweetness",
        "production",
        &other.to_string(),
    ]);
    assert_eq!(moved.code, Some(0), "{}", moved.all());
    let (action, reason) = plan(&sandbox, "gold.scored");
    assert_eq!(action, "skip", "{reason}");
    let used = "SELECT model_version FROM system.table_models ORDER BY version DESC LIMIT 1";
    assert_eq!(sandbox.value(used), version);

    sandbox.edit("pipeline.yaml", &as_of, "*, as_of => now()) AS p_sweet");
    let check = sandbox.call(&["check"]);
    assert_eq!(check.code, Some(2), "{}", check.all());
    insta::assert_snapshot!("as_of_is_no_literal", check.all());
}

#[test]
fn models_from_the_command_line() {
    let sandbox = Sandbox::apples();
    let none = sandbox.call(&["models", "--format", "json"]);
    assert_eq!(
        (none.code, none.stdout.trim()),
        (Some(0), "[]"),
        "{}",
        none.all()
    );
    sandbox.run();
    let production = sandbox
        .value("SELECT version FROM system.aliases")
        .as_i64()
        .unwrap();
    let other = (3 - production).to_string();
    let production = production.to_string();
    let models = |arguments: &[&str]| {
        let mut all = vec!["models"];
        all.extend(arguments);
        sandbox.call(&all)
    };
    let list = models(&["--format", "ndjson"]).events();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["aliases"], format!("@production {production}"));
    assert_eq!(
        (&list[0]["versions"], &list[0]["latest"]),
        (&2.into(), &2.into())
    );
    let versions = models(&["show", "sweetness", "--format", "ndjson"]).events();
    assert_eq!(versions[0]["data"], "gold.apples version 0");
    let shown = models(&["show", "sweetness@production"]);
    assert!(shown.stdout.contains("metrics.test.auc"), "{}", shown.all());
    assert!(shown.stdout.contains("gold.scored"), "{}", shown.all());
    let compared = models(&[
        "compare",
        "sweetness/1",
        "sweetness/2",
        "--format",
        "ndjson",
    ]);
    let compared = compared.events();
    let row = compared.iter().find(|row| row["field"] == "asset").unwrap();
    assert_eq!(
        (&row["sweetness/1"], &row["sweetness/2"]),
        (&"baseline".into(), &"search".into())
    );
    assert!(
        compared.iter().all(|row| row["field"] != "data"),
        "it is the same"
    );

    for refused in [
        models(&["show", "sweetnes"]),
        models(&["alias", "sweetness", "production", "9"]),
        models(&["alias", "sweetness", "latest", "1"]),
        models(&["retire", "sweetness", &production]),
        models(&["delete", "sweetness", &production]),
    ] {
        assert_eq!(refused.code, Some(2), "{}", refused.all());
        assert!(refused.stderr.contains("sweetness") || refused.stderr.contains("latest"));
    }

    assert_eq!(
        models(&["retire", "sweetness", &other, "--reason", "worse"]).code,
        Some(0)
    );
    let status = format!("SELECT status FROM system.model_versions WHERE version = {other}");
    assert_eq!(sandbox.value(&status), "RETIRED");
    let refused = models(&["alias", "sweetness", "production", &other]);
    assert_eq!(refused.code, Some(2), "{}", refused.all());
    assert!(refused.stderr.contains("is retired"), "{}", refused.all());
    assert_eq!(models(&["delete", "sweetness", &other]).code, Some(0));
    assert_eq!(sandbox.value(&status), "DELETED");
    assert_eq!(
        models(&["show", &format!("sweetness/{other}")]).code,
        Some(2)
    );

    // Its number is not used again.
    sandbox.run();
    let latest = sandbox.value("SELECT max(version) FROM system.model_versions");
    assert_eq!(latest, 3);
}

#[test]
fn a_version_whose_rows_are_in_use_stays() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let production = sandbox
        .value("SELECT version FROM system.aliases")
        .as_i64()
        .unwrap();
    let (production, other) = (production.to_string(), (3 - production).to_string());
    let moved = sandbox.call(&["models", "alias", "sweetness", "production", &other]);
    assert_eq!(moved.code, Some(0), "{}", moved.all());
    let refused = sandbox.call(&["models", "delete", "sweetness", &production]);
    assert_eq!(refused.code, Some(2), "{}", refused.all());
    assert!(
        refused
            .stderr
            .contains("the rows of gold.scored were made with it")
    );
    sandbox.run();
    let deleted = sandbox.call(&["models", "delete", "sweetness", &production]);
    assert_eq!(deleted.code, Some(0), "{}", deleted.all());
}

#[test]
fn runs_are_searched_as_in_mlflow() {
    let sandbox = Sandbox::apples();
    let none = sandbox.call(&["runs", "--format", "json", "--where", "metrics.auc > 0.5"]);
    assert_eq!(
        (none.code, none.stdout.trim()),
        (Some(0), "[]"),
        "{}",
        none.all()
    );
    sandbox.run();
    let runs = |arguments: &[&str]| {
        let mut all = vec!["runs", "--format", "ndjson"];
        all.extend(arguments);
        let ended = sandbox.call(&all);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        ended.events()
    };
    assert_eq!(runs(&[]).len(), 7, "a run, two models and four trials");
    let trials = runs(&[
        "--where",
        "metrics.\"validation.auc\" > 0 AND attributes.kind = 'trial'",
        "--order-by",
        "metrics.`validation.auc` DESC",
    ]);
    let aucs: Vec<f64> = trials
        .iter()
        .map(|run| run["metrics.validation.auc"].as_f64().unwrap())
        .collect();
    assert_eq!(aucs.len(), 4);
    assert!(aucs.is_sorted_by(|a, b| a >= b), "{aucs:?}");
    let best = runs(&[
        "--where",
        "kind = 'trial'",
        "--order-by",
        "metrics.validation.auc DESC",
        "--limit",
        "1",
    ]);
    assert_eq!(best[0]["run_id"], trials[0]["run_id"]);
    let shallow = runs(&["--where", "params.max_depth <= 4 AND kind = 'trial'"]);
    assert!(
        shallow
            .iter()
            .all(|run| text(&run["params.max_depth"]).parse::<u64>().unwrap() <= 4)
    );
    assert!(!shallow.is_empty());
    let forests = runs(&[
        "--where",
        "tags.estimator ILIKE 'RANDOM%' OR status IN ('FAILED')",
    ]);
    assert_eq!(forests.len(), 1);
    assert_eq!(forests[0]["run_name"], "baseline");
    assert_eq!(runs(&["--where", "tags.estimator LIKE 'RANDOM%'"]).len(), 0);
    assert_eq!(runs(&["--where", "start_time > '2200-01-01'"]).len(), 0);
    assert_eq!(
        runs(&["--where", "params.seed IS NULL AND kind != 'trial'"]).len(),
        1
    );

    let wrong = sandbox.call(&["runs", "--where", "metrics.\"validation.acu\" > 0.9"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.all());
    insta::assert_snapshot!("runs_unknown_metric", wrong.all());
    let wrong = sandbox.call(&["runs", "--order-by", "stauts"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.all());
    insta::assert_snapshot!("runs_unknown_attribute", wrong.all());
}
