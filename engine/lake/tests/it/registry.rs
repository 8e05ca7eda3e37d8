//! The registry: whole versions, aliases with a history, addresses that resolve.

use std::{collections::BTreeMap, fs, path::Path};

use sluice_lake::{
    registry::{
        AliasChange, ColumnType, ModelFormat, ModelUri, ModelVersion, MoveAlias, NewVersion,
        Registry, RegistryError, Signature, SignatureColumn, Staging, TableVersion, TrainedAs,
    },
    state::{RunId, RunKind, RunStatus, State, now_ms},
};
use tempfile::TempDir;

use crate::state::{PROJECT, new_run};

pub(crate) async fn open(folder: &Path) -> Registry {
    let state = State::open(folder.join("state.db")).await.unwrap();
    Registry::new(folder.join("_models"), Some(state))
}

pub(crate) fn new_version(key: &str) -> NewVersion {
    let column = |name: &str, column_type| SignatureColumn {
        name: Some(name.to_owned()),
        column_type,
        required: true,
    };
    NewVersion {
        project: PROJECT.to_owned(),
        asset: "wine_search".to_owned(),
        key: key.to_owned(),
        spec: "forest".to_owned(),
        format: ModelFormat::XgboostJson,
        signature: Signature {
            inputs: vec![
                column("pH", ColumnType::Double),
                column("Müller's", ColumnType::Boolean),
            ],
            outputs: vec![SignatureColumn {
                name: None,
                column_type: ColumnType::Double,
                required: true,
            }],
        },
        metrics: BTreeMap::from([("test.auc".to_owned(), 0.875)]),
        inputs: vec![TableVersion {
            name: "gold.wine".to_owned(),
            version: 3,
            digest: Some(format!("rows of {key}")),
        }],
    }
}

async fn stage(registry: &Registry, model: &str, run: &RunId) -> Staging {
    let staging = registry.stage(model, run).await.unwrap();
    fs::write(staging.path().join("model.json"), "{\"learner\":{}}").unwrap();
    fs::write(staging.path().join("features.json"), "[]").unwrap();
    staging
}

pub(crate) async fn train(registry: &Registry, model: &str, key: &str) -> ModelVersion {
    let staging = stage(registry, model, &RunId::generate()).await;
    registry
        .create_version(staging, new_version(key))
        .await
        .unwrap()
}

pub(crate) async fn move_alias(
    registry: &Registry,
    model: &str,
    version: i64,
) -> Result<AliasChange, RegistryError> {
    registry
        .set_alias(MoveAlias {
            name: model.to_owned(),
            alias: "production".to_owned(),
            version,
            expected: None,
            run_id: RunId::from("run"),
            reason: format!("to {version}"),
        })
        .await
}

/// What stands in a folder, without what is hidden.
fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_version_is_a_whole_folder() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let version = train(&registry, "wine_quality", "k1").await;
    assert_eq!(version.version, 1);
    assert_eq!(version.uri().to_string(), "models:/wine_quality/1");
    assert_eq!(version.path, folder.path().join("_models/wine_quality/1"));
    assert_eq!(
        entries(&version.path),
        [
            "MLmodel",
            "features.json",
            "metadata.json",
            "metrics.json",
            "model.json"
        ]
    );
    assert_eq!(version.metrics, new_version("k1").metrics);
    assert_eq!(version.inputs, new_version("k1").inputs);
    let mut new = new_version("k2");
    new.metrics.insert("test.log_loss".to_owned(), f64::NAN);
    let staging = stage(&registry, "wine_quality", &RunId::generate()).await;
    let second = registry.create_version(staging, new).await.unwrap();
    assert_eq!(second.version, 2);
    assert!(second.metrics["test.log_loss"].is_nan());
    assert_eq!(second.metrics["test.auc"], 0.875);
    let staging = folder.path().join("_models/.staging");
    assert_eq!(entries(&staging), [] as [&str; 0]);
}

#[tokio::test]
async fn mlmodel_is_what_mlflow_writes() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let version = train(&registry, "wine_quality", "k1").await;
    let text = fs::read_to_string(version.path.join("MLmodel")).unwrap();
    // What differs from one version to the next is checked, then blanked.
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in &mut lines {
        for (key, length) in [
            ("model_uuid: '", 32),
            ("run_id: '", 32),
            ("utc_time_created: '", 26),
        ] {
            if let Some(value) = line.strip_prefix(key) {
                assert_eq!(value.len(), length + 1, "{line}");
                *line = format!("{key}...'");
            }
        }
    }
    let expected = format!(
        r#"artifact_path: model
flavors:
  python_function:
    data: model.json
    loader_module: mlflow.xgboost
  sluice:
    features: features.json
    model: model.json
    sluice_version: {}
  xgboost:
    code: null
    data: model.json
    model_class: xgboost.core.Booster
    model_format: json
model_size_bytes: 16
model_uuid: '...'
run_id: '...'
signature:
  inputs: '[{{"type": "double", "name": "pH", "required": true}}, {{"type": "boolean", "name": "M\u00fcller''s", "required": true}}]'
  outputs: '[{{"type": "double", "required": true}}]'
  params: null
utc_time_created: '...'"#,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(lines.join("\n"), expected);
}

#[tokio::test]
async fn a_trainer_that_leaves_a_file_out_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let staging = registry
        .stage("wine_quality", &RunId::generate())
        .await
        .unwrap();
    fs::write(staging.path().join("model.json"), "{}").unwrap();
    let error = registry
        .create_version(staging, new_version("k"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, RegistryError::MissingFile { path, .. } if path.ends_with("features.json")),
        "{error}"
    );
    assert_eq!(entries(&folder.path().join("_models")), [".staging"]);
    assert_eq!(
        entries(&folder.path().join("_models/.staging")),
        [] as [&str; 0]
    );
}

#[tokio::test]
async fn aliases_move_with_a_history() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    for key in ["k1", "k2"] {
        train(&registry, "wine_quality", key).await;
    }
    assert_eq!(
        registry
            .champion("wine_quality", "production")
            .await
            .unwrap(),
        None
    );
    assert_eq!(registry.champion("beer", "production").await.unwrap(), None);
    let moved = move_alias(&registry, "wine_quality", 1).await.unwrap();
    assert!(matches!(moved, AliasChange::Moved(m) if m.previous.is_none() && m.number == 1));
    let again = move_alias(&registry, "wine_quality", 1).await.unwrap();
    assert_eq!(again, AliasChange::Unchanged);
    move_alias(&registry, "wine_quality", 2).await.unwrap();
    let uri: ModelUri = "models:/wine_quality@production".parse().unwrap();
    assert_eq!(registry.resolve(&uri).await.unwrap().version, 2);

    let history = registry.alias_history("wine_quality").await.unwrap();
    let seen: Vec<_> = history
        .iter()
        .map(|m| (m.number, m.version, m.previous, m.reason.as_str()))
        .collect();
    assert_eq!(
        seen,
        [(1, Some(1), None, "to 1"), (2, Some(2), Some(1), "to 2")]
    );
    let files = entries(&folder.path().join("_models/wine_quality/aliases"));
    assert_eq!(
        files,
        ["00000001-production.json", "00000002-production.json"]
    );
    let models = registry.list().await.unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!(models[0].versions, [1, 2]);
    assert_eq!(models[0].aliases["production"], 2);
}

#[tokio::test]
async fn an_alias_that_somebody_moved_meanwhile_is_not_moved_blindly() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    for key in ["k1", "k2", "k3"] {
        train(&registry, "wine_quality", key).await;
    }
    move_alias(&registry, "wine_quality", 2).await.unwrap();
    let stale = MoveAlias {
        name: "wine_quality".to_owned(),
        alias: "production".to_owned(),
        version: 3,
        expected: Some(Some(1)),
        run_id: RunId::from("run"),
        reason: "better than 1".to_owned(),
    };
    let error = registry.set_alias(stale.clone()).await.unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::AliasMoved {
                expected: Some(1),
                found: Some(2),
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_transient());
    let fresh = MoveAlias {
        expected: Some(Some(2)),
        ..stale
    };
    assert!(matches!(
        registry.set_alias(fresh).await.unwrap(),
        AliasChange::Moved(_)
    ));
}

#[tokio::test]
async fn what_does_not_resolve_says_what_would() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let ask = async |uri: &str| {
        let uri: ModelUri = uri.parse().unwrap();
        registry.resolve(&uri).await.unwrap_err().to_string()
    };
    assert_eq!(
        ask("models:/wine@production").await,
        "there is no model `wine`; there are no models yet"
    );
    for key in ["k1", "k2"] {
        train(&registry, "wine_quality", key).await;
    }
    assert_eq!(
        ask("models:/wine_quality@production").await,
        "the model `wine_quality` has no alias `production`; there are no aliases yet"
    );
    move_alias(&registry, "wine_quality", 1).await.unwrap();
    assert_eq!(
        ask("models:/Wine_Qualty@production").await,
        "there is no model `Wine_Qualty`; did you mean `wine_quality`?"
    );
    assert_eq!(
        ask("models:/beer/1").await,
        "there is no model `beer`; the models are `wine_quality`"
    );
    assert_eq!(
        ask("models:/wine_quality@prodution").await,
        "the model `wine_quality` has no alias `prodution`; did you mean `production`?"
    );
    assert_eq!(
        ask("models:/wine_quality/7").await,
        "the model `wine_quality` has no version 7; its versions are 1 to 2"
    );
    assert!(matches!(
        move_alias(&registry, "wine_quality", 3).await,
        Err(RegistryError::UnknownVersion { version: 3, .. })
    ));
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_refused() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    train(&registry, "wine_quality", "k1").await;
    let run = RunId::generate();
    let error = registry.stage("Wine_Quality", &run).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::NameClash { existing, .. } if existing == "wine_quality"),
        "{error}"
    );
    for name in ["", "../x", "a/b", "a b", "_a", ".staging", "a@b", "a."] {
        let error = registry.stage(name, &run).await.unwrap_err();
        assert!(
            matches!(error, RegistryError::InvalidName { .. }),
            "{name}: {error}"
        );
    }
}

#[tokio::test]
async fn a_version_that_was_made_before_the_crash_is_found_by_its_key() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let first = train(&registry, "wine_quality", "k1").await;
    train(&registry, "wine_quality", "k2").await;
    let other = train(&registry, "grape_quality", "k1").await;
    let find = async |wanted| registry.versions_trained(wanted).await.unwrap();
    let key = |key: &str| TrainedAs::Key(key.to_owned());
    assert_eq!(find(key("k1")).await, [other.clone(), first.clone()]);
    assert_eq!(find(key("k9")).await, []);
    // So is one that saw the same rows.
    let rows = |spec: &str, digest: &str| TrainedAs::Rows {
        spec: spec.to_owned(),
        digest: digest.to_owned(),
    };
    assert_eq!(find(rows("forest", "rows of k1")).await, [other, first]);
    assert_eq!(find(rows("boosting", "rows of k1")).await, []);
    assert_eq!(find(rows("forest", "rows of k9")).await, []);
    assert_eq!(find(TrainedAs::Spec("forest".to_owned())).await.len(), 3);
}

#[tokio::test]
async fn a_crash_between_folder_and_store_is_told_again() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let version = train(&registry, "wine_quality", "k1").await;
    move_alias(&registry, "wine_quality", 1).await.unwrap();
    // A copy stands for the folder that was there when the process ended, and
    // for the alias file; the store has heard of neither.
    let model = folder.path().join("_models/wine_quality");
    fs::create_dir(model.join("2")).unwrap();
    for name in entries(&version.path) {
        fs::copy(version.path.join(&name), model.join("2").join(&name)).unwrap();
    }
    let text = fs::read_to_string(model.join("aliases/00000001-production.json")).unwrap();
    let text = text
        .replace("\"move\": 1", "\"move\": 2")
        .replace("\"version\": 1", "\"version\": 2");
    fs::write(model.join("aliases/00000002-production.json"), text).unwrap();

    let told = registry.reconcile().await.unwrap();
    assert_eq!((told.versions, told.moves), (1, 1));
    assert_eq!(train(&registry, "wine_quality", "k3").await.version, 3);
    let moved = move_alias(&registry, "wine_quality", 3).await.unwrap();
    assert!(matches!(moved, AliasChange::Moved(m) if m.number == 3 && m.previous == Some(2)));
}

#[tokio::test]
async fn what_a_dead_run_was_writing_goes_and_what_a_live_one_writes_stays() {
    let folder = TempDir::new().unwrap();
    let state = State::open(folder.path().join("state.db")).await.unwrap();
    let registry = Registry::new(folder.path().join("_models"), Some(state.clone()));
    let dead = state
        .start_run(new_run(RunKind::Train, None))
        .await
        .unwrap();
    let live = state
        .start_run(new_run(RunKind::Train, None))
        .await
        .unwrap();
    let left = stage(&registry, "wine_quality", &dead).await;
    let path = left.path().to_owned();
    std::mem::forget(left);
    let writing = stage(&registry, "wine_quality", &live).await;
    let unknown = stage(&registry, "wine_quality", &RunId::generate()).await;
    state
        .finish_run(&dead, RunStatus::Killed, None)
        .await
        .unwrap();
    assert_eq!(registry.reconcile().await.unwrap().removed, 1);
    assert!(!path.exists());
    assert!(writing.path().exists());
    assert!(unknown.path().exists(), "its store may be new");
}

#[tokio::test]
async fn without_a_store_the_registry_can_be_read() {
    let folder = TempDir::new().unwrap();
    let none = Registry::new(folder.path().join("_models"), None);
    assert_eq!(none.list().await.unwrap(), []);
    let registry = open(folder.path()).await;
    train(&registry, "wine_quality", "k1").await;
    move_alias(&registry, "wine_quality", 1).await.unwrap();
    let uri = ModelUri::alias("wine_quality", "production");
    assert_eq!(none.resolve(&uri).await.unwrap().version, 1);
    let error = move_alias(&none, "wine_quality", 1).await.unwrap_err();
    assert!(matches!(error, RegistryError::ReadOnly { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_version_is_named_and_stops_nothing_else() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let version = train(&registry, "wine_quality", "k1").await;
    fs::write(version.path.join("metrics.json"), "{").unwrap();
    let error = registry.resolve(&version.uri()).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Damaged { path, .. } if path.ends_with("metrics.json")),
        "{error}"
    );
    // Somebody made a folder by hand, and a process ended while it wrote an alias.
    let model = folder.path().join("_models/wine_quality");
    fs::create_dir(model.join("2")).unwrap();
    move_alias(&registry, "wine_quality", 2).await.unwrap_err();
    fs::create_dir_all(model.join("aliases")).unwrap();
    fs::write(model.join("aliases/.0190.tmp"), "{").unwrap();
    let told = registry.reconcile().await.unwrap();
    assert_eq!(told.damaged, [model.join("2")]);
    assert_eq!(entries(&model.join("aliases")), [] as [&str; 0]);
    let next = train(&registry, "wine_quality", "k3").await;
    assert_eq!(next.version, 3, "the number 2 is taken");
    let found = registry.versions_trained(TrainedAs::Key("k3".to_owned()));
    assert_eq!(found.await.unwrap(), [next]);
}

#[tokio::test]
async fn an_alias_is_read_as_it_was() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    for key in ["k1", "k2"] {
        train(&registry, "wine_quality", key).await;
    }
    let mut times = Vec::new();
    for version in [1, 2, 1] {
        let moved = move_alias(&registry, "wine_quality", version)
            .await
            .unwrap();
        let AliasChange::Moved(moved) = moved else {
            panic!("{moved:?}")
        };
        times.push(moved.timestamp_ms);
        while now_ms() == moved.timestamp_ms {
            tokio::task::yield_now().await;
        }
    }
    let then = async |time_ms: i64| {
        let uri = ModelUri::alias("wine_quality", "production");
        registry.resolve(&uri.as_of(time_ms).unwrap()).await
    };
    for (time_ms, version) in times.iter().zip([1, 2, 1]) {
        assert_eq!(then(*time_ms).await.unwrap().version, version);
    }
    assert_eq!(then(times[1] - 1).await.unwrap().version, 1);
    let error = then(times[0] - 1).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::NoVersionThen { first_ms, .. } if first_ms == times[0]),
        "{error}"
    );
    let error = then(now_ms() + 60_000).await.unwrap_err();
    assert!(matches!(error, RegistryError::Future { .. }), "{error}");
    let other = ModelUri::alias("wine_quality", "staging").as_of(times[0]);
    let error = registry.resolve(&other.unwrap()).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::UnknownAlias { .. }),
        "{error}"
    );
    let error = ModelUri::number("wine_quality", 1).as_of(0).unwrap_err();
    assert!(matches!(error, RegistryError::InvalidUri { .. }), "{error}");
}

#[tokio::test]
async fn what_is_used_does_not_go() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    for key in ["k1", "k2", "k3"] {
        train(&registry, "wine_quality", key).await;
    }
    move_alias(&registry, "wine_quality", 1).await.unwrap();
    for error in [
        registry.retire("wine_quality", 1, "").await.unwrap_err(),
        registry.delete("wine_quality", 1, "").await.unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::InUse { .. }), "{error}");
    }
    let retired = registry.retire("wine_quality", 2, "worse").await.unwrap();
    assert_eq!(retired.status(), "RETIRED");
    let again = registry.retire("wine_quality", 2, "other").await.unwrap();
    assert_eq!(again.retired, retired.retired, "the first reason stays");
    let error = move_alias(&registry, "wine_quality", 2).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Retired { version: 2, .. }),
        "{error}"
    );

    // The highest number goes, and is not given again, even when the store is lost.
    registry.delete("wine_quality", 3, "").await.unwrap();
    let gone = registry.resolve(&ModelUri::number("wine_quality", 3)).await;
    assert!(matches!(gone, Err(RegistryError::UnknownVersion { .. })));
    let state = State::open(folder.path().join("new.db")).await.unwrap();
    let anew = Registry::new(folder.path().join("_models"), Some(state));
    anew.reconcile().await.unwrap();
    assert_eq!(train(&anew, "wine_quality", "k4").await.version, 4);
    let error = anew.delete("wine", 1, "").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::UnknownModel { .. }),
        "{error}"
    );
}
