//! The wine example, on a small search.

use std::path::Path;
use std::sync::{Arc, Mutex};

use sluice_pipelines::check::{World, check};
use sluice_pipelines::events::{Event, EventSink, RunStatus};
use sluice_pipelines::project::Project;
use sluice_pipelines::run::{RunOptions, run};
use sluice_pipelines::spec::{Overrides, load};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn wine() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::from_file(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/wine/pipeline.yaml"),
    );
    let overrides = Overrides {
        lakehouse: Some(folder.path().join("lake")),
        ..Overrides::default()
    };
    let (spec, _) = load(&project, &overrides).unwrap();
    for _ in 0..2 {
        let world = World::open(&spec.lakehouse.path).await.unwrap();
        let plan = match check(&spec, &world).await {
            Ok((plan, _)) => plan,
            Err(diagnostics) => panic!("{}", diagnostics.plain()),
        };
        for step in sluice_pipelines::plan::preview::preview(&plan, &world).await {
            eprintln!("{step:?}");
        }
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let sink: EventSink = Arc::new(|event: &Event| {
            eprintln!("{}", serde_json::to_string(event).unwrap());
        });
        let started = std::time::Instant::now();
        let summary = run(plan, RunOptions::default(), sink, CancellationToken::new())
            .await
            .unwrap();
        eprintln!("{summary:?} {:?}", started.elapsed());
        assert_eq!(summary.status, RunStatus::Finished);
        drop(events);
    }
}
