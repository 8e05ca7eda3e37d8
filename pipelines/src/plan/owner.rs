//! Whose a table is that is there although its project never made it.
//!
//! A project knows its tables by its identity, which lies in `_sluice` of the lakehouse, one
//! for each `pipeline:` name. A pipeline that is called otherwise, a lakehouse whose `_sluice`
//! was lost and a second project that declares the same table meet rows that they know nothing
//! of. What can be made again is; what cannot is refused until somebody says so.

use sluice_lake::TableName;
use sluice_lake::state::CommitRecord;

use super::fingerprint::{Fingerprint, METADATA_KEY};
use super::freshness::{Lookup, Verdict};
use super::intervals::only_some;
use super::mode::Mode;
use super::{Asset, AssetBody, SqlAsset};
use crate::run::error::StageError;
use crate::spec::Refresh;

/// Who made a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The identity of the project; `None` where no commit names one.
    project: Option<String>,
    /// The project's name, where `_sluice` has it.
    pipeline: Option<String>,
    /// Whether the table knows what its source may have forgotten.
    pub(crate) has_history: bool,
}

impl Owner {
    fn words(&self) -> String {
        match (&self.project, &self.pipeline) {
            (Some(project), Some(pipeline)) => {
                format!("it was made by another project (`pipeline: {pipeline}`, {project})")
            }
            (Some(project), None) => format!("it was made by another project ({project})"),
            (None, _) => {
                "it was made by something else: none of its commits names a project".into()
            }
        }
    }

    /// The ways out.
    fn help(&self, table: &TableName) -> String {
        let over = format!("take it over with `--full-refresh {table}`");
        match (&self.project, &self.pipeline) {
            (Some(_), Some(pipeline)) => format!(
                "{over}; or, if this project was called so, give it its name back (`pipeline: {pipeline}`)"
            ),
            (Some(_), None) => format!(
                "{over}; or, if it was this project's, restore `_sluice` of the lakehouse, where the project's identity lies"
            ),
            (None, _) => format!("{over}, or declare another table"),
        }
    }

    /// What is done about a table that this one made.
    pub(crate) fn verdict(&self, lookup: &Lookup<'_>, asset: &Asset) -> Verdict {
        let who = self.words();
        let AssetBody::Sql(sql) = &asset.body else {
            return Verdict::anew(who);
        };
        let refused = |reason: String| Verdict::Refused {
            reason,
            help: self.help(&sql.table),
        };
        if matches!(sql.upkeep.mode, Mode::Interval(_)) && lookup.event_time.window.is_some() {
            return only_some(&format!("all its intervals have to be made anew: {who}"));
        }
        match sql.upkeep.refresh {
            Refresh::Full => {}
            Refresh::Auto | Refresh::Strict if self.loses_history(sql) => {
                return refused(format!(
                    "made anew it would lose the history that its source no longer has: {who}"
                ));
            }
            Refresh::Strict => {
                return refused(format!(
                    "it would be recomputed in full, and `refresh` is `strict`: {who}"
                ));
            }
            Refresh::Auto => {}
        }
        let intervals = lookup.all_intervals(sql);
        let intervals = intervals.map_or_else(String::new, |words| format!("; {words}"));
        Verdict::anew(format!("{who}{intervals}"))
    }

    fn loses_history(&self, sql: &SqlAsset) -> bool {
        self.has_history || sql.upkeep.mode.has_history()
    }
}

impl Lookup<'_> {
    /// Who made the table of an asset that this project never made, if it is there.
    pub(crate) async fn owner(&self, asset: &Asset) -> Result<Option<Owner>, StageError> {
        let Some(table) = asset.table() else {
            return Ok(None);
        };
        let lakehouse = self.catalog.lakehouse();
        if lakehouse.latest_version(table).await?.is_none() {
            return Ok(None);
        }
        let commits = lakehouse.commits(table).await?;
        let records = commits.iter().rev();
        let records: Vec<CommitRecord> = records
            .filter_map(|commit| CommitRecord::from_metadata(&commit.metadata))
            .collect();
        let own = |record: &CommitRecord| Some(record.project.as_str()) == self.project;
        // What this project committed, a run tells the store again.
        if records.iter().any(own) {
            return Ok(None);
        }
        let Some(last) = records.into_iter().next() else {
            return Ok(Some(Owner {
                project: None,
                pipeline: None,
                has_history: false,
            }));
        };
        let made_from = last.outcome.get(METADATA_KEY).cloned();
        let made_from: Option<Fingerprint> =
            made_from.and_then(|made_from| serde_json::from_value(made_from).ok());
        Ok(Some(Owner {
            pipeline: lakehouse.pipeline_of(&last.project)?,
            project: Some(last.project),
            has_history: made_from.is_some_and(|made_from| made_from.has_history()),
        }))
    }
}
