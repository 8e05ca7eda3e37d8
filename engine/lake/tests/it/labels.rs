//! What people say about runs, models and versions, and aliases that go.

use std::fs;

use sluice_lake::{
    registry::{
        AliasDecision, LabelChange, Labels, ModelUri, Registry, RegistryError, RemoveAlias,
    },
    state::{AppliedModel, RunId, RunKind, State, StateError, now_ms},
    tags::TagError,
};
use tempfile::TempDir;

use crate::{
    registry::{move_alias, open, train},
    state::{new_run, record},
};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn said(description: &str, tags: &[(&str, &str)]) -> Labels {
    Labels {
        description: Some(description.to_owned()).filter(|text| !text.is_empty()),
        tags: pairs(tags).into_iter().collect(),
    }
}

#[tokio::test]
async fn models_and_versions_have_tags_and_a_description() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    train(&registry, "wine", "k1").await;
    train(&registry, "wine", "k2").await;
    let change = |set: &[(&str, &str)], remove: &[&str], description: Option<&str>| LabelChange {
        description: description.map(str::to_owned),
        set: pairs(set),
        remove: remove.iter().map(|key| (*key).to_owned()).collect(),
    };
    let first = change(&[("team", "a"), ("stage", "x")], &[], Some("Wines."));
    let labels = registry.label("wine", None, first).await.unwrap();
    assert_eq!(labels, said("Wines.", &[("team", "a"), ("stage", "x")]));
    let second = change(&[("team", "b")], &["stage"], None);
    let labels = registry.label("wine", None, second).await.unwrap();
    assert_eq!(labels, said("Wines.", &[("team", "b")]));
    let of_version = change(&[("reviewed", "yes")], &[], Some("The second."));
    registry.label("wine", Some(2), of_version).await.unwrap();
    assert_eq!(
        registry.labels("wine", Some(1)).await.unwrap(),
        Labels::default()
    );

    // A copy of the model's files is another version, of which nothing is said.
    let staging = registry.stage("wine", &RunId::generate()).await.unwrap();
    let two = folder.path().join("_models/wine/2");
    registry.copy_model(&two, &staging).await.unwrap();
    assert!(!staging.path().join("labels.json").exists());

    // All or nothing, and nothing of the program's own.
    for (change, words) in [
        (
            change(&[("more", "x")], &["tema"], None),
            "did you mean `team`?",
        ),
        (
            change(&[("mlflow.user", "x")], &[], None),
            "written by sluice itself",
        ),
        (
            change(&[], &["mlflow.user"], None),
            "written by sluice itself",
        ),
    ] {
        let error = registry.label("wine", None, change).await.unwrap_err();
        assert!(matches!(error, RegistryError::Tag(_)) && error.is_wrong_request());
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(
        registry.labels("wine", None).await.unwrap(),
        said("Wines.", &[("team", "b")])
    );
    let none = registry
        .label("wine", Some(9), LabelChange::default())
        .await;
    assert!(matches!(none, Err(RegistryError::UnknownVersion { .. })));
    let none = registry.label("beer", None, LabelChange::default()).await;
    assert!(matches!(none, Err(RegistryError::UnknownModel { .. })));

    // A lost store is told again, even of a model whose versions are all deleted.
    for version in [1, 2] {
        registry.delete("wine", version, "").await.unwrap();
    }
    let state = State::open(folder.path().join("new.db")).await.unwrap();
    let anew = Registry::new(folder.path().join("_models"), Some(state.clone()));
    anew.reconcile().await.unwrap();
    assert_eq!(
        anew.labels("wine", None).await.unwrap(),
        said("Wines.", &[("team", "b")])
    );
    state.close().await;
}

#[tokio::test]
async fn an_alias_goes_and_its_history_stays() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    for key in ["k1", "k2"] {
        train(&registry, "wine", key).await;
    }
    move_alias(&registry, "wine", 1).await.unwrap();
    let named_ms = now_ms();
    while now_ms() == named_ms {
        tokio::task::yield_now().await;
    }
    let remove = |alias: &str| RemoveAlias {
        name: "wine".to_owned(),
        alias: alias.to_owned(),
        run_id: RunId::from("by-hand"),
        reason: "no longer".to_owned(),
    };
    let error = registry
        .remove_alias(remove("prodction"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("did you mean `production`?"),
        "{error}"
    );
    let removal = registry.remove_alias(remove("production")).await.unwrap();
    assert_eq!(
        (removal.number, removal.version, removal.previous),
        (2, None, Some(1))
    );
    let uri = ModelUri::alias("wine", "production");
    let gone = registry.resolve(&uri).await.unwrap_err();
    assert!(matches!(gone, RegistryError::UnknownAlias { .. }), "{gone}");
    assert!(registry.list().await.unwrap()[0].aliases.is_empty());
    let again = registry
        .remove_alias(remove("production"))
        .await
        .unwrap_err();
    assert!(
        matches!(again, RegistryError::UnknownAlias { .. }),
        "{again}"
    );

    // What it named then is known; from its removal on, that it named nothing.
    let then = uri.clone().as_of(named_ms).unwrap();
    assert_eq!(registry.resolve(&then).await.unwrap().version, 1);
    let now = uri.clone().as_of(now_ms()).unwrap();
    let error = registry.resolve(&now).await.unwrap_err().to_string();
    assert!(error.contains("it was removed at"), "{error}");

    // A version that no alias names any more can go; the alias can come back.
    registry.retire("wine", 1, "").await.unwrap();
    move_alias(&registry, "wine", 2).await.unwrap();
    registry.remove_alias(remove("production")).await.unwrap();
    let state = State::open(folder.path().join("new.db")).await.unwrap();
    let anew = Registry::new(folder.path().join("_models"), Some(state));
    let told = anew.reconcile().await.unwrap();
    assert_eq!((told.versions, told.moves), (2, 4));
    let history = anew.alias_history("wine").await.unwrap();
    let moves: Vec<_> = history
        .iter()
        .map(|found| (found.version, found.previous))
        .collect();
    assert_eq!(
        moves,
        [
            (Some(1), None),
            (None, Some(1)),
            (Some(2), None),
            (None, Some(2))
        ]
    );
}

#[tokio::test]
async fn an_alias_that_a_table_applies_stays() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let state = State::open(folder.path().join("state.db")).await.unwrap();
    train(&registry, "wine", "k1").await;
    move_alias(&registry, "wine", 1).await.unwrap();
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let scored = async |applied: bool, version: i64| {
        let mut record = record(&run, "k", &[]);
        if applied {
            record.models.push(AppliedModel {
                address: "models:/wine@production".to_owned(),
                name: "wine".to_owned(),
                version: 1,
            });
        }
        let txn = state.next_txn(&record, None).await.unwrap();
        state
            .confirm_txn(&record.app_id(), txn, version, None)
            .await
            .unwrap();
    };
    scored(true, 0).await;
    let request = RemoveAlias {
        name: "wine".to_owned(),
        alias: "production".to_owned(),
        run_id: run.clone(),
        reason: String::new(),
    };
    let error = registry.remove_alias(request.clone()).await.unwrap_err();
    assert!(matches!(error, RegistryError::AliasInUse { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("applies models:/wine@production"),
        "{error}"
    );
    // Its present rows are made otherwise.
    scored(false, 1).await;
    registry.remove_alias(request).await.unwrap();
}

#[tokio::test]
async fn a_decision_is_kept_beside_its_version() {
    let folder = TempDir::new().unwrap();
    let registry = open(folder.path()).await;
    let version = train(&registry, "wine", "k1").await;
    assert_eq!(registry.decisions(&version).await.unwrap(), []);
    let decision = |moved, reason: &str| AliasDecision {
        alias: "production".to_owned(),
        moved,
        reason: reason.to_owned(),
        when: Some("test.auc > 0.9".to_owned()),
        champion: None,
        asset: "search".to_owned(),
        run_id: RunId::from("run"),
        timestamp_ms: 7,
    };
    for decision in [decision(false, "worse"), decision(true, "better")] {
        registry.keep_decision(&version, decision).await.unwrap();
    }
    // A process that ended while it wrote leaves a file aside.
    fs::write(version.path.join("decisions/.x.tmp"), "{").unwrap();
    let kept = registry.decisions(&version).await.unwrap();
    assert_eq!(kept, [decision(true, "better")]);
}

#[tokio::test]
async fn a_run_is_found_by_the_beginning_of_its_identifier() {
    let folder = TempDir::new().unwrap();
    let state = State::open(folder.path().join("state.db")).await.unwrap();
    let one = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let other = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let found = state.find_run(one.as_str()).await.unwrap();
    assert_eq!(found.run_id, one);
    let differ = one
        .as_str()
        .bytes()
        .zip(other.as_str().bytes())
        .position(|(a, b)| a != b)
        .unwrap();
    let short = &other.as_str()[..=differ];
    assert_eq!(
        state.find_run(&short.to_uppercase()).await.unwrap().run_id,
        other
    );
    let error = state.find_run(&one.as_str()[..differ]).await.unwrap_err();
    assert!(matches!(&error, StateError::SeveralRuns { count: 2, some, .. } if some.len() == 2));
    for (text, words) in [
        ("", "hexadecimal"),
        ("baseline", "hexadecimal"),
        ("%", "hexadecimal"),
        ("ff", "`sluice runs` lists them"),
        ("0123456789abcdef0123456789abcdef0", "no longer"),
    ] {
        let error = state.find_run(text).await.unwrap_err();
        assert!(error.is_wrong_request(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn tags_of_a_run_go_together_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let state = State::open(folder.path().join("state.db")).await.unwrap();
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let tags = pairs(&[("team", "a"), ("stage", "x"), ("mlflow.user", "me")]);
    state.set_tags(&run, &tags).await.unwrap();
    let wrong = ["team".to_owned(), "stge".to_owned()];
    let error = state.remove_tags(&run, &wrong).await.unwrap_err();
    let StateError::Tag(TagError::Unknown { nearest, known, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(nearest.as_deref(), Some("stage"));
    assert_eq!(
        known,
        &["stage", "team"],
        "those of the program are not offered"
    );
    assert_eq!(state.tags(&run).await.unwrap().len(), 3);
    let right = ["team".to_owned(), "stage".to_owned()];
    state.remove_tags(&run, &right).await.unwrap();
    assert_eq!(state.tags(&run).await.unwrap().len(), 1);
}
