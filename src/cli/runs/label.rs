//! `sluice runs tag` and `sluice runs note`.

use std::path::Path;

use sluice_lake::state::{Run, State};
use sluice_lake::tags::{NOTE_TAG, check_tag, check_tag_key, is_system_tag};

use crate::cli::error::CliError;
use crate::cli::pairs::{NoteChange, TagChange, write_fields};
use crate::cli::print;
use crate::results::Format;

use super::show::{reading, tags};

/// Sets, takes away or shows the tags of a run.
pub(super) async fn tag(
    state_path: &Path,
    run: &str,
    change: &TagChange,
    format: Format,
) -> Result<(), CliError> {
    let (state, run) = reading(state_path, run).await?;
    if change.is_empty() {
        let tags = tags(&state, &run.run_id).await?;
        let own = tags.into_iter().filter(|(key, _)| !is_system_tag(key));
        return write_fields(&own.collect::<Vec<_>>(), format);
    }
    for (key, value) in &change.tags {
        check_tag(key, value)?;
    }
    for key in &change.remove {
        check_tag_key(key)?;
    }
    state.close().await;
    let state = State::open(state_path).await?;
    // What is not there is told before anything is set.
    state.remove_tags(&run.run_id, &change.remove).await?;
    state.set_tags(&run.run_id, &change.tags).await?;
    state.close().await;
    print(&said(&run, change))
}

fn said(run: &Run, change: &TagChange) -> String {
    let mut parts: Vec<String> = change
        .tags
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    parts.extend(change.remove.iter().map(|key| format!("{key} removed")));
    format!("run {} ({}): {}\n", run.run_id, run.name, parts.join(", "))
}

/// Sets, takes away or shows the note of a run.
pub(super) async fn note(
    state_path: &Path,
    run: &str,
    change: &NoteChange,
) -> Result<(), CliError> {
    let (state, run) = reading(state_path, run).await?;
    let before = state.tags(&run.run_id).await?.remove(NOTE_TAG);
    if change.text.is_none() && !change.remove {
        return print(&before.map_or_else(String::new, |text| format!("{text}\n")));
    }
    state.close().await;
    let state = State::open(state_path).await?;
    match change.text.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => state.set_tag(&run.run_id, NOTE_TAG, text).await?,
        None if before.is_some() => {
            let note = [NOTE_TAG.to_owned()];
            state.remove_tags(&run.run_id, &note).await?;
        }
        None => {}
    }
    state.close().await;
    let what = if change.remove { "removed" } else { "kept" };
    print(&format!("run {} ({}): note {what}\n", run.run_id, run.name))
}
