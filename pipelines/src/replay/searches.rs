//! Earlier searches, whose best points a search of the run began with (`warm_start`).

use sluice_lake::state::{FinishedRun, LoggedRun, NewRun, Run, RunKind, State, StateError};

use crate::run::resume::{KEY_TAG, WARM_TAG};

/// Gives the store `to` the trials that the search of an asset in `run` began with, if it began
/// with any. Returns what is missing for it, in words.
pub(super) async fn bring_back(
    from: &State,
    to: &State,
    run: &Run,
    asset: &str,
) -> Result<Option<String>, StateError> {
    let sweeps = from.named_runs(&run.project, RunKind::Sweep, asset).await?;
    let own = |sweep: &&Run| sweep.parent.as_ref() == Some(&run.run_id);
    let Some(own) = sweeps.iter().find(own) else {
        return Ok(None);
    };
    let Some(key) = from.tags(&own.run_id).await?.remove(WARM_TAG) else {
        return Ok(None);
    };
    let attempts = from.tagged_runs(&run.project, RunKind::Sweep, KEY_TAG, &key);
    let attempts = attempts.await?.into_iter();
    let earlier = attempts.filter(|attempt| attempt.start_time_ms < own.start_time_ms);
    let (mut records, mut known) = (Vec::new(), false);
    for attempt in earlier {
        // Another search began with the same.
        if to.run(&attempt.run_id).await?.is_some() {
            known = true;
            continue;
        }
        let trials = from.logged_children(&attempt.run_id).await?;
        let tags = from.tags(&attempt.run_id).await?;
        // The run that it was part of is not there.
        let attempt = LoggedRun {
            run: Run {
                parent: None,
                ..attempt
            },
            params: Default::default(),
            metrics: Vec::new(),
            tags,
        };
        records.push(record(attempt));
        records.extend(trials.into_iter().map(record));
    }
    if records.is_empty() && !known {
        let words = "its first points came from a search that is forgotten (`runs: {retain: ..}` of `maintain:` says for how long searches are kept)";
        return Ok(Some(words.to_owned()));
    }
    to.record_runs(&records).await?;
    Ok(None)
}

fn record(logged: LoggedRun) -> FinishedRun {
    let LoggedRun {
        run,
        params,
        metrics,
        tags,
    } = logged;
    FinishedRun {
        run_id: run.run_id,
        run: NewRun {
            project: run.project,
            pipeline: run.pipeline,
            kind: run.kind,
            name: run.name,
            parent: run.parent,
            definitions: None,
        },
        status: run.status,
        error: run.error,
        start_time_ms: run.start_time_ms,
        end_time_ms: run.end_time_ms.unwrap_or(run.start_time_ms),
        params: params.into_iter().collect(),
        metrics,
        tags: tags.into_iter().collect(),
    }
}
