//! The small languages inside a pipeline, each in the place where it stands: `when:`, lengths and
//! moments of time, SQL with variables, rows as CSV, patterns, names. The first byte says which.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::{Corpus, fuzz_target};
use sluice_pipelines::project::Project;
use sluice_pipelines::source::SourceFile;
use sluice_pipelines::spec::{self, Environment, Overrides};

/// Where relative paths of the pipeline begin.
const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/project/pipeline.yaml");

/// Pipelines with a hole, `@`.
const PLACES: [&str; 12] = [
    "pipeline: p\nmodels: {m: {train: {from: a.b, label: x, estimator: {random_forest: {}}}, register: {as: m, alias: a, when: @}}}\n",
    "pipeline: p\nschedule: {every: @}\n",
    "pipeline: p\nschedule: {cron: \"0 6 * * *\", jitter: @}\n",
    "pipeline: p\ntables: {a.b: {sql: \"SELECT 1 AS x\", mode: {interval: {column: x, every: day, start: @}}}}\n",
    "pipeline: p\ntables: {a.b: {sql: \"SELECT 1 AS x\", mode: {interval: {column: x, every: @, start: 2026-01-01}}}}\n",
    "pipeline: p\nvars: {v: 7, w: \"it's\", n: null}\ntables: {a.b: {sql: @}}\n",
    "pipeline: p\nvars: {v: 7, w: @, x: \"${w}${w}\"}\ntables: {a.b: {sql: \"SELECT ${x}, '${w}', ${ident:w}\"}}\n",
    "pipeline: p\ntables: {a.b: {sql: \"SELECT 1 AS x\"}}\ntests: {t: {table: a.b, expect: {csv: @}}}\n",
    "pipeline: p\ntables: {a.b: {ingest: {files: @}}}\n",
    "pipeline: p\ntables: {a.b: {sql: \"SELECT 1 AS x\", expect: {r: {that: @}}}}\n",
    "pipeline: p\ntables: {@: {sql: \"SELECT 1 AS x\", tags: [@]}}\n",
    "pipeline: @\nlakehouse: @\non_failure: {webhook: {url: @, secret: \"${env:HOME}\"}}\n",
];

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((which, rest)) = bytes.split_first() else {
        return Corpus::Reject;
    };
    let Ok(value) = std::str::from_utf8(rest) else {
        return Corpus::Reject;
    };
    let place = PLACES[usize::from(*which) % PLACES.len()];
    let text = place.replace('@', &quoted(value));
    let environment = BTreeMap::from([("HOME".to_owned(), "/home/fuzz".to_owned())]);
    let overrides = Overrides {
        environment: Environment::Fixed(environment),
        ..Overrides::default()
    };
    let project = Project::from_file(PROJECT);
    let source = SourceFile::new("pipeline.yaml", text.as_str());
    if let Err(errors) = spec::load_source(&project, source, &overrides) {
        assert!(!errors.plain().is_empty());
        for diagnostic in &errors {
            // The hole is quoted: whatever stands in it, the file is YAML.
            assert!(
                !diagnostic.code.starts_with("yaml") || value_is_odd(value),
                "{diagnostic:?}"
            );
        }
    }
    Corpus::Keep
});

/// As a double-quoted scalar.
fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What YAML takes in no notation, or for no key.
fn value_is_odd(value: &str) -> bool {
    quoted(value).len() > 900
        || value
            .chars()
            .any(|c| matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}'))
}
