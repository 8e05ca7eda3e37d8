//! What `examples/deploy` holds can be used as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::binary;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy")
}

fn unit() -> String {
    fs::read_to_string(folder().join("sluice@.service")).unwrap()
}

/// The settings of a unit: the values of each key, by section.
fn settings(unit: &str) -> BTreeMap<String, Vec<String>> {
    let mut section = String::new();
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in unit.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            continue;
        }
        let (key, value) = line.split_once('=').unwrap();
        let values = settings.entry(format!("{section}.{key}")).or_default();
        values.push(value.to_owned());
    }
    settings
}

#[test]
fn the_unit_says_what_the_binary_takes() {
    let settings = settings(&unit());
    let one = |key: &str| match settings.get(key).map(Vec::as_slice) {
        Some([value]) => value.clone(),
        other => panic!("{key}: {other:?}"),
    };
    for key in [
        "NoNewPrivileges",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
    ] {
        assert_eq!(one(&format!("Service.{key}")), "yes");
    }
    assert_eq!(one("Service.ProtectSystem"), "strict");
    assert_eq!(one("Service.StateDirectory"), "sluice");
    let start = one("Service.ExecStart");
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/sluice"));
    let command: Vec<&str> = words.collect();
    // Its own time to stop is shorter than systemd's.
    let at = command.iter().position(|word| *word == "--grace").unwrap();
    let grace: u64 = command[at + 1].parse().unwrap();
    assert!(grace < one("Service.TimeoutStopSec").parse().unwrap());
    // clap knows every word: what is wrong is only that there is no such project.
    let ended = Command::new(binary())
        .args(command.iter().map(|word| word.replace("%i", "none")))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(
        said.contains("/srv/sluice/none") && !said.contains("Usage"),
        "{said}"
    );
}

#[test]
fn systemd_takes_the_unit() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return skip("systemd-analyze is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    // It wants the program to be there.
    let unit = unit().replace("/usr/local/bin/sluice", binary().to_str().unwrap());
    let unit = unit.replace("User=sluice\nGroup=sluice\n", "User=root\nGroup=root\n");
    let path = dir.path().join("sluice@wine.service");
    fs::write(&path, unit).unwrap();
    let ended = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(!said.contains("sluice@"), "{said}");
}

#[test]
fn the_image_is_no_roots() {
    let text = fs::read_to_string(folder().join("Containerfile")).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let last = |word: &str| {
        lines
            .iter()
            .rev()
            .find(|line| line.starts_with(word))
            .copied()
    };
    assert_eq!(
        last("FROM"),
        Some("FROM docker.io/library/debian:bookworm-slim")
    );
    assert_eq!(last("USER"), Some("USER 10001"));
    assert_eq!(last("CMD"), Some("CMD [\"schedule\", \"/project\"]"));
    let rust = concat!("rust:", env!("CARGO_PKG_RUST_VERSION"));
    assert!(
        text.contains(rust),
        "it builds with the oldest Rust that is promised"
    );
}

/// A passing test's output is not shown: the file that `.ci/run` names is.
fn skip(reason: &str) {
    if let Some(path) = std::env::var_os("SLUICE_SKIPPED_TESTS") {
        let line = format!("SKIPPED: systemd_takes_the_unit: {reason}\n");
        let mut file = fs::File::options().append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
