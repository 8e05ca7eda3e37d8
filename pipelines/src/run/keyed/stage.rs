//! Makes a table of keys: the whole of it, or what changed.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use serde_json::Value;
use sluice_lake::TableName;
use sluice_lake::delta::types::delta_schema;
use sluice_lake::delta::{ChangesError, KeyRows, PinnedTable, Untold, WriteMode, Written};
use sluice_lake::spool::{SPOOL_MEMORY_BYTES, Spool};
use sluice_lake::sql;
use sluice_lake::state::LATEST_KEY;
use sluice_udfs::session::LakeSession;

use super::increment::{KeySession, Outcome as Rows};
use super::known::Known;
use super::{Keeps, Keyed};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::mode::Mode;
use crate::plan::upkeep::{Upkeeping, how_to_go_on};
use crate::plan::{Asset, RowExpectation, SqlAsset};
use crate::run::context::RunContext;
use crate::run::error::StageError;
use crate::run::incremental::{Outcome, columns_read};
use crate::run::rules::stopping;
use crate::run::table::{Output, write};
use crate::spec::{Otherwise, Refresh};

/// What taking the difference of rewritten data files holds in memory before it spills, in
/// bytes.
const CHANGES_BYTES: usize = 512 * 1024 * 1024;

/// Makes a table whole: from its source alone.
pub(crate) async fn whole(
    run: &RunContext,
    asset: &Asset,
    sql: &SqlAsset,
    fingerprint: &Fingerprint,
) -> Result<Written, StageError> {
    let stage = Stage::prepare(run, asset, sql, fingerprint).await?;
    stage.whole().await
}

/// Brings a table up to date that was made from `earlier`, key by key.
pub(crate) async fn follow(
    run: &RunContext,
    asset: &Asset,
    sql: &SqlAsset,
    from: &TableName,
    fingerprint: &Fingerprint,
    earlier: &Fingerprint,
) -> Result<Outcome, StageError> {
    let stage = Stage::prepare(run, asset, sql, fingerprint).await?;
    let known = Known::of(run, asset, sql).await?;
    let rows = || known.rows(stage.keys.context(), &stage.keys.keyed);
    let unsettled = stage.unsettled(&known.table).await? || !known.is_whole;
    let changed = match only_moved(from, fingerprint, earlier) && !unsettled {
        false => None,
        true => match stage.changed(from, earlier).await? {
            Ok(changed) => Some(changed),
            Err(why) if stage.keys.keyed.keeps == Keeps::Latest => {
                return stage.recomputed(&why).await;
            }
            Err(_) => None,
        },
    };
    let outcome = match changed {
        Some(changed) => stopping(run, stage.outcome(changed, rows()?)).await?,
        None => {
            let outcome = stage.keys.outcome_of_all(stage.query(), rows()?);
            stopping(run, async { Ok(outcome.await?) }).await?
        }
    };
    // A commit without rows settles what is not as it was left: else every run would compare
    // all keys again.
    if outcome.keys.is_empty() && !unsettled {
        return Ok(Outcome::Nothing("no row of it changed".to_owned()));
    }
    Ok(Outcome::Written(
        stage.replace(&known.table, outcome).await?,
    ))
}

/// Whether, of what a table is made from, only the rows of `from` moved.
fn only_moved(from: &TableName, now: &Fingerprint, earlier: &Fingerprint) -> bool {
    now.same_but_tables(earlier) && !now.others_moved(earlier, &from.to_string())
}

/// Rows of the source that came, and those that went, if any may have.
struct Changed {
    added: Arc<dyn TableProvider>,
    removed: Option<Arc<dyn TableProvider>>,
}

/// What is needed to make a table.
struct Stage<'a> {
    run: &'a RunContext,
    asset: &'a Asset,
    sql: &'a SqlAsset,
    fingerprint: &'a Fingerprint,
    /// Where the query is computed.
    session: LakeSession,
    /// The query, over its source as it is.
    plan: LogicalPlan,
    keys: KeySession,
}

impl<'a> Stage<'a> {
    async fn prepare(
        run: &'a RunContext,
        asset: &'a Asset,
        sql: &'a SqlAsset,
        fingerprint: &'a Fingerprint,
    ) -> Result<Self, StageError> {
        let session = run.session()?;
        let versions = fingerprint.model_versions();
        let plan = session.plan_with(sql.statement.clone(), &versions).await?;
        let keyed = keyed(&session, asset, sql, &plan)?;
        Ok(Self {
            run,
            asset,
            sql,
            fingerprint,
            session,
            plan,
            keys: KeySession::open(keyed, run.threads.get())?,
        })
    }

    /// The query, over its source as it is.
    fn query(&self) -> DataFrame {
        DataFrame::new(self.session.context().state(), self.plan.clone())
    }

    /// The table made whole, since it cannot be told what changed.
    async fn recomputed(&self, why: &Untold) -> Result<Outcome, StageError> {
        if self.sql.upkeep.refresh == Refresh::Strict {
            return Err(StageError::Refused {
                reason: format!("it would be recomputed in full, and `refresh` is `strict`: {why}"),
                help: how_to_go_on(self.sql, true),
            });
        }
        let words = format!("recomputed in full: {why}");
        self.run.warn(&self.asset.name, words);
        Ok(Outcome::Written(self.whole().await?))
    }

    async fn whole(&self) -> Result<Written, StageError> {
        let rows = self.keys.whole(self.query(), None)?;
        self.commit(rows, WriteMode::Overwrite).await
    }

    /// Whether the table, or its quarantine, is not as this project left it, so that changes of
    /// its source do not tell what is missing. It is told when rows in quarantine are gone.
    async fn unsettled(&self, stored: &PinnedTable) -> Result<bool, StageError> {
        let (run, name) = (self.run, &self.asset.name);
        if let Some(quarantine) = &self.sql.rows.quarantine {
            let lakehouse = &run.world.lakehouse;
            if lakehouse.latest_version(quarantine).await?.is_none() {
                let words = format!(
                    "{quarantine} is gone: every key is compared, this once, and rows go there that the source still has"
                );
                run.warn(name, words);
                return Ok(true);
            }
        }
        let made = run.state.asset_key(&run.project, name).await?;
        // The last version with rows, or a later one that only says something else about them.
        let known = made.and_then(|made| {
            let version = |key: &str| made.outcome.get(key).and_then(Value::as_u64);
            version(LATEST_KEY).max(version("version"))
        });
        Ok(known.is_some_and(|known| stored.data_version > known))
    }

    /// What the table is to be changed to, from what changed in its source.
    async fn outcome(&self, changed: Changed, stored: DataFrame) -> Result<Rows, StageError> {
        let added = self.query_over(changed.added).await?;
        let removed = match changed.removed {
            Some(rows) => Some(self.query_over(rows).await?),
            None => None,
        };
        let change = self.keys.change(added, removed, stored).await?;
        let keys = self.keys.to_look_up(&change).await?;
        let looked_up = (!keys.is_empty()).then(|| self.query());
        Ok(self.keys.outcome(&change, &keys, looked_up).await?)
    }

    /// The query, over other rows of its source.
    async fn query_over(&self, rows: Arc<dyn TableProvider>) -> Result<DataFrame, StageError> {
        let from = self.sql.upkeep.mode.from().map(|from| (from, rows));
        let session = self.run.session_with(None, from)?;
        let versions = self.fingerprint.model_versions();
        let plan = session.plan_with(self.sql.statement.clone(), &versions);
        Ok(DataFrame::new(session.context().state(), plan.await?))
    }

    /// What changed in the source since `earlier`, or why that cannot be told.
    async fn changed(
        &self,
        from: &TableName,
        earlier: &Fingerprint,
    ) -> Result<Result<Changed, Untold>, StageError> {
        let name = from.to_string();
        let Some((since, until)) = Upkeeping::moved(self.fingerprint, earlier, &name) else {
            return Err(StageError::TableGone(name));
        };
        let told = async {
            let lakehouse = &self.run.world.lakehouse;
            let changes = lakehouse.changes(from, since.since(), until.version);
            let read = columns_read(self.run, self.sql, from, self.fingerprint).await?;
            let changes = changes.await?.looking_at(read);
            // The difference is taken once, and within bounded memory.
            let session = self.run.session_within(Some(CHANGES_BYTES))?;
            let net = changes.net(session.context()).await?;
            let Some(removed) = net.deletes else {
                return Ok(Changed {
                    added: net.inserts.into_view(),
                    removed: None,
                });
            };
            let env = session.context().runtime_env();
            let spool = async |rows: DataFrame| {
                let rows = rows.execute_stream().await?;
                Spool::fill(rows, &env, SPOOL_MEMORY_BYTES).await?.table()
            };
            Ok(Changed {
                added: spool(net.inserts).await?,
                removed: Some(spool(removed).await?),
            })
        };
        match stopping(self.run, told).await {
            Ok(changed) => Ok(Ok(changed)),
            Err(StageError::Changes(ChangesError::Untold(why))) => Ok(Err(why)),
            Err(error) => Err(error),
        }
    }

    /// Writes the keys whose rows differ.
    async fn replace(&self, stored: &PinnedTable, outcome: Rows) -> Result<Written, StageError> {
        let ctx = self.keys.context();
        let keys = outcome.keys.table()?;
        let columns = self.keys.keyed.keys.clone();
        let mode = WriteMode::ReplaceKeys(KeyRows {
            columns,
            keys,
            keys_bytes: outcome.keys.bytes(),
            read_at: stored.version,
        });
        let rows = ctx.read_table(outcome.rows.table()?)?;
        self.commit(rows, mode).await
    }

    async fn commit(&self, rows: DataFrame, mode: WriteMode) -> Result<Written, StageError> {
        let output = Output {
            table: &self.sql.table,
            mode,
            files: Vec::new(),
            in_parts: false,
            rejects: None,
            window: None,
            outcome: serde_json::Map::new(),
        };
        write(
            self.run,
            self.asset,
            &self.sql.rows,
            self.session.context(),
            rows,
            self.fingerprint,
            output,
        )
        .await
    }
}

/// What tells the rows of a table apart.
fn keyed(
    session: &LakeSession,
    asset: &Asset,
    sql: &SqlAsset,
    plan: &LogicalPlan,
) -> Result<Keyed, StageError> {
    let (keeps, keys, sequence, delete_when) = match &sql.upkeep.mode {
        Mode::Merge(merge) => (
            Keeps::Latest,
            &merge.keys,
            merge.sequence_by.clone(),
            &merge.delete_when,
        ),
        Mode::Scd2(scd2) => (
            Keeps::History,
            &scd2.keys,
            Some(scd2.sequence_by.clone()),
            &scd2.delete_when,
        ),
        other => return Err(StageError::NoKeys(other.name())),
    };
    let schema = sql::output_schema(plan);
    let delete_when = match delete_when {
        None => None,
        Some(when) => {
            let planned = sql::plan_expression(session.context(), when, &asset.name, &schema)?;
            Some(unnormalize_col(planned))
        }
    };
    let drops =
        |rule: &RowExpectation| !matches!(rule.otherwise, Otherwise::Warn | Otherwise::Fail);
    Ok(Keyed {
        keeps,
        columns: delta_schema(&sql.table, &schema)?,
        keys: keys.clone(),
        sequence,
        delete_when,
        drops_rows: sql.rows.rules.iter().any(drops),
    })
}
