//! `mode: append`: the query is asked of the rows that are new in one table, and what it gives
//! is added.

use sluice_lake::TableName;
use sluice_lake::delta::WriteMode;
use sluice_report::number;

use super::{MEMORY_BYTES, NewRows, Outcome, changes_between, columns_read, untold};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::upkeep::{how_to_go_on, rows_word};
use crate::plan::{Asset, SqlAsset};
use crate::run::context::RunContext;
use crate::run::error::StageError;
use crate::run::rules::stopping;
use crate::run::table::{Output, write};

/// Adds what the query gives for the rows of `from` that `earlier` did not read.
pub(crate) async fn append(
    run: &RunContext,
    asset: &Asset,
    sql: &SqlAsset,
    from: &TableName,
    fingerprint: &Fingerprint,
    earlier: &Fingerprint,
) -> Result<Outcome, StageError> {
    let changes = changes_between(run, sql, from, fingerprint, earlier).await?;
    let changes = changes.looking_at(columns_read(run, sql, from, fingerprint).await?);
    let session = run.session_within(Some(MEMORY_BYTES))?;
    let net = changes.net(session.context()).await;
    let net = net.map_err(|error| untold(sql, error))?;
    if let Some(deletes) = net.deletes {
        let gone = stopping(run, async { Ok(deletes.count().await?) }).await? as u64;
        if gone > 0 {
            return Err(StageError::Refused {
                reason: format!(
                    "{} {} of {from} went or changed since version {}, and `append` only adds rows",
                    number::count(gone),
                    rows_word(gone),
                    changes.since
                ),
                help: how_to_go_on(sql, false),
            });
        }
    }
    let asked = NewRows::ask(run, sql, from, net.inserts, fingerprint).await?;
    if stopping(run, asked.is_empty()).await? {
        let nothing = format!("no row of it is new in {}", sql.table);
        return Ok(Outcome::Nothing(nothing));
    }
    let written = write(
        run,
        asset,
        &sql.rows,
        asked.session.context(),
        asked.rows,
        fingerprint,
        Output {
            table: &sql.table,
            mode: WriteMode::Append,
            files: Vec::new(),
            in_parts: false,
            rejects: None,
            window: None,
            outcome: serde_json::Map::new(),
        },
    );
    Ok(Outcome::Written(written.await?))
}
