//! Tags, notes and the look at one run; aliases that are removed.

use serde_json::Value;

use crate::sandbox::{Ended, Sandbox};

fn well(ended: Ended) -> Ended {
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    ended
}

/// Fields and values of what `show` says.
fn fields(ended: &Ended) -> Vec<(String, String)> {
    let rows = ended.events();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(row, "field"), text(row, "value")))
        .collect()
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let found = fields.iter().find(|(field, _)| field == name);
    found.map_or_else(|| panic!("no {name} in {fields:?}"), |(_, value)| value)
}

#[test]
fn runs_are_tagged_annotated_and_shown() {
    let sandbox = Sandbox::apples();
    let early = sandbox.call(&["runs", "show", "01"]);
    assert_eq!(early.code, Some(2), "{}", early.all());
    assert!(
        early
            .stderr
            .contains("nothing has run in this lakehouse yet"),
        "{}",
        early.all()
    );
    sandbox.run();
    let id = |kind: &str| {
        let query = format!("SELECT max(run_id) AS id FROM system.runs WHERE kind = '{kind}'");
        sandbox.value(&query).as_str().unwrap().to_owned()
    };
    let (run, sweep, train) = (id("run"), id("sweep"), id("train"));
    let runs = |arguments: &[&str]| {
        let mut all = vec!["runs"];
        all.extend(arguments);
        sandbox.call(&all)
    };
    well(runs(&["tag", &sweep, "team=fruit", "reviewed by=Ada = L."]));
    well(runs(&[
        "tag",
        &sweep,
        "team=apples",
        "--remove",
        "reviewed by",
    ]));
    assert_eq!(
        fields(&well(runs(&["tag", &sweep, "--format", "ndjson"]))),
        [("team".to_owned(), "apples".to_owned())]
    );
    well(runs(&["note", &sweep, "Wider than\nlast week."]));
    assert_eq!(
        well(runs(&["note", &sweep])).stdout,
        "Wider than\nlast week.\n"
    );
    let found = well(runs(&[
        "--where",
        "tags.team = 'apples'",
        "--format",
        "ndjson",
    ]))
    .events();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["run_id"], &found[0]["tags.team"]),
        (&sweep.clone().into(), &"apples".into())
    );
    let note = "SELECT value FROM system.tags WHERE key = 'mlflow.note.content'";
    assert_eq!(sandbox.value(note), "Wider than\nlast week.");

    let shown = fields(&well(runs(&["show", &sweep, "--format", "ndjson"])));
    assert_eq!(value(&shown, "parent_run_id"), run);
    assert_eq!(value(&shown, "note"), "Wider than\nlast week.");
    assert_eq!(value(&shown, "tags.team"), "apples");
    assert!(value(&shown, "dataset.training").starts_with("gold.apples version 0, rows "));
    assert!(value(&shown, "model").starts_with("models:/sweetness/"));
    assert!(value(&shown, "metrics.rounds.validation.auc").contains(" values; least "));
    let board = value(&shown, "artifacts.leaderboard.csv");
    assert!(
        board.contains(&format!(
            "[dir]/lakehouse/_artifacts/{sweep}/leaderboard.csv"
        )),
        "{board}"
    );
    assert_eq!(
        shown
            .iter()
            .filter(|(field, _)| field.starts_with("children.trial "))
            .count(),
        4
    );
    let table = well(runs(&["show", &train])).stdout;
    assert!(table.contains("params.n_estimators"), "{table}");

    // The history of a metric, step by step, is there for SQL.
    let history = format!(
        "SELECT step, value FROM system.metrics \
         WHERE run_id = '{sweep}' AND key = 'rounds.validation.auc' ORDER BY step"
    );
    let steps = sandbox.rows(&history);
    assert!(steps.len() > 1);
    for (number, row) in steps.iter().enumerate() {
        assert_eq!(row["step"], number, "{steps:?}");
        assert!(
            (0.0..=1.0).contains(&row["value"].as_f64().unwrap()),
            "{steps:?}"
        );
    }

    well(runs(&["note", &sweep, "--remove"]));
    assert_eq!(well(runs(&["note", &sweep])).stdout, "");
    let beginning = &sweep[..6];
    for (arguments, words) in [
        (
            &["tag", &sweep, "sweep.key=x"][..],
            "`sweep.key` is written by sluice itself",
        ),
        (
            &["tag", &sweep, "--remove", "objective"],
            "`objective` is written by sluice itself",
        ),
        (
            &["tag", &sweep, "mlflow.note.content=x"],
            "set the note with `note`",
        ),
        (&["tag", &sweep, "--remove", "taem"], "did you mean `team`?"),
        (&["tag", &sweep, "team"], "is not of the form KEY=VALUE"),
        (&["tag", "baseline", "a=b"], "32 hexadecimal digits"),
        (
            &["tag", beginning, "a=b"],
            "begins the identifiers of 7 runs",
        ),
        (&["show", "ffff"], "there is no run `ffff`"),
        (
            &["--where", "kind = 'run'", "show", &sweep],
            "`--where` goes with the list of runs",
        ),
    ] {
        let refused = runs(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.all());
        assert!(
            refused.stderr.contains(words),
            "{arguments:?}: {}",
            refused.all()
        );
    }
}

#[test]
fn models_are_tagged_and_described_for_good() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let models = |arguments: &[&str]| {
        let mut all = vec!["models"];
        all.extend(arguments);
        sandbox.call(&all)
    };
    well(models(&["note", "sweetness", "Which apples are sweet."]));
    well(models(&["tag", "sweetness", "team=fruit"]));
    well(models(&["tag", "sweetness/1", "checked=yes", "old=1"]));
    well(models(&["tag", "models:/sweetness/1", "--remove", "old"]));
    well(models(&["note", "sweetness/1", "The first."]));
    for wrong in [
        models(&["tag", "sweetnes", "a=b"]),
        models(&["tag", "sweetness/9", "a=b"]),
        models(&["tag", "sweetness", "mlflow.user=x"]),
        models(&["tag", "sweetness", "--remove", "taem"]),
    ] {
        assert_eq!(wrong.code, Some(2), "{}", wrong.all());
    }
    let told = || {
        (
            sandbox.rows("SELECT name, description FROM system.models"),
            sandbox.rows("SELECT * FROM system.model_tags"),
            sandbox.rows("SELECT version, description FROM system.model_versions ORDER BY version"),
            sandbox.rows("SELECT * FROM system.model_version_tags"),
        )
    };
    let before = told();
    let text = |rows: &[Value]| {
        rows.iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (models_told, tags, versions, version_tags) = &before;
    insta::assert_snapshot!(
        [models_told, tags, versions, version_tags].map(|rows| text(rows)).join("\n"),
        @r#"
    {"name":"sweetness","description":"Which apples are sweet."}
    {"name":"sweetness","key":"team","value":"fruit"}
    {"version":1,"description":"The first."}
    {"version":2,"description":null}
    {"name":"sweetness","version":1,"key":"checked","value":"yes"}
    "#
    );
    let shown = fields(&well(models(&[
        "show",
        "sweetness/1",
        "--format",
        "ndjson",
    ])));
    assert_eq!(value(&shown, "description"), "The first.");
    assert_eq!(value(&shown, "tags.checked"), "yes");
    assert_eq!(
        value(&shown, "decision.@production"),
        "moved to it: first version"
    );
    let list = well(models(&["--format", "ndjson"])).events();
    assert_eq!(
        (&list[0]["tags"], &list[0]["description"]),
        (&"team=fruit".into(), &"Which apples are sweet.".into())
    );

    sandbox.lose_state();
    sandbox.run();
    assert_eq!(told(), before);
}

#[test]
fn an_alias_is_removed_unless_a_table_uses_it() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let models = |arguments: &[&str]| {
        let mut all = vec!["models", "alias"];
        all.extend(arguments);
        sandbox.call(&all)
    };
    well(models(&["sweetness", "staging", "1"]));
    for (arguments, words) in [
        (
            &["sweetness", "production", "--remove"][..],
            "gold.scored applies models:/sweetness@production",
        ),
        (
            &["sweetness", "stagin", "--remove"],
            "did you mean `staging`?",
        ),
        (
            &["sweetness", "staging", "1", "--remove"],
            "cannot be used with",
        ),
        (&["sweetness", "staging"], "required"),
    ] {
        let refused = models(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.all());
        assert!(
            refused.stderr.contains(words),
            "{arguments:?}: {}",
            refused.all()
        );
    }
    let removed = well(models(&[
        "sweetness",
        "staging",
        "--remove",
        "--reason",
        "done",
    ]));
    assert_eq!(
        removed.stdout,
        "sweetness@staging is removed (named version 1)\n"
    );
    let history = "SELECT version, previous, reason FROM system.alias_history WHERE alias = 'staging' ORDER BY move";
    let aliases = "SELECT count(*) FROM system.aliases WHERE alias = 'staging'";
    let before = sandbox.rows(history);
    assert_eq!(
        (
            &before[1]["version"],
            &before[1]["previous"],
            &before[1]["reason"]
        ),
        (&Value::Null, &1.into(), &"done".into())
    );
    assert_eq!(sandbox.value(aliases), 0);
    sandbox.lose_state();
    sandbox.run();
    assert_eq!(sandbox.rows(history), before);
    assert_eq!(sandbox.value(aliases), 0);
}
