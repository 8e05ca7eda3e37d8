//! A project in a folder of its own: written, checked, planned, run and asked in a test.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use sluice_lake::registry::{ModelVersion, MoveAlias, Registry};
use sluice_lake::session::SessionOptions;
use sluice_lake::sql;
use sluice_lake::state::{RunId, State};
use sluice_lake::{LakeCatalog, Lakehouse, Pins, TableName};
use sluice_pipelines::check::{World, check};
use sluice_pipelines::events::{Event, EventKind, EventSink, RunStatus};
use sluice_pipelines::plan::details::{DetailedStep, detailed};
use sluice_pipelines::plan::preview::{Action, preview};
use sluice_pipelines::plan::{EventTime, Plan};
use sluice_pipelines::project::Project;
use sluice_pipelines::run::{RunError, RunOptions, RunSummary, run};
use sluice_pipelines::spec::{Overrides, load};
use sluice_udfs::session::LakeSession;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A project and its lakehouse.
pub(crate) struct Sandbox {
    folder: TempDir,
    set: Vec<(String, String)>,
    parallelism: usize,
}

/// What a run said and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) summary: RunSummary,
    pub(crate) events: Vec<EventKind>,
}

impl Sandbox {
    /// A project with this pipeline; `pipeline:` and `lakehouse:` are added.
    pub(crate) fn new(pipeline: &str) -> Self {
        let sandbox = Self {
            folder: tempfile::tempdir().unwrap(),
            set: Vec::new(),
            parallelism: 2,
        };
        sandbox.pipeline(pipeline);
        sandbox
    }

    /// Writes the pipeline anew.
    pub(crate) fn pipeline(&self, pipeline: &str) {
        self.write("pipeline.yaml", format!("pipeline: p\n{pipeline}"));
    }

    /// Replaces a piece of the pipeline, which must be there.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("pipeline.yaml")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.write("pipeline.yaml", text.replace(from, to));
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Overrides a variable from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.set.push((name.to_owned(), value.to_owned()));
    }

    /// Stages side by side, and threads, from now on.
    pub(crate) fn parallelism(&mut self, parallelism: usize) {
        self.parallelism = parallelism;
    }

    /// A path in the project's folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The lakehouse.
    pub(crate) fn lakehouse(&self) -> Lakehouse {
        Lakehouse::open(self.path("lakehouse")).unwrap()
    }

    /// The registry, for reading.
    pub(crate) fn registry(&self) -> Registry {
        Registry::new(self.lakehouse().models_path(), None)
    }

    /// The versions of a model, lowest first.
    pub(crate) async fn versions(&self, model: &str) -> Vec<ModelVersion> {
        self.registry().versions(model).await.unwrap()
    }

    /// The Delta version of a table.
    pub(crate) async fn version(&self, table: &str) -> Option<u64> {
        let table: TableName = table.parse().unwrap();
        self.lakehouse().latest_version(&table).await.unwrap()
    }

    /// Moves an alias, as a user does.
    pub(crate) async fn move_alias(&self, name: &str, alias: &str, version: i64) {
        let lakehouse = self.lakehouse();
        let state = State::open(lakehouse.state_path()).await.unwrap();
        let registry = Registry::new(lakehouse.models_path(), Some(state.clone()));
        let request = MoveAlias {
            name: name.to_owned(),
            alias: alias.to_owned(),
            version,
            expected: None,
            run_id: RunId::generate(),
            reason: "by hand".to_owned(),
        };
        registry.set_alias(request).await.unwrap();
        state.close().await;
    }

    /// Loses the state store.
    pub(crate) fn lose_state(&self) {
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            let path = self.path("lakehouse").join(file);
            if path.exists() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// Forgets what made an asset, as if a process had ended before it could say.
    pub(crate) async fn forget(&self, asset: &str) {
        let lakehouse = self.lakehouse();
        let project = lakehouse.existing_project_uuid("p").unwrap().unwrap();
        let state = State::open(lakehouse.state_path()).await.unwrap();
        let project = project.to_string();
        state.forget_asset_key(&project, asset).await.unwrap();
        state.close().await;
    }

    async fn resolved(&self) -> Result<(Plan, World), String> {
        self.resolved_file("pipeline.yaml").await
    }

    async fn resolved_file(&self, file: &str) -> Result<(Plan, World), String> {
        let overrides = Overrides {
            set: self.set.clone(),
            ..Overrides::default()
        };
        let project = Project::from_file(self.path(file));
        let (spec, _) = load(&project, &overrides).map_err(|wrong| wrong.plain())?;
        let world = World::open(&spec.lakehouse.path).await.unwrap();
        let (plan, warnings) = check(&spec, &world).await.map_err(|wrong| wrong.plain())?;
        assert!(warnings.is_empty(), "{warnings}");
        Ok((plan, world))
    }

    /// All that is wrong with the project, with paths relative to it.
    pub(crate) async fn wrong(&self) -> String {
        match self.resolved().await {
            Ok(_) => panic!("nothing is wrong"),
            Err(said) => self.relative(&said),
        }
    }

    /// A text in which the project's folder is left out.
    pub(crate) fn relative(&self, text: &str) -> String {
        let folder = format!("{}/", self.folder.path().display());
        text.replace(&folder, "")
    }

    /// The project's plan, which is right.
    pub(crate) async fn checked(&self) -> Plan {
        match self.resolved().await {
            Ok((plan, _)) => plan,
            Err(said) => panic!("{said}"),
        }
    }

    /// What a run would do, a line for each asset.
    pub(crate) async fn plan(&self) -> String {
        self.plan_file("pipeline.yaml").await
    }

    /// What a run would do with one asset.
    pub(crate) async fn plan_of(&self, asset: &str) -> String {
        let steps = self.plan().await;
        let of = |line: &&str| {
            line.get(6..)
                .is_some_and(|line| line.starts_with(&format!("{asset}: ")))
        };
        steps.lines().find(of).unwrap_or_default().to_owned()
    }

    /// What a run of another pipeline in the folder would do.
    pub(crate) async fn plan_file(&self, file: &str) -> String {
        self.planned(file, EventTime::default()).await
    }

    /// What a run that is about some intervals would do.
    pub(crate) async fn plan_at(&self, event_time: EventTime) -> String {
        self.planned("pipeline.yaml", event_time).await
    }

    /// What a run would do, with what each asset works on.
    pub(crate) async fn detailed(&self) -> Vec<DetailedStep> {
        match self.resolved().await {
            Ok((plan, world)) => detailed(&plan, &world).await,
            Err(said) => panic!("{said}"),
        }
    }

    async fn planned(&self, file: &str, event_time: EventTime) -> String {
        let (mut plan, world) = match self.resolved_file(file).await {
            Ok(resolved) => resolved,
            Err(said) => panic!("{said}"),
        };
        plan.event_time = event_time;
        let mut text = String::new();
        for step in preview(&plan, &world).await {
            let action = match step.action {
                Action::Run => "run",
                Action::Skip => "skip",
                Action::Maybe => "maybe",
                Action::Refuse => "fails",
            };
            writeln!(text, "{action:5} {}: {}", step.asset, step.reason).unwrap();
        }
        self.relative(&text)
    }

    /// Runs the project.
    pub(crate) async fn run(&self) -> Ran {
        self.run_until(|_, _| {}).await
    }

    /// Runs another pipeline in the folder to its end, which must be a good one.
    pub(crate) async fn run_file(&self, file: &str) -> Ran {
        let plan = match self.resolved_file(file).await {
            Ok((plan, _)) => plan,
            Err(said) => panic!("{said}"),
        };
        let ran = self.try_run(plan, |_, _| {}).await.unwrap();
        assert_eq!(ran.summary.status, RunStatus::Finished, "{}", ran.told());
        ran
    }

    /// Runs the project to its end, which must be a good one.
    pub(crate) async fn run_well(&self) -> Ran {
        let ran = self.run().await;
        assert_eq!(ran.summary.status, RunStatus::Finished, "{}", ran.told());
        ran
    }

    /// Runs the project and shows each event to `watch`, which may cancel.
    pub(crate) async fn run_until(
        &self,
        watch: impl Fn(&EventKind, &CancellationToken) + Send + Sync + 'static,
    ) -> Ran {
        match self.try_run(self.checked().await, watch).await {
            Ok(ran) => ran,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs a plan.
    pub(crate) async fn try_run(
        &self,
        plan: Plan,
        watch: impl Fn(&EventKind, &CancellationToken) + Send + Sync + 'static,
    ) -> Result<Ran, RunError> {
        let options = RunOptions {
            parallelism: NonZeroUsize::new(self.parallelism).unwrap(),
            ..RunOptions::default()
        };
        let events: Arc<Mutex<Vec<EventKind>>> = Arc::default();
        let cancel = CancellationToken::new();
        let (kept, token) = (Arc::clone(&events), cancel.clone());
        let sink: EventSink = Arc::new(move |event: &Event| {
            watch(&event.kind, &token);
            kept.lock().unwrap().push(event.kind.clone());
        });
        let summary = run(plan, options, sink, cancel).await?;
        let events = std::mem::take(&mut *events.lock().unwrap());
        Ok(Ran { summary, events })
    }

    /// Rows, as a table of text.
    pub(crate) async fn query(&self, text: &str) -> String {
        let batches = self.rows(text).await;
        pretty_format_batches(&batches).unwrap().to_string()
    }

    /// Rows.
    pub(crate) async fn rows(&self, text: &str) -> Vec<RecordBatch> {
        let lakehouse = self.lakehouse();
        let state = State::open_read_only(lakehouse.state_path()).await.unwrap();
        let registry = Registry::new(lakehouse.models_path(), state.clone());
        let session = LakeSession::open(
            &SessionOptions::default(),
            LakeCatalog::new(lakehouse, Pins::new()),
            state,
            registry,
            Arc::default(),
        )
        .unwrap();
        let statement = sql::parse(text).unwrap().remove(0);
        // A task has a stack of its own: planning takes a good deal of it.
        let asked = tokio::spawn(async move {
            let plan = session.plan(statement).await.unwrap();
            let rows = session.context().execute_logical_plan(plan).await.unwrap();
            rows.collect().await.unwrap()
        });
        asked.await.unwrap()
    }

    /// The one value of a query.
    pub(crate) async fn value(&self, text: &str) -> String {
        let rows = self.query(text).await;
        let line = rows.lines().nth(3).unwrap();
        line.trim_matches(['|', ' ']).to_owned()
    }
}

impl Ran {
    /// How each stage ended, with warnings, rules and decisions; sorted, since stages that do
    /// not depend on one another end in any order.
    pub(crate) fn told(&self) -> String {
        let mut lines: Vec<String> = self.events.iter().filter_map(told).collect();
        lines.sort();
        let summary = &self.summary;
        lines.push(format!(
            "{:?}: {} made, {} skipped, {} failed",
            summary.status, summary.made, summary.skipped, summary.failed
        ));
        lines.join("\n")
    }

    /// The words of the warnings.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let warnings = self.events.iter().filter_map(|event| match event {
            EventKind::Warning { message, .. } => Some(message.as_str()),
            _ => None,
        });
        warnings.collect()
    }

    /// Why an asset failed.
    pub(crate) fn failure(&self, asset: &str) -> &str {
        let failure = self.events.iter().find_map(|event| match event {
            EventKind::StageFailed {
                asset: of, error, ..
            } if of == asset => Some(error.as_str()),
            _ => None,
        });
        failure.unwrap_or_else(|| panic!("{asset} did not fail: {}", self.told()))
    }
}

fn told(event: &EventKind) -> Option<String> {
    Some(match event {
        EventKind::Expectation {
            asset,
            name,
            otherwise,
            rows,
            failed,
            found,
            ..
        } => match found {
            Some(found) => format!("{asset}: {name} ({otherwise}): {found}"),
            None => format!("{asset}: {name} ({otherwise}): {failed} of {rows} rows break it"),
        },
        EventKind::Registered {
            asset,
            model,
            version,
            alias,
            moved,
            reason,
        } => {
            let alias = alias.as_deref().unwrap_or("no alias");
            let moved = if *moved { "moved" } else { "stays" };
            format!("{asset}: {model} {version}, {alias} {moved}: {reason}")
        }
        EventKind::TrainingReused { asset, reason } => {
            format!("{asset}: not trained: {}", without_runs(reason))
        }
        EventKind::Warning { asset, message } => format!("{asset}: warning: {message}"),
        EventKind::StageSkipped { asset, reason } => format!("{asset}: skipped: {reason}"),
        EventKind::StageFinished {
            asset,
            rows,
            version,
            ..
        } => {
            let rows = rows.map_or_else(String::new, |rows| format!(" {rows} rows,"));
            let version = version.map_or_else(|| "none".to_owned(), |it| it.to_string());
            format!("{asset}: made:{rows} version {version}")
        }
        EventKind::StageFailed { asset, error, .. } => format!("{asset}: failed: {error}"),
        EventKind::StageBlocked { asset, by } => format!("{asset}: blocked by {by}"),
        _ => return None,
    })
}

/// A text without the identifiers of runs, which are never the same.
fn without_runs(text: &str) -> String {
    let is_id = |word: &&str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
    let id = text.split(' ').find(is_id);
    id.map_or_else(|| text.to_owned(), |id| text.replace(id, "[run]"))
}

/// The bytes of a file of a model's version.
pub(crate) fn model_bytes(version: &ModelVersion) -> Vec<u8> {
    read(&version.path.join("model.json"))
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
