//! The folder itself: what is listed, who may write, who runs.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
    sync::{Arc, Barrier},
};

use sluice_lake::{LakeError, Lakehouse, delta::WriteMode};

use crate::fixture::{TestLake, name, words};

#[tokio::test]
async fn only_committed_tables_of_layers_are_listed() {
    let test = TestLake::new();
    for table in ["silver.b", "silver.a", "Gold.x"] {
        test.write(table, WriteMode::Append, vec![words(&[(1, "a")])], 1)
            .await
            .unwrap();
    }
    let root = test.lake.root();
    for folder in [
        "silver/cut_off/_delta_log",
        "system/t/_delta_log",
        "_models/m",
        "bronze/empty",
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("silver/a_file"), "").unwrap();
    fs::write(
        root.join("system/t/_delta_log/00000000000000000000.json"),
        "",
    )
    .unwrap();
    fs::write(
        root.join("silver/cut_off/_delta_log/00000000000000000000.json.tmp"),
        "",
    )
    .unwrap();
    let tables: Vec<String> = test
        .lake
        .list_tables()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(tables, ["Gold.x", "silver.a", "silver.b"]);
    let found = test.lake.find_table(&name("gold.X")).unwrap().unwrap();
    assert_eq!(found, name("Gold.x"));
    assert_eq!(test.lake.find_table(&name("gold.y")).unwrap(), None);
}

#[test]
fn opening_never_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    let lake = Lakehouse::open(&path).unwrap();
    assert!(lake.list_tables().unwrap().is_empty());
    assert_eq!(lake.existing_project_uuid("wine").unwrap(), None);
    assert!(!path.exists());
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(
        Lakehouse::open(&file),
        Err(LakeError::Unreadable { .. })
    ));
}

#[tokio::test]
async fn a_place_that_cannot_be_a_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = Lakehouse::create(&path).unwrap_err();
        assert!(matches!(error, LakeError::Unwritable { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains("--lakehouse DIR"), "{text}");
    }
    // A layer that is a file: found when the table is written.
    let test = TestLake::new();
    fs::write(test.lake.root().join("silver"), "").unwrap();
    let error = test
        .write(
            "silver.t",
            WriteMode::Overwrite,
            vec![words(&[(1, "a")])],
            1,
        )
        .await
        .unwrap_err();
    assert!(matches!(error, LakeError::Unwritable { .. }), "{error:?}");
    assert!(error.to_string().contains("silver"), "{error}");
}

#[test]
fn a_path_that_delta_would_misread_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a%20b");
    for error in [
        Lakehouse::create(&path).unwrap_err(),
        Lakehouse::open(&path).unwrap_err(),
    ] {
        assert!(matches!(&error, LakeError::EscapedPath { escape, .. } if escape == "%20"));
    }
    assert!(!path.exists());
}

/// Run by [`without_privileges_the_folder_is_named`] as another user; by itself it
/// has nothing to do.
#[test]
fn child_that_creates_a_lakehouse() {
    if let Some(path) = std::env::var_os("SLUICE_TEST_CREATE") {
        let error = Lakehouse::create(path).unwrap_err();
        assert!(matches!(error, LakeError::Unwritable { .. }));
        println!("refused: {error}");
    }
}

#[test]
fn without_privileges_the_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("lakehouse");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere: a copy of this test binary runs as nobody.
    let program = dir.path().join("it");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Command::new(&program);
    child
        .args([
            "--exact",
            "lakehouse::child_that_creates_a_lakehouse",
            "--nocapture",
        ])
        .env("SLUICE_TEST_CREATE", &root)
        .current_dir(dir.path())
        .stdin(Stdio::null());
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if is_root {
        child.uid(65_534).gid(65_534);
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("refused: cannot write to the lakehouse folder"),
        "{text}"
    );
    assert!(text.contains(&root.display().to_string()), "{text}");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_project_has_one_identity_however_many_ask_at_once() {
    let test = TestLake::new();
    let barrier = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (lake, barrier) = (test.lake.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                lake.project_uuid("wine").unwrap()
            })
        })
        .collect();
    let mut uuids: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    uuids.dedup();
    assert_eq!(uuids.len(), 1);
    let reopened = Lakehouse::open(test.lake.root()).unwrap();
    assert_eq!(
        reopened.existing_project_uuid("wine").unwrap(),
        Some(uuids[0])
    );
    assert_ne!(reopened.project_uuid("beer").unwrap(), uuids[0]);
    let left = fs::read_dir(test.lake.sluice_path().join("projects")).unwrap();
    let temporary = left
        .flatten()
        .any(|e| e.path().extension().is_some_and(|e| e == "tmp"));
    assert!(!temporary);
}

#[test]
fn a_damaged_identity_is_not_replaced() {
    let test = TestLake::new();
    let path = test.lake.sluice_path().join("projects/wine.json");
    fs::write(&path, "{").unwrap();
    let error = test.lake.project_uuid("wine").unwrap_err();
    assert!(matches!(error, LakeError::Damaged { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{");
}

#[test]
fn names_that_are_no_file_names_are_refused() {
    let test = TestLake::new();
    for bad in ["", "../x", "a/b", ".hidden", "a b"] {
        assert!(
            matches!(test.lake.project_uuid(bad), Err(LakeError::Name(_))),
            "{bad}"
        );
        assert!(
            matches!(test.lake.lock(bad), Err(LakeError::Name(_))),
            "{bad}"
        );
    }
}

#[test]
fn one_run_at_a_time() {
    let test = TestLake::new();
    let lock = test.lake.lock("wine").unwrap();
    let error = test.lake.lock("wine").unwrap_err();
    let LakeError::Locked { pid, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*pid, Some(std::process::id()));
    let text = error.to_string();
    assert!(
        text.contains("`wine`") && text.contains("process"),
        "{text}"
    );
    assert!(error.is_transient());
    let other = test.lake.lock("beer").unwrap();
    assert_ne!(other.path(), lock.path());
    drop(lock);
    assert!(test.lake.lock("wine").is_ok());
}
