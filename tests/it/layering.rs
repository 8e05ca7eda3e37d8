//! Dependencies point one way: `lake`, `learn` and `report` do not know each other, nothing
//! knows what stands above it, `learn` knows no DataFusion and `lake` no candle.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each package of the workspace may depend on, of the workspace.
const MAY_USE: [(&str, &[&str]); 6] = [
    ("sluice-lake", &[]),
    ("sluice-learn", &[]),
    ("sluice-report", &[]),
    ("sluice-udfs", &["sluice-lake", "sluice-learn"]),
    (
        "sluice-pipelines",
        &[
            "sluice-lake",
            "sluice-learn",
            "sluice-report",
            "sluice-udfs",
        ],
    ),
    (
        "sluice",
        &[
            "sluice-lake",
            "sluice-learn",
            "sluice-report",
            "sluice-udfs",
            "sluice-pipelines",
        ],
    ),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--locked"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names of the workspace's packages, each with what its Cargo.toml names (tests too).
fn direct(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> = strings(&metadata["workspace_members"]).collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(text(&package["id"])))
        .map(|package| {
            let uses = package["dependencies"].as_array().unwrap();
            let uses = uses
                .iter()
                .map(|used| text(&used["name"]).to_owned())
                .collect();
            (text(&package["name"]).to_owned(), uses)
        })
        .collect()
}

/// Names of all packages that `package` reaches when it is built (not tested).
fn reached(metadata: &Value, package: &str) -> BTreeSet<String> {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let root = names.iter().find(|(_, name)| **name == package).unwrap().0;
    let mut seen = BTreeSet::new();
    let mut open = vec![*root];
    while let Some(id) = open.pop() {
        for used in nodes[id]["deps"].as_array().unwrap() {
            let built = used["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kind| kind["kind"].as_str() != Some("dev"));
            if built && seen.insert(text(&used["pkg"])) {
                open.push(text(&used["pkg"]));
            }
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().unwrap().iter().map(text)
}

#[test]
fn dependencies_point_one_way() {
    let direct = direct(&metadata());
    let known: BTreeMap<&str, BTreeSet<&str>> = MAY_USE
        .into_iter()
        .map(|(name, uses)| (name, uses.iter().copied().collect()))
        .collect();
    assert_eq!(
        direct.keys().map(String::as_str).collect::<Vec<_>>(),
        known.keys().copied().collect::<Vec<_>>(),
        "a new package needs a line in MAY_USE"
    );
    for (package, uses) in &direct {
        for used in uses.iter().filter(|used| direct.contains_key(*used)) {
            assert!(
                known[package.as_str()].contains(used.as_str()),
                "{package} may not depend on {used}"
            );
        }
    }
}

#[test]
fn learn_knows_no_datafusion_and_lake_no_candle() {
    let metadata = metadata();
    for (package, forbidden) in [
        ("sluice-learn", ["datafusion", "deltalake"]),
        ("sluice-lake", ["candle", "hessboost"]),
    ] {
        let reached = reached(&metadata, package);
        assert!(
            reached.contains("arrow-array"),
            "{package} reaches {reached:?}"
        );
        for name in forbidden {
            let wrong: Vec<&String> = reached
                .iter()
                .filter(|used| used.starts_with(name))
                .collect();
            assert!(wrong.is_empty(), "{package} reaches {wrong:?}");
        }
    }
}

/// CUDA comes with a feature of its own, which is off by default and passed on to candle.
#[test]
fn the_default_build_has_no_trace_of_cuda() {
    let metadata = metadata();
    let reached = reached(&metadata, "sluice");
    assert!(reached.contains("candle-core"), "{reached:?}");
    let wrong: Vec<&String> = reached
        .iter()
        .filter(|used| used.starts_with("cuda") || *used == "candle-kernels")
        .collect();
    assert!(wrong.is_empty(), "sluice reaches {wrong:?}");
    for (package, passed_to) in [
        ("sluice", "sluice-pipelines/cuda"),
        ("sluice-pipelines", "sluice-learn/cuda"),
        ("sluice-learn", "candle-core/cuda"),
    ] {
        let packages = metadata["packages"].as_array().unwrap();
        let found = packages.iter().find(|found| found["name"] == package);
        let features = &found.unwrap()["features"];
        assert_eq!(
            features["cuda"],
            serde_json::json!([passed_to]),
            "{package}"
        );
        assert!(features["default"].is_null(), "{package}: {features}");
    }
}
