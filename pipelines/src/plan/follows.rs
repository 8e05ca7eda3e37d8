//! How a table of keys follows what it reads: from what changed there, by a look at every key,
//! or made whole; and when that is refused.

use arrow::datatypes::Schema;
use sluice_lake::TableName;
use sluice_lake::delta::{Changes, ChangesError, types::delta_schema};
use sluice_report::number;

use super::SqlAsset;
use super::fingerprint::Fingerprint;
use super::freshness::{Lookup, Verdict};
use super::mode::Mode;
use crate::run::error::StageError;
use crate::spec::Refresh;

/// How a table of keys is brought up to date.
#[derive(Debug)]
pub(crate) enum Follows {
    /// From what changed in its source.
    Changes(Box<Changes>),
    /// By a look at every key: what it knows is kept, and which keys changed cannot be told.
    AllKeys,
    /// Not at all, and why.
    Refused(String),
}

/// What may be done about a table that cannot follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It means something else now.
    Definition,
    /// Which of its rows are concerned cannot be told.
    Inputs,
}

impl Lookup<'_> {
    /// How a table of keys that was made from `earlier` follows; the verdict that says so.
    pub(super) async fn follow(
        &self,
        sql: &SqlAsset,
        now: &Fingerprint,
        earlier: Option<&Fingerprint>,
    ) -> Result<(Verdict, Option<Follows>), StageError> {
        let Some(earlier) = earlier else {
            return Ok(cannot(
                sql,
                Cause::Definition,
                "what it was made from is not known",
            ));
        };
        let why = now.change_since(earlier);
        let why = why.unwrap_or_else(|| "what it is made from changed".to_owned());
        if sql.upkeep.refresh == Refresh::Full {
            return Ok(whole(&why));
        }
        if !same_but_tables(now, earlier) {
            return Ok(cannot(sql, Cause::Definition, &why));
        }
        if let Some(difference) = self.other_columns(sql).await? {
            return Ok(cannot(sql, Cause::Definition, &difference));
        }
        let from = sql.upkeep.mode.from().map(TableName::to_string);
        let from = from.unwrap_or_default();
        let mut beside = now.tables.iter().filter(|(name, _)| **name != from);
        if beside.any(|(name, identity)| earlier.tables.get(name) != Some(identity)) {
            return Ok(cannot(sql, Cause::Inputs, &why));
        }
        let changes = match (identity(earlier, &from), identity(now, &from)) {
            (Some((table_id, since)), Some((_, until))) => {
                let from = from.parse::<TableName>();
                let from = from.map_err(|_| StageError::TableGone(sql.table.to_string()))?;
                let lakehouse = self.catalog.lakehouse();
                lakehouse.changes(&from, table_id, since, until).await
            }
            _ => return Ok(cannot(sql, Cause::Inputs, &why)),
        };
        match changes {
            Ok(changes) => {
                let reason = why + &extent(&changes);
                let verdict = Verdict::Stale {
                    reason,
                    anew: false,
                };
                Ok((verdict, Some(Follows::Changes(Box::new(changes)))))
            }
            Err(ChangesError::Untold(untold)) => {
                Ok(cannot(sql, Cause::Inputs, &untold.to_string()))
            }
            Err(ChangesError::Lake(error)) => Err(error.into()),
        }
    }

    /// How a table of keys goes on that is not as it was left.
    pub(super) fn follow_other_rows(sql: &SqlAsset, why: &str) -> (Verdict, Option<Follows>) {
        cannot(sql, Cause::Inputs, why)
    }

    /// How the columns of the table differ from those that the query gives now.
    async fn other_columns(&self, sql: &SqlAsset) -> Result<Option<String>, StageError> {
        let Some(table) = self.catalog.table(&sql.table).await? else {
            return Ok(None);
        };
        let wanted = delta_schema(&sql.table, &sql.schema)?;
        Ok(difference(&table.schema, &wanted))
    }
}

fn difference(stored: &Schema, wanted: &Schema) -> Option<String> {
    let changed = wanted.fields().iter().find_map(|field| {
        let name = field.name();
        match stored.field_with_name(name) {
            Err(_) => Some(format!("it has a new column `{name}`")),
            Ok(own) if own.data_type() != field.data_type() => Some(format!(
                "its column `{name}` is {} now (was {})",
                field.data_type(),
                own.data_type()
            )),
            Ok(_) => None,
        }
    });
    let gone = || {
        let mut own = stored.fields().iter();
        let gone = own.find(|field| wanted.field_with_name(field.name()).is_err())?;
        Some(format!("its column `{}` is gone", gone.name()))
    };
    changed.or_else(gone)
}

/// What becomes of a table that cannot follow key by key from what changed.
fn cannot(sql: &SqlAsset, cause: Cause, why: &str) -> (Verdict, Option<Follows>) {
    let strict = sql.upkeep.refresh == Refresh::Strict;
    let history = matches!(sql.upkeep.mode, Mode::Scd2(_));
    let ask = format!(
        "ask for it with `--full-refresh {}`, or `refresh: full`",
        sql.table
    );
    match (history, cause) {
        (true, Cause::Inputs) => {
            let verdict = Verdict::Stale {
                reason: format!("every key is compared: {why}"),
                anew: false,
            };
            (verdict, Some(Follows::AllKeys))
        }
        (true, Cause::Definition) => refused(format!(
            "{why}, and making it anew would lose the history that its source no longer has; {ask}"
        )),
        (false, _) if strict => refused(format!(
            "{why}, so that it would have to be recomputed in full, which `refresh: strict` does not do unasked; {ask}"
        )),
        (false, _) => whole(why),
    }
}

fn whole(why: &str) -> (Verdict, Option<Follows>) {
    let verdict = Verdict::Stale {
        reason: format!("recomputed in full: {why}"),
        anew: true,
    };
    (verdict, None)
}

fn refused(why: String) -> (Verdict, Option<Follows>) {
    let verdict = Verdict::Stale {
        reason: format!("refused: {why}"),
        anew: false,
    };
    (verdict, Some(Follows::Refused(why)))
}

/// Whether two fingerprints differ in nothing but the versions of tables.
fn same_but_tables(now: &Fingerprint, earlier: &Fingerprint) -> bool {
    let names = |of: &Fingerprint| of.tables.keys().cloned().collect::<Vec<_>>();
    let tables = now.tables.clone();
    names(now) == names(earlier)
        && *now
            == Fingerprint {
                tables,
                ..earlier.clone()
            }
}

/// The identity and the version of a table that was read.
fn identity<'a>(of: &'a Fingerprint, table: &str) -> Option<(&'a str, u64)> {
    let (id, version) = of.tables.get(table)?.rsplit_once('@')?;
    Some((id, version.parse().ok()?))
}

/// How much changed, as far as the log says, in words that follow a reason.
fn extent(changes: &Changes) -> String {
    match changes.appended_rows() {
        Some(1) => "; 1 new row".to_owned(),
        Some(rows) => format!("; {} new rows", number::count(rows)),
        None => "; rows came and went".to_owned(),
    }
}
