//! Every file in `specs/` is wrong; its snapshot is all that is said about it.

use std::path::Path;

use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::project::{Project, find_project};
use sluice_pipelines::spec::{self, Environment, Overrides};

use crate::written::{pipelines, snapshot_settings};

const FOLDER: &str = "tests/it/specs";

fn overrides() -> Overrides {
    Overrides {
        environment: Environment::Fixed([("HOME".into(), "/home/me".into())].into()),
        ..Overrides::default()
    }
}

fn load(file: &Path) -> Diagnostics {
    let project = Project::from_file(file);
    match spec::load(&project, &overrides()) {
        Ok(_) => panic!("{} is not wrong", file.display()),
        Err(diagnostics) => diagnostics,
    }
}

#[test]
fn say_what_is_wrong_and_where() {
    snapshot_settings("specs").bind(|| {
        for (name, file) in pipelines(FOLDER) {
            insta::assert_snapshot!(name, load(&file).plain());
        }
    });
}

/// Each error of the fixtures points somewhere and each rendering is complete.
#[test]
fn point_somewhere_in_both_renderings() {
    for (_, file) in pipelines(FOLDER) {
        let diagnostics = load(&file);
        assert!(diagnostics.has_errors());
        for diagnostic in &diagnostics {
            let location = diagnostic.location.as_ref().unwrap();
            assert!(
                location.span.end() <= location.source.text().len(),
                "{diagnostic:?}"
            );
        }
        let drawn = diagnostics.graphical(400, false);
        for diagnostic in &diagnostics {
            let first_words: Vec<&str> = diagnostic.message.split(' ').take(3).collect();
            assert!(drawn.contains(&first_words.join(" ")), "{drawn}");
        }
        assert!(!diagnostics.plain().contains('\u{1b}'));
    }
}

#[test]
fn are_drawn_for_terminals() {
    let drawn = load(Path::new("tests/it/specs/sql_variables.yaml")).graphical(80, false);
    snapshot_settings("specs").bind(|| insta::assert_snapshot!("graphical", drawn));
}

#[test]
fn flags_are_checked_too() {
    let overrides = Overrides {
        lakehouse: Some("s3://bucket".into()),
        set: vec![
            ("good_form".into(), "8".into()),
            ("good_from".into(), "eight".into()),
            ("strict".into(), "yes".into()),
        ],
        environment: Environment::default(),
        kept: None,
    };
    let text = "pipeline: p\nvars:\n  good_from: 7\n  strict: true\ntables:\n  a.b:\n    sql: SELECT 1 AS a\n";
    let source = sluice_pipelines::source::SourceFile::new("pipeline.yaml", text);
    let project = Project::from_file("pipeline.yaml");
    let diagnostics = spec::load_source(&project, source, &overrides).unwrap_err();
    snapshot_settings("specs").bind(|| insta::assert_snapshot!("flags", diagnostics.plain()));
}

#[cfg(unix)]
#[test]
fn definitions_do_not_leave_the_project_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(folder.path().join("outside.sql"), "SELECT 1 AS a").unwrap();
    std::fs::write(project.join("inside.sql"), "SELECT 1 AS a").unwrap();
    let link = |from: &str, to: &str| std::os::unix::fs::symlink(from, project.join(to)).unwrap();
    link("../outside.sql", "out.sql");
    link("inside.sql", "in.sql");
    link("..", "up");
    let file = project.join("pipeline.yaml");
    for (path, allowed) in [
        ("inside.sql", true),
        ("in.sql", true),
        ("./in.sql", true),
        ("../project/inside.sql", true),
        ("out.sql", false),
        ("up/outside.sql", false),
        ("up/missing.sql", false),
    ] {
        let text = format!("pipeline: p\ntables:\n  a.b:\n    sql_file: {path}\n");
        std::fs::write(&file, text).unwrap();
        let project = find_project(Some(&file)).unwrap();
        let loaded = spec::load(&project, &Overrides::default());
        assert_eq!(loaded.is_ok(), allowed, "{path}: {loaded:?}");
    }
}

#[test]
fn projects_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &Path| find_project(Some(path));
    let missing = at(&folder.path().join("nowhere")).unwrap_err();
    assert!(missing.plain().contains("there is no file or folder"));
    std::fs::write(folder.path().join("pipeline.yml"), "pipeline: p").unwrap();
    let misnamed = at(folder.path()).unwrap_err().plain();
    assert!(
        misnamed.contains("no pipeline.yaml") && misnamed.contains("pipeline.yml"),
        "{misnamed}"
    );
    std::fs::write(folder.path().join("pipeline.yaml"), "pipeline: p").unwrap();
    assert_eq!(at(folder.path()).unwrap().folder(), folder.path());
}
