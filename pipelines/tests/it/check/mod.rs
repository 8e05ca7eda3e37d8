//! Every pipeline in `cases/` is wrong in what it refers to; its snapshot is all that is said
//! about it. [`stored`] is about what the lakehouse has already.

mod identity;
mod stored;

use std::path::PathBuf;

use sluice_pipelines::check::{World, also_wrong, check};
use sluice_pipelines::project::Project;
use sluice_pipelines::spec::{Overrides, load};

use crate::written::{pipelines, snapshot_settings};

const FOLDER: &str = "tests/it/check/cases";

/// All that is wrong with a pipeline, over an empty lakehouse, which stays empty.
async fn wrong(file: PathBuf) -> String {
    let folder = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        lakehouse: Some(folder.path().join("lakehouse")),
        ..Overrides::default()
    };
    let project = Project::from_file(&file);
    let (spec, _) = match load(&project, &overrides) {
        Ok(loaded) => loaded,
        Err(mut wrong) => {
            wrong.extend(also_wrong(&project, &overrides).await);
            wrong.sort();
            return wrong.plain();
        }
    };
    let world = World::open(&spec.lakehouse.path).await.unwrap();
    let diagnostics = match check(&spec, &world).await {
        Ok(_) => panic!("{} is not wrong", file.display()),
        Err(diagnostics) => diagnostics,
    };
    assert!(diagnostics.has_errors());
    assert!(!spec.lakehouse.path.exists(), "a check writes nothing");
    diagnostics.plain()
}

#[tokio::test]
async fn says_what_is_wrong_and_where() {
    let settings = snapshot_settings("cases");
    for (name, file) in pipelines(FOLDER) {
        let said = wrong(file).await;
        settings.bind(|| insta::assert_snapshot!(name, said));
    }
}
