//! What is wrong with files, projects, queries and folders: a clear word on what to do,
//! the right exit code, and nothing half-written.

use crate::sandbox::{Ended, Sandbox, apples, binary};

/// Runs the project and expects it to fail with `code`; every needle must be said.
fn refuses(sandbox: &Sandbox, code: i32, needles: &[&str]) -> Ended {
    let ended = sandbox.call(&["run"]);
    assert_eq!(ended.code, Some(code), "{}", ended.all());
    for needle in needles {
        assert!(
            ended.all().contains(needle),
            "no {needle:?} in\n{}",
            ended.all()
        );
    }
    assert!(!ended.all().contains("panicked"), "{}", ended.all());
    ended
}

/// As [`refuses`], for bad input of `bronze.apples`: first in a fresh lakehouse, where no
/// table may appear, then after a good run, where the old rows must stay.
fn refuses_file(name: &str, content: Option<&[u8]>, needles: &[&str]) {
    let spoil = |sandbox: &Sandbox| {
        let files = "files: apples-*.csv";
        let strict = format!("{files}\n      on_bad_record: fail");
        sandbox.edit("pipeline.yaml", files, &strict);
        match content {
            Some(content) => sandbox.write(name, content),
            None => std::fs::remove_file(sandbox.path().join(name)).unwrap(),
        }
    };
    let fresh = Sandbox::apples();
    spoil(&fresh);
    refuses(&fresh, 1, needles);
    assert!(!fresh.has_table("bronze", "apples"));
    assert!(!fresh.has_table("silver", "apples"));

    let used = Sandbox::apples();
    used.run();
    let count = "SELECT count(*) FROM bronze.apples";
    let before = used.value(count);
    spoil(&used);
    refuses(&used, 1, needles);
    assert_eq!(used.value(count), before);
}

#[test]
fn missing_file() {
    let sandbox = Sandbox::apples();
    sandbox.edit("pipeline.yaml", "apples-*.csv", "appels-*.csv");
    refuses(&sandbox, 1, &["appels-*.csv", "did you mean `apples-"]);
    assert!(!sandbox.has_table("bronze", "apples"));
}

#[test]
fn empty_file() {
    refuses_file("apples-2.csv", Some(b""), &["apples-2.csv", "empty"]);
}

#[test]
fn ragged_line() {
    let mut text = apples::csv(160..240);
    text.push_str("95,0.5,3.1\n");
    refuses_file(
        "apples-2.csv",
        Some(text.as_bytes()),
        &["apples-2.csv", "82", "3", "4"],
    );
}

#[test]
fn not_utf8() {
    let mut bytes = apples::csv(160..240).into_bytes();
    bytes.extend_from_slice(b"95,0.5,3.1,\xff\xfe\n");
    refuses_file(
        "apples-2.csv",
        Some(&bytes),
        &["apples-2.csv", "82", "UTF-8"],
    );
}

#[test]
fn yaml_typo() {
    let sandbox = Sandbox::apples();
    sandbox.edit("pipeline.yaml", "expect:", "expects:");
    let ended = refuses(&sandbox, 2, &[]);
    insta::assert_snapshot!(ended.all());
    assert!(!sandbox.path().join("lakehouse").exists());
}

#[test]
fn sql_typo() {
    let sandbox = Sandbox::apples();
    sandbox.edit(
        "pipeline.yaml",
        "SELECT * EXCEPT (taste)",
        "SELEC * EXCEPT (taste)",
    );
    let ended = refuses(&sandbox, 2, &[]);
    insta::assert_snapshot!(ended.all());
    assert!(!sandbox.path().join("lakehouse").exists());
}

#[test]
fn unknown_column() {
    let sandbox = Sandbox::apples();
    sandbox.edit(
        "pipeline.yaml",
        "taste >= ${sweet_from}",
        "tasty >= ${sweet_from}",
    );
    let ended = refuses(&sandbox, 2, &[]);
    insta::assert_snapshot!(ended.all());
}

#[test]
fn label_with_one_class() {
    let sandbox = Sandbox::apples();
    sandbox.edit("pipeline.yaml", "sweet_from: 6", "sweet_from: 100");
    refuses(&sandbox, 1, &["baseline", "sweet", "class"]);
    assert!(
        !sandbox
            .path()
            .join("lakehouse/_models/sweetness/1")
            .exists()
    );
    assert!(!sandbox.has_table("gold", "scored"));
}

#[test]
fn unknown_model() {
    let sandbox = Sandbox::apples();
    sandbox.edit(
        "pipeline.yaml",
        "models:/sweetness@production",
        "models:/sweetnes@production",
    );
    refuses(&sandbox, 2, &["sweetnes", "did you mean", "sweetness"]);
}

#[test]
fn unknown_model_in_a_query() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    for (uri, needle) in [
        ("models:/sweetnes@production", "sweetness"),
        ("models:/sweetness@prodction", "production"),
        ("models:/sweetness/99", "99"),
    ] {
        let query = format!("SELECT predict('{uri}', *) FROM gold.apples");
        let ended = sandbox.call(&["sql", &query]);
        assert_eq!(ended.code, Some(2), "{}", ended.all());
        assert!(ended.stderr.contains(needle), "{}", ended.all());
    }
}

/// Whoever runs the tests may be root, who can write everywhere: the run is a child
/// process of another user then.
#[cfg(unix)]
#[test]
fn lakehouse_that_cannot_be_written() {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;

    const NOBODY: u32 = 65_534;
    let sandbox = Sandbox::apples();
    let root = fs::metadata(sandbox.path()).unwrap().uid() == 0;
    let lakehouse = sandbox.path().join("lakehouse");
    fs::create_dir(&lakehouse).unwrap();
    fs::set_permissions(&lakehouse, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = sandbox.sluice(&["run"]);
    if root {
        // The target folder may lie where only root can read.
        let copy = sandbox.path().join("sluice");
        fs::copy(binary(), &copy).unwrap();
        let mut other = std::process::Command::new(&copy);
        other
            .arg("run")
            .current_dir(sandbox.path())
            .env_clear()
            .uid(NOBODY)
            .gid(NOBODY);
        command = other;
    }
    let ended = Ended::of(command.output().unwrap(), sandbox.path());
    assert_eq!(ended.code, Some(4), "{}", ended.all());
    assert!(ended.stderr.contains("lakehouse"), "{}", ended.all());
    assert!(ended.stderr.contains("--lakehouse DIR"), "{}", ended.all());
    assert_eq!(fs::read_dir(&lakehouse).unwrap().count(), 0);
}

#[test]
fn wrong_usage() {
    let sandbox = Sandbox::new();
    for (arguments, needle) in [
        (&["run"][..], "pipeline.yaml"),
        (&["run", "nowhere"], "nowhere"),
        (&["rum"], "run"),
        (&["run", "--set", "x"], "var=value"),
        (&["sql", "--format", "xml", "SELECT 1"], "ndjson"),
    ] {
        let ended = sandbox.call(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}\n{}", ended.all());
        assert!(
            ended.stderr.contains(needle),
            "{arguments:?}\n{}",
            ended.all()
        );
    }
    let sandbox = Sandbox::apples();
    let ended = sandbox.call(&["check", "--set", "sweet_form=1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    assert!(ended.stderr.contains("sweet_from"), "{}", ended.all());
}
