//! Files on their way into tables: those that cannot be read as they should stop the stage that
//! reads them, and nothing else.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::sandbox::{Ended, Sandbox, count};

const PIPELINE: &str = "\
pipeline: p
tables:
  bronze.bad:
    ingest: {files: bad/}
  silver.bad:
    sql: SELECT id + 1 AS id FROM bronze.bad
    split: {parts: {train: 0.5, validation: 0.25, test: 0.25}}
  silver.worse:
    sql: SELECT bad.id FROM silver.bad JOIN bronze.good AS good ON bad.id = good.id
    expect: {positive: {that: id > 0, otherwise: quarantine}}
  bronze.good:
    ingest: {files: good/}
  silver.other:
    sql: SELECT id FROM bronze.good
models:
  m:
    train:
      from: silver.bad
      label: id
      estimator:
        random_forest: {n_estimators: 1, seed: 1}
    register: {as: m, alias: production}
reports:
  page:
    profile: silver.bad
on_failure:
  command: [sh, -c, 'echo \"$SLUICE_STATUS $SLUICE_FAILED\" >> told']
schedule:
  or_when: {new_files: bronze.bad}
";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox.write("good/a.csv", "id\n1\n2\n");
    std::fs::create_dir(sandbox.path().join("bad")).unwrap();
    sandbox
}

/// The front of a file that is packed.
fn cut_off() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let mut state = 7_u32;
    packed.write_all(b"id\n").unwrap();
    for _ in 0..20_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(packed, "{state}").unwrap();
    }
    let mut packed = packed.finish().unwrap();
    packed.truncate(packed.len() / 2);
    packed
}

fn run(sandbox: &Sandbox) -> Ended {
    sandbox.call(&["run", "--json"])
}

fn stages(sandbox: &Sandbox) -> String {
    sandbox.csv(
        "SELECT asset, status, fault FROM system.stages \
         WHERE run_id = (SELECT max(run_id) FROM system.stages) ORDER BY asset",
    )
}

#[test]
fn files_that_cannot_be_read_stop_only_what_depends_on_them() {
    let bad = [
        ("nothing", None, "no file matches `bad/`"),
        ("empty", Some(("a.csv", Vec::new())), "bad/a.csv is empty"),
        ("cut off", Some(("a.csv.gz", cut_off())), "bad/a.csv.gz"),
        (
            "another header",
            Some(("a.csv", b"id,id\n1,2\n".to_vec())),
            "both become the column",
        ),
    ];
    for (case, file, words) in bad {
        let sandbox = project();
        if let Some((name, content)) = file {
            sandbox.write(&format!("bad/{name}"), content);
        }
        let checked = sandbox.call(&["check"]);
        assert_eq!(checked.code, Some(2), "{case}: {}", checked.all());
        assert!(checked.stderr.contains(words), "{case}: {}", checked.all());
        assert!(
            checked.stderr.contains("pipeline.yaml:4"),
            "{case}: {}",
            checked.all()
        );

        let ended = run(&sandbox);
        assert_eq!(ended.code, Some(1), "{case}: {}", ended.all());
        let events = ended.events();
        let failed = events.iter().find(|event| event["event"] == "stage_failed");
        let error = failed.unwrap()["error"].as_str().unwrap();
        assert!(error.contains(words), "{case}: {error}");
        assert_eq!(count(&events, "stage_blocked"), 4, "{case}");
        insta::assert_snapshot!("stages_of_a_bad_file", stages(&sandbox));
        let told = std::fs::read_to_string(sandbox.path().join("told")).unwrap();
        assert_eq!(told, "failed 5\n", "{case}");

        // What does not touch them goes well.
        let ended = sandbox.call(&["run", "-s", "+silver.other"]);
        assert_eq!(ended.code, Some(0), "{case}: {}", ended.all());
        let ended = sandbox.call(&["run", "-s", "silver.worse"]);
        assert_eq!(ended.code, Some(2), "{case}: {}", ended.all());
    }
}

#[test]
fn a_bad_file_among_those_of_a_table_leaves_it_as_it_is() {
    let sandbox = project();
    sandbox.edit("pipeline.yaml", "label: id", "label: y");
    sandbox.edit("pipeline.yaml", "id + 1 AS id", "id, id % 2 = 0 AS y");
    let mut rows = "id\n".to_owned();
    for id in 1..200 {
        rows += &format!("{id}\n");
    }
    sandbox.write("bad/a.csv", rows);
    sandbox.run();
    sandbox.write("bad/b.csv", "");
    sandbox.write("good/b.csv", "id\n3\n");
    let ended = run(&sandbox);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    insta::assert_snapshot!(stages(&sandbox));
    // What is made of the table as it is needs no file.
    let ended = sandbox.call(&["run", "-s", "silver.bad", "--full-refresh", "silver.bad"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    // Mended, the rest follows.
    sandbox.write("bad/b.csv", "id\n500\n");
    sandbox.run();
    assert_eq!(sandbox.value("SELECT count(*) FROM bronze.bad"), 200);
}

#[test]
fn a_run_that_cannot_begin_is_told() {
    let sandbox = project();
    sandbox.write("bad/a.csv", "id\n1\n");
    sandbox.edit(
        "pipeline.yaml",
        "SELECT id FROM bronze.good",
        "SELECT idd FROM bronze.good",
    );
    let ended = run(&sandbox);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    let told = std::fs::read_to_string(sandbox.path().join("told")).unwrap();
    assert_eq!(told, "failed 0\n");
    // To look is no run.
    assert_eq!(sandbox.call(&["plan"]).code, Some(2));
    let again = std::fs::read_to_string(sandbox.path().join("told")).unwrap();
    assert_eq!(again, told);
}

#[test]
fn what_a_full_refresh_keeps_is_said_beforehand() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        "pipeline: p\ntables:\n  bronze.a:\n    ingest: {files: in/}\n",
    );
    for name in ["a", "b", "c"] {
        sandbox.write(&format!("in/{name}.csv"), format!("id,name\n1,{name}\n"));
    }
    sandbox.run();
    let refreshed = || {
        let ended = sandbox.call(&["plan", "--json", "--full-refresh", "bronze.a"]);
        ended.events()[0]["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(refreshed(), "--full-refresh");
    std::fs::remove_file(sandbox.path().join("in/a.csv")).unwrap();
    let one = "--full-refresh; the rows of 1 file that is gone stay";
    assert_eq!(refreshed(), one);
    std::fs::remove_file(sandbox.path().join("in/b.csv")).unwrap();
    let two = "--full-refresh; the rows of 2 files that are gone stay";
    assert_eq!(refreshed(), two);
    let ended = sandbox.call(&["run", "--full-refresh", "bronze.a"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert_eq!(sandbox.value("SELECT count(*) FROM bronze.a"), 3);
    // Without its folder the table is made of what there is.
    std::fs::remove_dir_all(sandbox.path().join("lakehouse/bronze/a")).unwrap();
    sandbox.run();
    assert_eq!(sandbox.value("SELECT count(*) FROM bronze.a"), 1);
}
