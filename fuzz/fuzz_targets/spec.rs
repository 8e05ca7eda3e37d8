//! A whole pipeline: whatever the text, loading answers, and its places lie inside the file.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::{Corpus, fuzz_target};
use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::project::Project;
use sluice_pipelines::source::SourceFile;
use sluice_pipelines::spec::{self, Environment, Overrides};

/// Where relative paths of the pipeline begin.
const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/project/pipeline.yaml");

/// More than any sensible answer to a small file.
const MOST_TOLD_BYTES: usize = 4 << 20;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    // What is no UTF-8 is refused before anything looks at it.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let project = Project::from_file(PROJECT);
    let environment = BTreeMap::from([("HOME".to_owned(), "/home/fuzz".to_owned())]);
    let overrides = Overrides {
        environment: Environment::Fixed(environment),
        ..Overrides::default()
    };
    let source = SourceFile::new("pipeline.yaml", text);
    match spec::load_source(&project, source, &overrides) {
        Ok((_, warnings)) => {
            assert!(!warnings.has_errors());
            look_at(&warnings);
        }
        Err(errors) => {
            assert!(errors.has_errors());
            look_at(&errors);
        }
    }
    Corpus::Keep
});

/// Renders diagnostics, and checks that every place is one.
fn look_at(diagnostics: &Diagnostics) {
    let (plain, drawn) = (diagnostics.plain(), diagnostics.graphical(80, false));
    assert!(plain.len() < MOST_TOLD_BYTES && drawn.len() < MOST_TOLD_BYTES);
    for diagnostic in diagnostics {
        let related = diagnostic.related.iter().map(|related| &related.location);
        for location in diagnostic.location.iter().chain(related) {
            let text = location.source.text();
            assert!(text.get(location.span.range()).is_some(), "{diagnostic:?}");
        }
    }
}
