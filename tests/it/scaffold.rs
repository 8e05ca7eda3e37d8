//! `sluice init`: a project to begin with.

use crate::sandbox::Sandbox;

#[test]
fn a_new_project_is_sound_tested_and_runs() {
    let sandbox = Sandbox::new();
    let made = sandbox.call(&["init", "my shop"]);
    assert_eq!(made.code, Some(0), "{}", made.all());
    insta::assert_snapshot!(made.stdout);
    for command in ["check", "test", "run"] {
        let ended = sandbox.call(&[command, "my shop"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
    }
    let asked = sandbox.call(&[
        "sql",
        "-p",
        "my shop",
        "--format",
        "csv",
        "SELECT customer, orders, is_large FROM gold.customers ORDER BY customer",
    ]);
    assert_eq!(
        asked.stdout,
        "customer,orders,is_large\nada,2,true\nbob,2,false\n"
    );
}

#[test]
fn an_example_comes_with_its_data() {
    let sandbox = Sandbox::new();
    for example in ["wine", "sentiment"] {
        let made = sandbox.call(&["init", example, "--example", example]);
        assert_eq!(made.code, Some(0), "{}", made.all());
        for command in ["check", "test"] {
            let ended = sandbox.call(&[command, example]);
            assert_eq!(ended.code, Some(0), "{}", ended.all());
        }
    }
    let ran = sandbox.call(&["run", "wine", "-s", "+gold.wine"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let asked = sandbox.call(&[
        "sql",
        "-p",
        "wine",
        "--format",
        "csv",
        "SELECT count(*) AS n FROM gold.wine",
    ]);
    assert_eq!(asked.stdout, "n\n1599\n");
}

#[test]
fn nothing_is_overwritten() {
    let sandbox = Sandbox::new();
    sandbox.write("used/data/orders.csv", "mine");
    let refused = sandbox.call(&["init", "used"]);
    assert_eq!(refused.code, Some(2), "{}", refused.all());
    insta::assert_snapshot!(refused.stderr, @"error: used is not empty: it has `data`; name a folder that is not there yet, nothing is overwritten");
    assert!(!sandbox.path().join("used/pipeline.yaml").exists());

    sandbox.write("file", "a file");
    assert_eq!(sandbox.call(&["init", "file"]).code, Some(4));
    sandbox.write("versioned/.git/HEAD", "ref: refs/heads/main");
    assert_eq!(sandbox.call(&["init", "versioned"]).code, Some(0));
    let here = sandbox
        .sluice(&["init"])
        .current_dir(sandbox.path().join("versioned"))
        .status();
    assert_eq!(here.unwrap().code(), Some(2));
}
