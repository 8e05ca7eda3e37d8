//! Bringing a table of keys up to date: the keys whose rows changed in the source are made
//! again, and of these the ones that come out differently are written.
//!
//! The source is read whole only where it must be. Where rows were only added, the stored row
//! of a key (in the table, or in its quarantine: see [`super::known`]) stands for all that the
//! source had of it before: it was the last of them. A row that is not stored (since it says
//! that its key is gone, or since a rule drops it) may be later than one that arrives late;
//! then the key is looked up in the source.
//!
//! Rows are held in memory up to [`SPOOL_MEMORY_BYTES`] for each of five sets (rows that
//! arrived, keys that lost rows, stored rows of both, keys to look up, outcome), and on disk
//! from then on; sorting and joining take [`MEMORY_BYTES`] and spill.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::prelude::SessionContext;
use sluice_lake::delta::{HASHED_KEYS_BYTES, with_keys, without_keys};
use sluice_lake::session::{SessionOptions, session};
use sluice_lake::spool::{SPOOL_MEMORY_BYTES, Spool};

use super::history::{END, START, history};
use super::latest::latest;
use super::source::rows_of;
use super::{Keeps, Keyed, column};
use crate::run::row_hash::row_hash;

/// What sorts and joins hold in memory before they spill, in bytes.
const MEMORY_BYTES: usize = 1 << 30;

/// The hash of a row, and how often the new rows have it less how often the stored ones do.
const HASH: &str = "__sluice_hash";
const BALANCE: &str = "__sluice_balance";

/// Where keys are told apart.
pub(crate) struct KeySession {
    ctx: SessionContext,
    pub(crate) keyed: Keyed,
}

/// What a table of keys is to be changed to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The keys whose rows differ.
    pub(crate) keys: Spool,
    /// All rows that these keys are to have, in the order in which they are written.
    pub(crate) rows: Spool,
}

/// What changed in the source of a table, and what the table holds of it.
pub(crate) struct Change {
    /// Rows of the query that were added.
    added: Spool,
    /// Keys of rows of the query that were removed.
    lost: Spool,
    /// The rows of all these keys that the table and its quarantine hold.
    stored: Spool,
}

impl KeySession {
    /// `threads`: how many partitions are computed side by side.
    pub(crate) fn open(keyed: Keyed, threads: usize) -> Result<Self> {
        let ctx = session(&SessionOptions {
            target_partitions: threads,
            memory_limit_bytes: Some(MEMORY_BYTES),
            ..SessionOptions::default()
        })?;
        Ok(Self { ctx, keyed })
    }

    /// The session that the rows come out of.
    pub(crate) fn context(&self) -> &SessionContext {
        &self.ctx
    }

    /// All rows of a table that is made whole; a history begins with what `stored` knows.
    pub(crate) fn whole(&self, query: DataFrame, stored: Option<DataFrame>) -> Result<DataFrame> {
        let rows = rows_of(&self.keyed, &self.ctx, query)?;
        let rows = match self.keyed.keeps {
            Keeps::Latest => latest(&self.keyed, rows)?,
            Keeps::History => history(&self.keyed, rows, stored)?,
        };
        self.keyed.sorted(rows)
    }

    /// What changed: the query over the rows that were added to its source, and over those that
    /// were removed, if any were; `stored` is what is known ([`super::known`]).
    pub(crate) async fn change(
        &self,
        added: DataFrame,
        removed: Option<DataFrame>,
        stored: DataFrame,
    ) -> Result<Change> {
        let added = rows_of(&self.keyed, &self.ctx, added)?;
        let added = self.spool(added).await?;
        let lost = match removed {
            None => self.none()?,
            Some(removed) => rows_of(&self.keyed, &self.ctx, removed)?,
        };
        let lost = self
            .spool(lost.aggregate(self.keyed.key(), vec![])?)
            .await?;
        let keys = self.keys_of(&added)?.union(self.read(&lost)?)?;
        let keys = self
            .spool(keys.aggregate(self.keyed.key(), vec![])?)
            .await?;
        self.hash_if_few(&[&keys]);
        let stored = stored.select(self.keyed.kept())?;
        let stored = with_keys(&self.ctx, &self.keyed.keys, keys.table()?, stored)?;
        let stored = self.spool(stored).await?;
        self.hash_if_few(&[&added, &lost, &stored]);
        Ok(Change {
            added,
            lost,
            stored,
        })
    }

    /// The keys whose rows must be looked up in the source.
    pub(crate) async fn to_look_up(&self, change: &Change) -> Result<Spool> {
        let mut keys = vec![self.read(&change.lost)?];
        match self.keyed.keeps {
            Keeps::Latest if self.keyed.hides_rows() => {
                let added = self.keys_of(&change.added)?;
                let stored = change.stored.table()?;
                keys.push(without_keys(&self.ctx, &self.keyed.keys, stored, added)?);
            }
            Keeps::Latest => {}
            Keeps::History => {
                keys.push(
                    self.beside_stored(change, JoinType::RightSemi, |at, start, _| at.eq(start))?,
                );
                if self.keyed.hides_rows() {
                    keys.push(self.beside_stored(
                        change,
                        JoinType::RightAnti,
                        |at, start, end| {
                            let before = end.clone().is_null().or(at.clone().lt(end));
                            at.gt_eq(start).and(before)
                        },
                    )?);
                }
            }
        }
        let mut all = self.none()?.select(self.keyed.key())?;
        for keys in keys {
            all = all.union(keys)?;
        }
        self.spool(all.aggregate(self.keyed.key(), vec![])?).await
    }

    /// What the table is to be changed to. `looked_up`: the query over the source as it is,
    /// read for the keys of [`Self::to_look_up`] alone; not needed where there are none.
    pub(crate) async fn outcome(
        &self,
        change: &Change,
        keys: &Spool,
        looked_up: Option<DataFrame>,
    ) -> Result<Outcome> {
        let name = &self.keyed.keys;
        let mut rows = self.read(&change.added)?;
        if self.keyed.keeps == Keeps::Latest {
            rows = rows.union(self.read(&change.stored)?)?;
        }
        if let Some(looked_up) = looked_up {
            let found = rows_of(&self.keyed, &self.ctx, looked_up)?;
            let found = with_keys(&self.ctx, name, keys.table()?, found)?;
            rows = without_keys(&self.ctx, name, keys.table()?, rows)?.union(found)?;
        }
        let rows = match self.keyed.keeps {
            Keeps::Latest => latest(&self.keyed, rows)?,
            Keeps::History => {
                let stored = self.read(&change.stored)?;
                history(&self.keyed, rows, Some(stored))?
            }
        };
        self.difference(rows, self.read(&change.stored)?).await
    }

    /// What a table is to be changed to where nobody can tell which keys changed: all are
    /// looked at. `query`: over the source as it is.
    pub(crate) async fn outcome_of_all(
        &self,
        query: DataFrame,
        stored: DataFrame,
    ) -> Result<Outcome> {
        let stored = stored.select(self.keyed.kept())?;
        let rows = self.whole(query, Some(stored.clone()))?;
        self.difference(rows, stored).await
    }

    /// The keys whose rows are not the stored ones, and their rows.
    async fn difference(&self, rows: DataFrame, stored: DataFrame) -> Result<Outcome> {
        let rows = self.spool(rows).await?;
        let hashed = |rows: DataFrame, weight: i64| {
            let mut columns = self.keyed.key();
            columns.push(row_hash(self.keyed.kept()).alias(HASH));
            columns.push(lit(weight).alias(BALANCE));
            rows.select(columns)
        };
        let both = hashed(self.read(&rows)?, 1)?.union(hashed(stored, -1)?)?;
        let by = [self.keyed.key(), vec![column(HASH)]].concat();
        let differing = both
            .aggregate(by, vec![sum(column(BALANCE)).alias(BALANCE)])?
            .filter(column(BALANCE).not_eq(lit(0_i64)))?
            .aggregate(self.keyed.key(), vec![])?;
        let keys = self.spool(differing).await?;
        self.hash_if_few(&[&keys]);
        let rows = with_keys(
            &self.ctx,
            &self.keyed.keys,
            keys.table()?,
            self.read(&rows)?,
        )?;
        let rows = self.spool(self.keyed.sorted(rows)?).await?;
        Ok(Outcome { keys, rows })
    }

    /// The keys of added rows for which a stored row of the same key meets a condition on when
    /// the added one is, and when the stored one starts and ends; or for which none does.
    fn beside_stored(
        &self,
        change: &Change,
        join_type: JoinType,
        condition: impl Fn(Expr, Expr, Expr) -> Expr,
    ) -> Result<DataFrame> {
        const STORED: &str = "__sluice_stored";
        const ADDED: &str = "__sluice_added";
        let sequence = self.keyed.sequence.as_deref().unwrap_or_default();
        let of = |relation: &str, name: &str| Column::new(Some(relation), name);
        let (state, stored) = self.read(&change.stored)?.into_parts();
        let (_, added) = self.read(&change.added)?.into_parts();
        let added = LogicalPlanBuilder::from(added).alias(ADDED)?.build()?;
        let names = || self.keyed.keys.iter();
        let condition = condition(
            Expr::Column(of(ADDED, sequence)),
            Expr::Column(of(STORED, START)),
            Expr::Column(of(STORED, END)),
        );
        let on: (Vec<Column>, Vec<Column>) = (
            names().map(|name| of(STORED, name)).collect(),
            names().map(|name| of(ADDED, name)).collect(),
        );
        let found = LogicalPlanBuilder::from(stored)
            .alias(STORED)?
            .join_detailed(
                added,
                join_type,
                on,
                Some(condition),
                NullEquality::NullEqualsNull,
            )?
            .build()?;
        let found = DataFrame::new(state, found);
        let keys = names().map(|name| Expr::Column(of(ADDED, name)).alias(name));
        found.select(keys.collect::<Vec<_>>())
    }

    fn keys_of(&self, rows: &Spool) -> Result<DataFrame> {
        self.read(rows)?.select(self.keyed.key())
    }

    fn read(&self, rows: &Spool) -> Result<DataFrame> {
        self.ctx.read_table(rows.table()?)
    }

    /// No row, with the query's columns.
    fn none(&self) -> Result<DataFrame> {
        let schema = Arc::clone(&self.keyed.columns);
        self.ctx
            .read_table(Arc::new(datafusion::datasource::MemTable::try_new(
                schema,
                vec![vec![]],
            )?))
    }

    async fn spool(&self, rows: DataFrame) -> Result<Spool> {
        let rows = rows.execute_stream().await?;
        Spool::fill(rows, &self.ctx.runtime_env(), SPOOL_MEMORY_BYTES).await
    }

    /// Joins hold what fits, and sort and merge what does not.
    fn hash_if_few(&self, held: &[&Spool]) {
        let few = held.iter().all(|held| held.bytes() <= HASHED_KEYS_BYTES);
        let state = self.ctx.state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        options.optimizer.prefer_hash_join = few;
    }
}
