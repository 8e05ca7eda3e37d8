//! Pipelines that are written down in a folder, each with its snapshot beside it.

use std::path::PathBuf;

/// The pipelines of a folder, by name.
pub(crate) fn pipelines(folder: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_pipeline = |path: &PathBuf| path.extension().is_some_and(|it| it == "yaml");
    let mut files: Vec<(String, PathBuf)> = paths
        .filter(is_pipeline)
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    files.sort();
    files
}

/// Snapshots lie in `folder`, beside the module, and are called as the pipelines are.
pub(crate) fn snapshot_settings(folder: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}
