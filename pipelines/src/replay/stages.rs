//! The stages of a run, one after the other: each from what the run made it from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sluice_lake::catalog::{LakeCatalog, Pins};
use sluice_lake::delta::PinnedTable;
use sluice_lake::registry::{Registry, VersionSpec};
use sluice_lake::state::{AssetKey, NewRun, RunId, RunKind, RunStatus, Stage, StageStatus, State};
use sluice_lake::{LakeError, Lakehouse, TableName};
use sluice_learn::ComputeBudget;
use sluice_udfs::models::ModelSet;
use tokio_util::sync::CancellationToken;

use super::error::ReplayError;
use super::followed::{could_not_follow, why_untold};
use super::inputs::{History, Inputs};
use super::kept::KeptRun;
use super::learned::{Found, Side, of_model, of_report, of_tokenizer};
use super::outcome::{ReplayVerdict, ReplayedStage};
use super::project::{AsItWas, Files};
use super::then::{is_beside, models, place_all, read_by, tables};
use super::{Made, MadeFrom, ReplayRequest, rows};
use crate::check::{World, check};
use crate::events::{self, EventSink};
use crate::plan::{Asset, AssetBody, EventTime, Plan};
use crate::run::context::RunContext;
use crate::run::error::StageError;
use crate::run::stage::{self, in_words};
use crate::run::tally::Tally;
use crate::run::turns::Turns;
use crate::spec::Instant;

/// A run that is being made again.
pub(super) struct Replayer<'a> {
    request: &'a ReplayRequest,
    kept: KeptRun,
    /// The lakehouse of the run.
    from: &'a World,
    /// That of the replay.
    to: World,
    /// The identifier of the replay, in its own store.
    run_id: RunId,
    project: String,
    plan: Plan,
    made: BTreeMap<String, Made>,
    histories: BTreeMap<String, History>,
    /// Why stages cannot be made again, by asset.
    not_replayable: BTreeMap<String, String>,
    notes: BTreeMap<String, Vec<String>>,
    inputs: Inputs,
    sink: EventSink,
    cancel: CancellationToken,
}

impl<'a> Replayer<'a> {
    /// Finds out what can be made again, and reads the project as it was.
    pub(super) async fn prepare(
        request: &'a ReplayRequest,
        from: &'a World,
        (kept, made): (KeptRun, Vec<Made>),
        place: &Path,
        (sink, cancel): (EventSink, CancellationToken),
    ) -> Result<Self, ReplayError> {
        let run = &request.run;
        let lakehouse = Lakehouse::create(place)?;
        from.lakehouse.copy_project(&run.pipeline, &lakehouse)?;
        let state = State::open(lakehouse.state_path()).await?;
        let registry = Registry::new(lakehouse.models_path(), Some(state.clone()));
        let mut inputs = Inputs::new(from.lakehouse.clone(), lakehouse.clone());
        let made = made
            .into_iter()
            .map(|made| (made.stage.asset.to_ascii_lowercase(), made));
        let made: BTreeMap<String, Made> = made.collect();
        let (histories, mut not_replayable) = tables(&from.lakehouse, run, &made, &inputs).await?;
        let as_it_was = AsItWas::new(request, &kept, place)?;
        let only = |gone: &BTreeMap<String, String>| -> BTreeSet<String> {
            let all = made.values().map(|made| made.stage.asset.clone());
            all.filter(|asset| !gone.contains_key(asset)).collect()
        };
        let spec = as_it_was.spec(only(&not_replayable))?;
        let files = Files::look(&spec, &histories).await;
        not_replayable.extend(files.changed);
        let spec = as_it_was.spec(only(&not_replayable))?;
        let stays = only(&not_replayable);
        place_all(&mut inputs, &made, &histories, &stays).await?;
        models(from, &registry, run, &made, &stays).await?;
        let to = World {
            lakehouse,
            state: Some(state.clone()),
            registry,
            only_files: Arc::new(files.only),
        };
        let (plan, _) = check(&spec, &to).await.map_err(ReplayError::Wrong)?;
        let run_id = state
            .start_run(NewRun {
                project: run.project.clone(),
                pipeline: run.pipeline.clone(),
                kind: RunKind::Run,
                name: run.pipeline.clone(),
                parent: None,
                definitions: None,
            })
            .await?;
        Ok(Self {
            request,
            kept,
            from,
            to,
            sink: events::stamped(run_id.to_string(), sink),
            run_id,
            project: run.project.clone(),
            plan,
            made,
            histories,
            not_replayable,
            notes: files.notes,
            inputs,
            cancel,
        })
    }

    /// Makes all stages again, in the order of the plan, and compares each.
    pub(super) async fn walk(mut self) -> Result<Vec<ReplayedStage>, ReplayError> {
        let mut stages: Vec<ReplayedStage> = Vec::new();
        for (asset, reason) in &self.not_replayable {
            if let Some(made) = self.made.get(&asset.to_ascii_lowercase()) {
                stages.push(ReplayedStage {
                    asset: made.stage.asset.clone(),
                    kind: made.stage.kind.clone(),
                    verdict: ReplayVerdict::NotReplayable,
                    findings: vec![reason.clone()],
                    notes: Vec::new(),
                    tables: Vec::new(),
                });
            }
        }
        for position in 0..self.plan.assets.len() {
            let asset = Arc::clone(&self.plan.assets[position]);
            let key = asset.name.to_ascii_lowercase();
            if self.cancel.is_cancelled() {
                return Err(ReplayError::Stopped);
            }
            if self.made.contains_key(&key) {
                stages.push(self.stage(position, &asset, &key).await?);
            }
        }
        let state = self.state();
        state
            .finish_run(&self.run_id, RunStatus::Finished, None)
            .await?;
        state.close().await;
        Ok(stages)
    }

    fn state(&self) -> &State {
        let state = self.to.state.as_ref();
        state.expect("the replay's lakehouse was opened with its store")
    }

    /// Makes one stage again.
    async fn stage(
        &mut self,
        position: usize,
        asset: &Arc<Asset>,
        key: &str,
    ) -> Result<ReplayedStage, ReplayError> {
        let kind = asset.kind().to_owned();
        let mut replayed = ReplayedStage {
            asset: asset.name.clone(),
            kind,
            verdict: ReplayVerdict::NotReplayable,
            findings: Vec::new(),
            notes: self.notes.remove(&asset.name).unwrap_or_default(),
            tables: Vec::new(),
        };
        replayed.notes.extend(may_differ(asset));
        self.bring_back(asset, key).await?;
        if let Some(missing) = self.bring_models_back(asset, key).await? {
            replayed.findings.push(missing);
            return Ok(replayed);
        }
        let run = Arc::new(self.context(position, asset, key));
        stage::run(Arc::clone(&run), Arc::new(Tally::default()), position).await;
        for table in asset.makes() {
            self.inputs.written(table);
        }
        if self.cancel.is_cancelled() {
            return Err(ReplayError::Stopped);
        }
        let stages = self.state().stages(&self.run_id).await?;
        let ended = stages.into_iter().find(|ended| ended.asset == asset.name);
        match ended {
            Some(ended) if ended.status == StageStatus::Success => {
                replayed.notes.extend(self.other_inputs(key, &ended).await?);
                let compared = self.compare(asset, key, &ended, &mut replayed).await;
                if let Err(error) = compared {
                    replayed.verdict = ReplayVerdict::NotReplayable;
                    let words = format!("it cannot be compared: {}", in_words(&error));
                    replayed.findings.push(words);
                }
            }
            Some(ended) => {
                replayed.verdict = ReplayVerdict::Differs;
                let words = ended.error.or(ended.reason).unwrap_or_default();
                replayed
                    .findings
                    .push(format!("the replay {}: {words}", how(ended.status)));
            }
            None => {
                replayed.verdict = ReplayVerdict::Differs;
                replayed
                    .findings
                    .push("the replay never came to it".to_owned());
            }
        }
        if let Some(why) = why_untold(&self.from.lakehouse, asset, &self.made[key].from).await? {
            could_not_follow(&mut replayed, why);
        }
        Ok(replayed)
    }

    /// Puts the tables of a stage back to where the run found them: those that it reads and
    /// those that it makes, and what the store knew.
    async fn bring_back(&mut self, asset: &Asset, key: &str) -> Result<(), ReplayError> {
        let made = &self.made[key];
        for (table, version) in read_by(&made.from) {
            self.inputs.place_to_read(&table, version).await?;
        }
        let own: Vec<TableName> = asset.makes().cloned().collect();
        for history in self.histories.values() {
            let beside = asset
                .table()
                .is_some_and(|table| is_beside(table, &history.table));
            if own.contains(&history.table) || beside {
                let base = history.base;
                self.inputs.place_to_write(&history.table, base).await?;
            }
        }
        let state = self.state();
        // What goes aside is told by its own stage, from its own log.
        let aside = asset.rows().and_then(|rows| rows.quarantine.clone());
        let told: Vec<TableName> = own
            .into_iter()
            .filter(|table| Some(table) != aside.as_ref())
            .collect();
        state
            .reconcile(&self.to.lakehouse, &self.project, &told)
            .await?;
        match made.from.before.clone() {
            Some(before) => {
                let known = AssetKey::from(before);
                state
                    .put_asset_key(&self.project, &asset.name, &known)
                    .await?;
            }
            None => state.forget_asset_key(&self.project, &asset.name).await?,
        }
        Ok(())
    }

    /// Lets aliases name what they named when the run came to a stage. Returns what is missing
    /// for it, in words.
    async fn bring_models_back(
        &self,
        asset: &Asset,
        key: &str,
    ) -> Result<Option<String>, ReplayError> {
        let made = &self.made[key];
        let (from, to) = (&self.from.registry, &self.to.registry);
        from.copy_moves_until(made.stage.start_time_ms, to).await?;
        let versions = made.from.fingerprint.model_versions();
        for applied in asset.applies().iter().chain(asset.tokenizers()) {
            let Some(version) = versions.get(&applied.written) else {
                continue;
            };
            let name = &applied.uri.name;
            let known = from.versions(name).await?;
            if !known.iter().any(|found| found.version == *version) {
                return Ok(Some(format!("models:/{name}/{version} was deleted")));
            }
            from.copy_version(name, *version, to).await?;
            if let VersionSpec::Alias(alias) = &applied.uri.version {
                to.name_version(name, alias, Some(*version), &self.run_id)
                    .await?;
            }
        }
        let register = asset.registers();
        let alias = register.and_then(|register| register.alias.as_ref());
        if let (Some(register), Some(alias), Some(number)) = (register, alias, made.stage.version) {
            let name = register.name.as_str();
            let all = from.versions(name).await?;
            let Some(version) = all.iter().find(|found| found.version == number) else {
                return Ok(Some(format!("models:/{name}/{number} was deleted")));
            };
            let decisions = from.decisions(version).await?;
            let own = |run: &RunId| *run == self.request.run.run_id;
            let decided = decisions.iter().find(|decision| own(&decision.run_id));
            if let Some(decided) = decided.filter(|decided| decided.alias == alias.as_str()) {
                if let Some(champion) = decided.champion
                    && all.iter().any(|found| found.version == champion)
                {
                    from.copy_version(name, champion, to).await?;
                }
                let champion = decided.champion;
                to.name_version(name, alias.as_str(), champion, &self.run_id)
                    .await?;
            }
        }
        Ok(None)
    }

    /// What the runner gets for one stage. Nothing that it has loaded is of another.
    fn context(&self, position: usize, asset: &Asset, key: &str) -> RunContext {
        let from = &self.made[key].from;
        let mut plan = self.plan.clone();
        plan.chosen = BTreeSet::from([position]);
        let asked = self.kept.full_refresh.contains(&asset.name);
        // A model that was trained before is taken over, as it was then.
        let whole =
            from.anew && !matches!(asset.body, AssetBody::Model(_) | AssetBody::Tokenizer(_));
        plan.refreshed = match asked || whole {
            true => plan.chosen.clone(),
            false => BTreeSet::new(),
        };
        plan.event_time = EventTime {
            window: self
                .kept
                .event_time
                .map(|(start, end)| (Instant(start), Instant(end))),
            now: Some(Instant(from.now_ms)),
        };
        let threads = self.request.parallelism;
        RunContext {
            plan: Arc::new(plan),
            world: self.to.clone(),
            state: self.state().clone(),
            project: self.project.clone(),
            run_id: self.run_id.clone(),
            // What its rules call now.
            started_ms: from.now_ms,
            catalog: LakeCatalog::new(self.to.lakehouse.clone(), Pins::new()),
            models: Arc::new(ModelSet::default()),
            turns: Arc::new(Turns::default()),
            sink: Arc::clone(&self.sink),
            cancel: self.cancel.clone(),
            threads,
            budget: ComputeBudget::new(threads),
        }
    }

    /// In what the stage was made from something else than in the run, in words.
    async fn other_inputs(&self, key: &str, ended: &Stage) -> Result<Option<String>, ReplayError> {
        let made = &self.made[key];
        if ended.key == made.stage.key {
            return Ok(None);
        }
        let from = self.state().made_from(&self.run_id).await?;
        let from = from
            .get(&ended.asset)
            .map(|text| serde_json::from_str(text));
        let Some(Ok(MadeFrom { fingerprint, .. })) = from else {
            return Ok(None);
        };
        let why = fingerprint.change_since(&made.from.fingerprint);
        Ok(why.map(|why| format!("it is not made from the same: {why}")))
    }

    /// Compares what a stage made with what the run made.
    async fn compare(
        &self,
        asset: &Asset,
        key: &str,
        ended: &Stage,
        replayed: &mut ReplayedStage,
    ) -> Result<(), StageError> {
        let made = &self.made[key];
        let run = Side {
            world: self.from,
            run: &self.request.run.run_id,
            version: made.stage.version,
        };
        let replay = Side {
            world: &self.to,
            run: &self.run_id,
            version: ended.version,
        };
        let found = match &asset.body {
            AssetBody::Model(model) => {
                Some(of_model(model, &made.from.fingerprint, run, replay).await?)
            }
            AssetBody::Tokenizer(_) => Some(of_tokenizer(&asset.name, run, replay).await?),
            AssetBody::Report(_) => Some(of_report(&asset.name, run, replay).await?),
            AssetBody::Ingest(_)
            | AssetBody::Sql(_)
            | AssetBody::Scored(_)
            | AssetBody::Unread(_) => None,
        };
        replayed.verdict = ReplayVerdict::Equal;
        if let Some(Found { verdict, words }) = found {
            replayed.verdict = verdict;
            replayed.findings = words;
        }
        let ingest = matches!(asset.body, AssetBody::Ingest(_));
        for history in self.histories.values() {
            let table = &history.table;
            let main = asset.table() == Some(table);
            let beside = asset.table().is_some_and(|own| is_beside(own, table));
            if main || ((beside || asset.makes().any(|own| own == table)) && history.committed) {
                self.compare_table(history, ingest || !main, replayed)
                    .await?;
            }
        }
        Ok(())
    }

    async fn compare_table(
        &self,
        history: &History,
        stamped: bool,
        replayed: &mut ReplayedStage,
    ) -> Result<(), StageError> {
        let gone = self
            .inputs
            .why_version_gone(&history.table, history.made)
            .await?;
        if let Some(gone) = gone {
            replayed.verdict = ReplayVerdict::NotReplayable;
            replayed
                .findings
                .push(format!("it cannot be compared: {gone}"));
            return Ok(());
        }
        let version = self.inputs.readable(&history.table, history.made).await?;
        let run = self
            .from
            .lakehouse
            .load(&history.table, Some(version))
            .await?;
        let replay: PinnedTable = match self.to.lakehouse.load(&history.table, None).await {
            Err(LakeError::UnknownTable { .. }) => {
                replayed.verdict = ReplayVerdict::Differs;
                let words = format!("the replay did not make {}", history.table);
                replayed.findings.push(words);
                return Ok(());
            }
            loaded => loaded?,
        };
        let mut compared = rows::compare(&run, &replay, stamped).await?;
        compared.version = history.made;
        if !compared.is_equal() && replayed.verdict == ReplayVerdict::Equal {
            replayed.verdict = ReplayVerdict::Differs;
        }
        replayed.tables.push(compared);
        Ok(())
    }
}

/// What may differ from run to run, in words.
fn may_differ(asset: &Asset) -> Option<String> {
    match &asset.body {
        AssetBody::Sql(sql) => {
            let why = sql.volatile.as_ref()?;
            Some(format!("{why}, and so may differ each time"))
        }
        _ => None,
    }
}

fn how(status: StageStatus) -> &'static str {
    match status {
        StageStatus::Skipped => "left it as it was",
        _ => "failed",
    }
}
