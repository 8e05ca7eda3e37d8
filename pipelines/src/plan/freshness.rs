//! Whether an asset is up to date, and why not. [`super::definition`] says what its definition
//! comes to, [`super::lost`] whether what was made is still there, [`super::landed`] which files of
//! an ingest are new.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sluice_lake::TableName;
use sluice_lake::catalog::LakeCatalog;
use sluice_lake::delta::types::delta_schema;
use sluice_lake::ingest::{SourceFile, Unmatched};
use sluice_lake::registry::{Registry, TrainedAs};
use sluice_lake::state::{AssetKey, LATEST_KEY, LedgerFile, State, now_ms};

use super::definition::REGISTERED_AS;
use super::difference::columns_differ;
use super::fingerprint::{COLUMN_COMMENTS_KEY, COMMENT_KEY, Fingerprint, METADATA_KEY, NEVER_MADE};
use super::intervals::{EventTime, outside, pending};
use super::landed::{files_now, names_other_files, news};
use super::mode::Mode;
use super::ranges::Ranges;
use super::training::{Trained, rows_decide};
use super::upkeep::{Pinned, Upkeeping};
use super::{Applied, Asset, AssetBody, ScoredAsset, SqlAsset};
use crate::run::error::StageError;
use crate::run::incremental::ledger_of;
use crate::spec::Instant;

/// What is known of an asset before it is made.
#[derive(Debug)]
pub(crate) struct Freshness {
    /// What it would be made from.
    pub(crate) fingerprint: Fingerprint,
    /// What there is.
    pub(crate) verdict: Verdict,
    /// The version that there is, if it was made.
    pub(crate) version: Option<i64>,
    /// What there is was made from, if that is known.
    pub(crate) earlier: Option<Fingerprint>,
    /// The stretches of time that the table has the rows of, where it is made so.
    pub(crate) intervals: Ranges,
    /// The files of an ingest.
    pub(crate) files: Vec<SourceFile>,
    /// The files whose rows the table holds, by path.
    pub(crate) ledger: BTreeMap<String, LedgerFile>,
    /// Whether there is a table, whoever made it.
    is_there: bool,
    /// Whether what there is knows what its source may have forgotten.
    has_history: bool,
    /// The comment that the table was described by, if any was.
    comment: Option<String>,
    /// The comments that its columns have.
    column_comments: BTreeMap<String, String>,
}

/// What a table that is up to date is described by from now on.
pub(crate) struct NewDescription<'a> {
    /// The table's description; empty for none.
    pub(crate) table: &'a str,
    /// The comments of all its columns, where they changed.
    pub(crate) columns: Option<&'a BTreeMap<String, String>>,
}

impl Freshness {
    /// The words that a table which is up to date is described by from now on, if they changed.
    pub(crate) fn new_description<'a>(&self, asset: &'a Asset) -> Option<NewDescription<'a>> {
        let columns = &asset.rows()?.contract.comments;
        let columns = (*columns != self.column_comments).then_some(columns);
        let changed = asset.comment != self.comment || columns.is_some();
        changed.then(|| NewDescription {
            table: asset.comment.as_deref().unwrap_or_default(),
            columns,
        })
    }
}

impl Freshness {
    /// It has to be made anew, since somebody asked for it.
    pub(crate) fn refresh(&mut self, asset: &Asset, event_time: EventTime) {
        let by_interval = matches!(&asset.body, AssetBody::Sql(sql) if matches!(sql.upkeep.mode, Mode::Interval(_)));
        if by_interval && self.is_there && event_time.window.is_some() {
            self.verdict = Verdict::Refused {
                reason: "`--full-refresh` makes all its intervals anew, and a range asks for some"
                    .to_owned(),
                help: "leave out the range, or `--full-refresh`: the intervals of a range are made whether they are there or not".to_owned(),
            };
            return;
        }
        self.verdict = Verdict::anew(match (self.has_history, self.gone()) {
            (true, _) => {
                "--full-refresh, which loses the history that its source no longer has".to_owned()
            }
            (false, 0) => "--full-refresh".to_owned(),
            (false, 1) => "--full-refresh; the rows of 1 file that is gone stay".to_owned(),
            (false, gone) => {
                format!("--full-refresh; the rows of {gone} files that are gone stay")
            }
        });
    }

    /// How many files are gone whose rows the table holds.
    fn gone(&self) -> usize {
        let found = self.files.iter().map(|file| file.path.as_str());
        let found: BTreeSet<&str> = found.collect();
        let known = self.ledger.keys();
        known.filter(|name| !found.contains(name.as_str())).count()
    }
}

/// Whether an asset has to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is what it would be; the Delta or registry version that there is.
    Fresh {
        version: Option<i64>,
        reason: String,
    },
    /// It has to be made. `anew`: what is there does not count.
    Stale { reason: String, anew: bool },
    /// Nothing has to be made; what there is counts as made from what there is now.
    Rekey {
        version: Option<i64>,
        reason: String,
    },
    /// It cannot be brought up to date, and is not made anew unless somebody asks for it.
    Refused { reason: String, help: String },
}

/// What a model's training would come to, in words that follow a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// An earlier training is taken over.
    Reuses(String),
    /// It depends on the rows.
    RowsDecide(String),
}

impl Verdict {
    pub(crate) fn anew(reason: impl Into<String>) -> Self {
        Self::Stale {
            reason: reason.into(),
            anew: true,
        }
    }
}

/// Where assets are looked up.
pub(crate) struct Lookup<'a> {
    pub(crate) catalog: &'a LakeCatalog,
    pub(crate) registry: &'a Registry,
    pub(crate) state: Option<&'a State>,
    /// The project's UUID; absent before its first run.
    pub(crate) project: Option<&'a str>,
    /// Which intervals are asked for.
    pub(crate) event_time: EventTime,
}

impl Lookup<'_> {
    /// Looks at an asset whose inputs are all there.
    pub(crate) async fn freshness(&self, asset: &Asset) -> Result<Freshness, StageError> {
        let fingerprint = self.fingerprint(asset).await?;
        let stored = self.stored(asset).await?;
        let ledger = self.ledger(asset).await?;
        let files = match &asset.body {
            AssetBody::Ingest(ingest) => {
                // Files may be gone once their rows are there.
                let same = |stored: &AssetKey| stored.key == fingerprint.key();
                let unmatched = match stored.as_ref().is_some_and(same) {
                    true => Unmatched::Ignore,
                    false => Unmatched::Refuse,
                };
                files_now(ingest, unmatched, &ledger).await?
            }
            _ => Vec::new(),
        };
        let comment = stored
            .as_ref()
            .and_then(|stored| stored.outcome.get(COMMENT_KEY)?.as_str())
            .map(str::to_owned);
        let column_comments = stored
            .as_ref()
            .and_then(|stored| stored.outcome.get(COLUMN_COMMENTS_KEY).cloned())
            .and_then(|comments| serde_json::from_value(comments).ok())
            .unwrap_or_default();
        let earlier = stored.as_ref().and_then(stored_fingerprint);
        let version = stored.as_ref();
        let version = version.and_then(|stored| stored.outcome.get("version")?.as_i64());
        let intervals = stored.as_ref();
        let intervals = intervals.map_or_else(Ranges::default, |stored| ledger_of(&stored.outcome));
        let owner = match stored {
            None => self.owner(asset).await?,
            Some(_) => None,
        };
        let had_history = |earlier: &Fingerprint| earlier.has_history();
        let has_history = earlier.as_ref().is_some_and(had_history)
            || owner.as_ref().is_some_and(|owner| owner.has_history);
        let is_there = stored.is_some() || owner.is_some();
        let verdict = match (stored, owner) {
            (None, None) => self.never_made(asset),
            (None, Some(owner)) => owner.verdict(self, asset),
            (Some(stored), _) => {
                self.compare(asset, &fingerprint, &stored, &files, &ledger)
                    .await?
            }
        };
        Ok(Freshness {
            fingerprint,
            verdict,
            version,
            earlier,
            intervals,
            files,
            ledger,
            is_there,
            has_history,
            comment,
            column_comments,
        })
    }

    /// What is known of a training that would begin, without a look at its rows.
    pub(crate) async fn outlook(
        &self,
        asset: &Asset,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Outlook>, StageError> {
        let AssetBody::Model(model) = &asset.body else {
            return Ok(None);
        };
        let (lakehouse, registry) = (self.catalog.lakehouse(), self.registry);
        let same = TrainedAs::Key(fingerprint.training_key());
        if let Some(trained) = Trained::find(lakehouse, registry, model, same).await? {
            return Ok(Some(Outlook::Reuses(trained.why_not_again())));
        }
        let decide = rows_decide(lakehouse, registry, model, fingerprint.spec_key());
        Ok(decide.await?.map(Outlook::RowsDecide))
    }

    /// What is done about a table that something other than this project made, where that is
    /// so.
    pub(crate) async fn taken_over(&self, asset: &Asset) -> Result<Option<Verdict>, StageError> {
        if self.stored(asset).await?.is_some() {
            return Ok(None);
        }
        let owner = self.owner(asset).await?;
        Ok(owner.map(|owner| owner.verdict(self, asset)))
    }

    pub(super) async fn stored(&self, asset: &Asset) -> Result<Option<AssetKey>, StageError> {
        match (self.state, self.project) {
            (Some(state), Some(project)) => Ok(state.asset_key(project, &asset.name).await?),
            _ => Ok(None),
        }
    }

    async fn ledger(&self, asset: &Asset) -> Result<BTreeMap<String, LedgerFile>, StageError> {
        let (AssetBody::Ingest(_), Some(state), Some(project)) =
            (&asset.body, self.state, self.project)
        else {
            return Ok(BTreeMap::new());
        };
        let files = state.ledger(project, &asset.name).await?;
        Ok(files
            .into_iter()
            .map(|file| (file.path.clone(), file))
            .collect())
    }

    fn never_made(&self, asset: &Asset) -> Verdict {
        let reason = NEVER_MADE.to_owned();
        let AssetBody::Sql(sql) = &asset.body else {
            return Verdict::anew(reason);
        };
        match self.all_intervals(sql) {
            Some(words) => Verdict::anew(format!("{reason}; {words}")),
            None => Verdict::anew(reason),
        }
    }

    /// The intervals of a table that is made anew, in words.
    pub(crate) fn all_intervals(&self, sql: &SqlAsset) -> Option<String> {
        let Mode::Interval(mode) = &sql.upkeep.mode else {
            return None;
        };
        let now = Instant(now_ms());
        let pending = pending(mode, &Ranges::default(), self.event_time, now, false);
        pending
            .words()
            .or_else(|| outside(mode, self.event_time, now))
    }

    async fn compare(
        &self,
        asset: &Asset,
        fingerprint: &Fingerprint,
        stored: &AssetKey,
        files: &[SourceFile],
        ledger: &BTreeMap<String, LedgerFile>,
    ) -> Result<Verdict, StageError> {
        let version = stored.outcome.get("version").and_then(Value::as_i64);
        if let AssetBody::Sql(sql) = &asset.body
            && !sql.upkeep.mode.is_incremental()
            && let Some(why) = &sql.volatile
        {
            return Ok(Verdict::anew(format!("it always runs: {why}")));
        }
        let earlier = stored_fingerprint(stored);
        let place = |fingerprint: &Fingerprint| fingerprint.decided.get(REGISTERED_AS).cloned();
        let elsewhere = earlier.as_ref().map(place) != Some(place(fingerprint));
        let latest = stored.outcome.get(LATEST_KEY).and_then(Value::as_i64);
        let intervals = ledger_of(&stored.outcome);
        let upkeep = match &asset.body {
            AssetBody::Sql(sql)
                if sql.upkeep.keeps_rows()
                    || earlier.as_ref().is_some_and(Fingerprint::has_history) =>
            {
                Some(Upkeeping {
                    lakehouse: self.catalog.lakehouse(),
                    sql,
                    now: fingerprint,
                    earlier: earlier.as_ref(),
                    version,
                    intervals: &intervals,
                    event_time: self.event_time,
                    all_intervals: self.all_intervals(sql),
                })
            }
            _ => None,
        };
        if !elsewhere && let Some(reason) = self.lost(asset, stored, [version, latest]).await? {
            return Ok(match &upkeep {
                Some(upkeep) => upkeep.lost(&reason),
                None => Verdict::anew(reason),
            });
        }
        // Columns change only with a query, or with what it reads.
        if let Some(upkeep) = &upkeep
            && fingerprint.key() != stored.key
            && let Some(difference) = self.other_columns(upkeep).await?
        {
            return Ok(upkeep.anew(&difference));
        }
        if let Some(upkeep) = &upkeep
            && (fingerprint.key() != stored.key || upkeep.misses_intervals())
        {
            return upkeep.verdict().await;
        }
        if fingerprint.key() != stored.key {
            let reason = earlier
                .as_ref()
                .and_then(|earlier| fingerprint.change_since(earlier));
            let reason = reason.unwrap_or_else(|| "what it is made from changed".to_owned());
            if names_other_files(asset, fingerprint, earlier.as_ref()) {
                return Ok(match news(files, ledger) {
                    Some(news) => Verdict::Stale {
                        reason: format!("{reason}; {news}"),
                        anew: false,
                    },
                    None => Verdict::Rekey {
                        version,
                        reason: format!("{reason}; no file is new"),
                    },
                });
            }
            return Ok(Verdict::Stale {
                reason,
                anew: !keeps_rows(asset, fingerprint, earlier.as_ref()),
            });
        }
        if let Some(reason) = upkeep.and_then(|upkeep| upkeep.outside()) {
            return Ok(Verdict::Fresh { version, reason });
        }
        if let Some(reason) = news(files, ledger) {
            return Ok(Verdict::Stale {
                reason,
                anew: false,
            });
        }
        Ok(Verdict::Fresh {
            version,
            reason: unchanged(asset, version, files),
        })
    }

    /// How the columns that a table would have differ from those that it has.
    pub(super) async fn other_columns(
        &self,
        upkeep: &Upkeeping<'_>,
    ) -> Result<Option<String>, StageError> {
        let sql = upkeep.sql;
        let Some(stored) = self.catalog.lakehouse().find_table(&sql.table)? else {
            return Ok(None);
        };
        let stored = self.catalog.lakehouse().load(&stored, None).await?;
        let wanted = delta_schema(&sql.table, &sql.schema)?;
        Ok(columns_differ(&wanted, &stored.schema))
    }

    async fn fingerprint(&self, asset: &Asset) -> Result<Fingerprint, StageError> {
        let mut fingerprint = Fingerprint::of_definition(asset);
        match &asset.body {
            AssetBody::Ingest(_) | AssetBody::Unread(_) => {}
            AssetBody::Sql(sql) => {
                for table in &sql.reads {
                    self.put_table(&mut fingerprint, table).await?;
                }
                for applied in &sql.applies {
                    self.put_model(&mut fingerprint, applied).await?;
                }
            }
            AssetBody::Scored(scored) => {
                self.put_table(&mut fingerprint, &scored.from).await?;
                self.put_model(&mut fingerprint, &scored.model).await?;
            }
            AssetBody::Tokenizer(tokenizer) => {
                if let Some(from) = tokenizer.table() {
                    self.put_table(&mut fingerprint, from).await?;
                }
            }
            AssetBody::Model(model) => {
                self.put_table(&mut fingerprint, &model.from).await?;
                for applied in asset.applies() {
                    let version = self.registry.resolve_tokenizer(&applied.uri).await?;
                    let number = version.version.to_string();
                    fingerprint.models.insert(applied.written.clone(), number);
                }
            }
            AssetBody::Report(report) => {
                self.put_table(&mut fingerprint, &report.of).await?;
                for applied in report.applies() {
                    self.put_model(&mut fingerprint, applied).await?;
                }
            }
        }
        for tokenizer in asset.tokenizers() {
            let version = self.registry.resolve_tokenizer(&tokenizer.uri).await?;
            let number = version.version.to_string();
            let models = &mut fingerprint.models;
            models.insert(tokenizer.written.clone(), number);
        }
        Ok(fingerprint)
    }

    async fn put_table(
        &self,
        fingerprint: &mut Fingerprint,
        name: &TableName,
    ) -> Result<(), StageError> {
        let table = self.catalog.table(name).await?;
        let table = table.ok_or_else(|| self.catalog.lakehouse().unknown_table(name))?;
        // Data files that were written together are no other rows.
        let pinned = Pinned::text(&table);
        fingerprint.tables.insert(name.to_string(), pinned);
        Ok(())
    }

    async fn put_model(
        &self,
        fingerprint: &mut Fingerprint,
        applied: &Applied,
    ) -> Result<(), StageError> {
        let version = self.registry.resolve(&applied.uri).await?;
        let number = version.version.to_string();
        fingerprint.models.insert(applied.written.clone(), number);
        Ok(())
    }
}

/// Whether rows that were made from `earlier` count when what an asset is made from changed:
/// the predictions of the same model, asked in the same way.
fn keeps_rows(asset: &Asset, now: &Fingerprint, earlier: Option<&Fingerprint>) -> bool {
    let scored = matches!(asset.body, AssetBody::Scored(_));
    scored && earlier.is_some_and(|earlier| ScoredAsset::keeps_predictions(now, earlier))
}

fn unchanged(asset: &Asset, version: Option<i64>, files: &[SourceFile]) -> String {
    let at = version.map_or_else(String::new, |version| format!(" since version {version}"));
    let moved = files.iter().filter(|file| file.path != file.found_as);
    let moved = match moved.count() {
        0 => String::new(),
        1 => "; 1 stands at another place".to_owned(),
        moved => format!("; {moved} stand at other places"),
    };
    match (&asset.body, files.len()) {
        (AssetBody::Ingest(_), 0) => format!("its files are gone, their rows stay{at}"),
        (AssetBody::Ingest(_), 1) => format!("its file is unchanged{at}{moved}"),
        (AssetBody::Ingest(_), files) => format!("its {files} files are unchanged{at}{moved}"),
        (AssetBody::Sql(_), _) => format!("query and inputs are unchanged{at}"),
        (AssetBody::Report(report), _) if !report.applies().is_empty() => {
            "model, definition and data are unchanged".to_owned()
        }
        (AssetBody::Scored(_), _) => format!("model and rows are unchanged{at}"),
        (AssetBody::Tokenizer(tokenizer), _) if tokenizer.table().is_none() => {
            format!("its file is unchanged{at}")
        }
        (AssetBody::Tokenizer(_), _) => format!("definition and data are unchanged{at}"),
        (AssetBody::Report(_), _) => "definition and data are unchanged".to_owned(),
        (AssetBody::Model(_) | AssetBody::Unread(_), _) => {
            format!("definition and data are unchanged{at}")
        }
    }
}

/// What an asset was made from, as its record says.
pub(crate) fn stored_fingerprint(stored: &AssetKey) -> Option<Fingerprint> {
    let earlier = stored.outcome.get(METADATA_KEY)?;
    serde_json::from_value(earlier.clone()).ok()
}
