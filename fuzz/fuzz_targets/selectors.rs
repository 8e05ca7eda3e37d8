//! Selectors: reading one, and asking a project for it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use sluice_pipelines::check::{World, check};
use sluice_pipelines::plan::Plan;
use sluice_pipelines::project::Project;
use sluice_pipelines::select::{Selection, Selector, select};
use sluice_pipelines::spec::{self, Overrides};
use tokio::runtime::Runtime;

/// Where relative paths of the pipeline begin.
const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/project/pipeline.yaml");

struct Asked {
    runtime: Runtime,
    world: World,
    plan: Plan,
}

static ASKED: LazyLock<Asked> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had");
    let project = Project::from_file(PROJECT);
    let (spec, _) = spec::load(&project, &Overrides::default()).expect("the project is sound");
    let (world, plan) = runtime.block_on(async {
        let world = World::open(&spec.lakehouse.path)
            .await
            .expect("there is no lakehouse yet");
        let (plan, _) = check(&spec, &world).await.expect("the project is sound");
        (world, plan)
    });
    Asked {
        runtime,
        world,
        plan,
    }
});

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let mut selection = Selection::default();
    for (number, line) in text.lines().enumerate() {
        match Selector::parse(line) {
            Ok(selector) => {
                // What it prints is what it is.
                let again = Selector::parse(&selector.to_string());
                assert!(again.is_ok_and(|again| again.to_string() == selector.to_string()));
                match number % 2 {
                    0 => selection.select.push(selector),
                    _ => selection.exclude.push(selector),
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let asked = &*ASKED;
    let answer = asked
        .runtime
        .block_on(select(&asked.plan, &asked.world, &selection));
    match answer {
        Ok(chosen) => assert!(
            chosen
                .iter()
                .all(|position| *position < asked.plan.assets.len())
        ),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Corpus::Keep
});
