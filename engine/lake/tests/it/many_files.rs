//! Ten thousand small files take no more memory than a thousand.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sluice_lake::{
    Lakehouse,
    delta::WriteMode,
    ingest::{FileMemory, ReadOptions, Unmatched, find_files, identify, infer_schema, read},
};
use tempfile::TempDir;

use crate::fixture::{commit, name};

const FOLDER_VARIABLE: &str = "SLUICE_TEST_FOLDER";
const FEW: usize = 1_000;
const MANY: usize = 10_000;

/// What nine thousand files more may take: their names and hashes, and what an allocator keeps.
/// A buffer for each of them would be 2 GiB.
const MORE_KIB: u64 = 48 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "another test starts it as a process of its own"]
async fn a_process_that_reads_them() {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE).unwrap());
    let options = ReadOptions::default();
    let patterns = ["in/*/*.csv".to_owned()];
    let found = find_files(&folder, &patterns, Unmatched::Refuse)
        .await
        .unwrap();
    let files = identify(found, &FileMemory::new()).await.unwrap();
    let schema = infer_schema(&files, &options, None).await.unwrap();
    let rows = read(&files, &schema, &options, None);
    let lake = Lakehouse::create(folder.join("lakehouse")).unwrap();
    let written = lake
        .write(&name("bronze.t"), WriteMode::Append, rows, commit(1))
        .await
        .unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    std::fs::write(folder.join("told"), format!("{} {peak}", written.rows)).unwrap();
}

/// Rows, and the most memory that a process held while it read them, in KiB.
fn ingest(folder: &Path, files: usize) -> (u64, u64) {
    for part in 0..100 {
        std::fs::create_dir_all(folder.join(format!("in/{part:02}"))).unwrap();
    }
    for file in 0..files {
        let path = folder.join(format!("in/{:02}/{file}.csv", file % 100));
        std::fs::write(path, format!("n,s\n{file},x\n")).unwrap();
    }
    let ended = Command::new("/proc/self/exe")
        .args([
            "--exact",
            "many_files::a_process_that_reads_them",
            "--ignored",
        ])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(ended.success());
    let told = std::fs::read_to_string(folder.join("told")).unwrap();
    let (rows, peak) = told.split_once(' ').unwrap();
    (rows.parse().unwrap(), peak.parse().unwrap())
}

#[test]
fn memory_does_not_grow_with_the_number_of_files() {
    let (few, many) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (rows, least) = ingest(few.path(), FEW);
    assert_eq!(rows, FEW as u64);
    let (rows, most) = ingest(many.path(), MANY);
    assert_eq!(rows, MANY as u64);
    assert!(
        most < least + MORE_KIB,
        "{FEW} files took {least} KiB, {MANY} took {most} KiB"
    );
}
