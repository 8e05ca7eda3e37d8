//! `sluice models pull` and `sluice models pulled`: models of others on this machine.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sluice_lake::hub::{
    self, How, HubCache, HubError, HubOptions, PullEvent, PullRequest, Pulled, PulledFile, Snapshot,
};
use sluice_report::number::bytes as bytes_text;

use crate::cli::error::CliError;
use crate::cli::pairs::write_columns;
use crate::cli::{print, signal};
use crate::render::figures::{counted, duration};
use crate::render::screen::{Screen, Tone};
use crate::results::Format;

/// What `sluice models pull` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Pull {
    /// hf:ORGANISATION/NAME, with @REVISION for a branch, a tag or a commit
    model: String,
    /// A folder that gets a copy of the files
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// Pulls the files that match, such as 'tokenizer*'; may be repeated. By default
    /// safetensors, JSON, texts and SentencePiece models
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
}

/// Downloads a model and tells where it is.
///
/// # Errors
/// What the hub does not have or give, and what could not be reached, written or trusted.
pub(super) async fn pull(options: &Pull) -> Result<(), CliError> {
    let request = PullRequest {
        reference: options.model.parse()?,
        include: options.include.clone(),
        to: options.to.clone(),
    };
    let cache = HubCache::of_user()?;
    let hub = HubOptions::of_user()?;
    let display = Arc::new(Display::new(&options.model));
    let watcher = {
        let display = Arc::clone(&display);
        move |event: PullEvent<'_>| display.event(&event)
    };
    let began = Instant::now();
    let pulled = tokio::select! {
        pulled = hub::pull(&cache, hub, &request, &watcher) => Some(pulled),
        _ = signal::arrived() => None,
    };
    display.bar.finish_and_clear();
    let Some(pulled) = pulled else {
        display.notice("Stopped: what is downloaded is kept, the next pull goes on.");
        return Err(CliError::Cancelled);
    };
    let pulled = pulled?;
    for warning in warnings(&pulled) {
        let word = display.errors.paint(Tone::Warning, "warning");
        display.notice(&format!("{word}: {warning}"));
    }
    print(&summary(
        &pulled,
        began.elapsed().as_secs_f64(),
        options.to.as_deref(),
    ))
}

/// What is under way, on a terminal as a bar, in a pipe as lines.
struct Display {
    model: String,
    /// Standard error's: there is the bar.
    errors: Screen,
    bar: ProgressBar,
    /// How much there is of each file, in bytes.
    at: Mutex<HashMap<String, u64>>,
}

impl Display {
    fn new(model: &str) -> Self {
        let errors = Screen::stderr();
        let target = match errors.redraws {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        Self {
            model: model.to_owned(),
            errors,
            bar: ProgressBar::with_draw_target(None, target),
            at: Mutex::default(),
        }
    }

    fn event(&self, event: &PullEvent<'_>) {
        match event {
            PullEvent::Found {
                commit,
                files,
                bytes,
            } => {
                self.bar.set_style(style(self.errors));
                self.bar.set_length(*bytes);
                self.line(&format!(
                    "pull     {}: {}, {} (commit {})",
                    self.model,
                    counted(*files as u64, "files"),
                    bytes_text(*bytes),
                    short(commit)
                ));
            }
            PullEvent::At { name, bytes } => {
                let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
                at.insert((*name).to_owned(), *bytes);
                self.bar.set_position(at.values().sum());
            }
            PullEvent::Done(file) => self.line(&file_line(file)),
            PullEvent::Waiting { name } => self.notice(&format!(
                "wait     another process downloads {name}: it is used when it is there"
            )),
            PullEvent::Repeating { reason, wait } => self.notice(&format!(
                "again    in {}: {reason}",
                duration(wait.as_secs_f64())
            )),
        }
    }

    /// A line of the output, above the bar.
    fn line(&self, text: &str) {
        self.bar.suspend(|| {
            // A reader that has gone away does not stop the download.
            let _closed = print(&format!("{text}\n"));
        });
    }

    /// A line for the user on standard error, above the bar.
    fn notice(&self, text: &str) {
        self.bar.suspend(|| {
            // Nobody is left to be told when standard error is closed.
            let _closed = std::io::Write::write_all(
                &mut std::io::stderr().lock(),
                format!("{text}\n").as_bytes(),
            );
        });
    }
}

const BAR: &str =
    "[{bar:24}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}, {eta} left";
const COLORED_BAR: &str =
    "[{bar:24.green}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}, {eta} left";

fn style(screen: Screen) -> ProgressStyle {
    let template = if screen.color { COLORED_BAR } else { BAR };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn short(commit: &str) -> &str {
    /// As many as tell commits apart, as git shows them.
    const DIGITS: usize = 12;
    commit.get(..DIGITS).unwrap_or(commit)
}

fn file_line(file: &PulledFile) -> String {
    let how = match file.how {
        How::Present => ", here already",
        How::Fetched => "",
        How::Resumed => ", begun earlier and ended now",
    };
    format!("file     {}, {}{how}", file.name, bytes_text(file.bytes))
}

/// What the user may want to know before the model is used.
fn warnings(pulled: &Pulled) -> Vec<String> {
    let mut warnings = Vec::new();
    let ends = |name: &str, endings: &[&str]| {
        let ending = Path::new(name).extension();
        ending.is_some_and(|ending| endings.iter().any(|known| ending == *known))
    };
    let pickled: Vec<&str> = pulled
        .left_out
        .iter()
        .map(String::as_str)
        .filter(|name| ends(name, &["bin", "pt", "pth", "pkl"]))
        .collect();
    let names = pulled.files.iter().map(|file| &file.name);
    let has_weights = names
        .chain(&pulled.left_out)
        .any(|name| ends(name, &["safetensors"]));
    if !pickled.is_empty() && !has_weights {
        warnings.push(format!(
            "no weights as safetensors, only {}, which runs code when it is read and is left out: \
             the tokenizer can be used, the model cannot; look for a revision that has them",
            some(&pickled)
        ));
    }
    let unchecked: Vec<&str> = pulled
        .files
        .iter()
        .filter(|file| !file.checked)
        .map(|file| file.name.as_str())
        .collect();
    if !unchecked.is_empty() {
        warnings.push(format!(
            "the hub tells no checksum of {}: only the length was compared",
            some(&unchecked)
        ));
    }
    warnings
}

/// The first few names, and how many more there are.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let first = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn summary(pulled: &Pulled, seconds: f64, to: Option<&Path>) -> String {
    let mut text = String::new();
    let mut line = |word: &str, rest: String| {
        // Writing to a text does not fail.
        let _infallible = writeln!(text, "{word:<8} {rest}");
    };
    if pulled.asked {
        let here = pulled.files.iter().filter(|file| file.how == How::Present);
        let here = match here.count() {
            0 => String::new(),
            all if all == pulled.files.len() => ", all here already".to_owned(),
            some => format!(", {some} here already"),
        };
        let bytes = pulled.files.iter().map(|file| file.bytes).sum();
        line(
            "done",
            format!(
                "{}, {}, {}{here}",
                counted(pulled.files.len() as u64, "files"),
                bytes_text(bytes),
                duration(seconds)
            ),
        );
    } else {
        line(
            "done",
            "here already; HF_HUB_OFFLINE is set, so that the hub was not asked".to_owned(),
        );
    }
    if !pulled.left_out.is_empty() {
        let names: Vec<&str> = pulled.left_out.iter().map(String::as_str).collect();
        line("left", some(&names));
    }
    line("at", pulled.snapshot.folder.display().to_string());
    if let Some(to) = to {
        line("copy", to.display().to_string());
    }
    text
}

/// Lists the models of others that are on this machine.
///
/// # Errors
/// A cache that cannot be read.
pub(super) fn pulled(format: Format) -> Result<(), CliError> {
    let snapshots = HubCache::of_user()?.list()?;
    let mut sizes = Vec::with_capacity(snapshots.len());
    for snapshot in &snapshots {
        sizes.push(size(snapshot)?);
    }
    let texts = |value: fn(&Snapshot) -> String| {
        let values = snapshots.iter().map(value);
        Arc::new(values.map(Some).collect::<StringArray>()) as ArrayRef
    };
    let numbers = |value: fn(&(u64, u64)) -> u64| {
        let values = sizes
            .iter()
            .map(|size| i64::try_from(value(size)).unwrap_or(i64::MAX));
        Arc::new(values.map(Some).collect::<Int64Array>()) as ArrayRef
    };
    let columns = vec![
        ("model", texts(|snapshot| snapshot.reference.to_string())),
        ("commit", texts(|snapshot| snapshot.commit.clone())),
        ("files", numbers(|size| size.0)),
        ("bytes", numbers(|size| size.1)),
        (
            "folder",
            texts(|snapshot| snapshot.folder.display().to_string()),
        ),
    ];
    write_columns(columns, format)
}

/// How many files, and how many bytes.
fn size(snapshot: &Snapshot) -> Result<(u64, u64), HubError> {
    let files = snapshot.files()?;
    Ok((
        files.len() as u64,
        files.iter().map(|(_, bytes)| bytes).sum(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The templates parse: otherwise the display silently falls back.
    #[test]
    fn templates_parse() {
        for template in [BAR, COLORED_BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
