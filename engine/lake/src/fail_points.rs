//! Fail points: places before and after every write to the state store, to Delta tables and to
//! the artifacts, where a test can end the process, hold it, or make the write fail.
//!
//! They are there only with the feature `failpoints`, which builds for tests have; without it
//! [`pass`] and [`try_pass`] are empty. What happens is said by the environment:
//!
//! | variable | says |
//! |---|---|
//! | `SLUICE_FAIL_POINT` | `NAME=abort`: the process ends there, as if killed; `NAME=wait:FILE`: makes FILE and waits until it is gone; `NAME=error`: the write fails with an error that passes. `NAME#3=..` is the third time that the point is passed, without a number it is the first |
//! | `SLUICE_FAIL_POINT_LOG` | a file that gets a line for each point that is passed |
//!
//! [`names`] lists the points. The gate in `tests/it/kills.rs` kills a process at each of them,
//! and fails where one is passed that is not listed, or listed and not passed.

use std::io;

/// The writes to the state store: what [`State::commit`](crate::state::State) is told.
const STATE_WRITES: &[&str] = &[
    "abandon a transaction",
    "apply the commits of a table",
    "begin a transaction",
    "confirm a transaction",
    "delete a model version",
    "finish a run",
    "finish a stage",
    "forget old events",
    "forget old runs",
    "give back the lease of a project",
    "keep a decision",
    "label a model",
    "log artifacts",
    "log datasets",
    "log metrics",
    "log parameters",
    "move an alias",
    "reconcile the registry",
    "record an asset's key",
    "record events",
    "record expectations",
    "record maintenance",
    "record runs",
    "record stages",
    "record the rows of a table",
    "record the rows of files",
    "record the versions of a table",
    "recover runs",
    "register a model version",
    "remember files",
    "remove an alias",
    "remove tags",
    "retire a model version",
    "set tags",
    "start a run",
    "start a stage",
    "take the lease of a project",
];

/// All other writes: to Delta tables, models, checkpoints, artifacts and pages.
const FILE_WRITES: &[&str] = &[
    "checkpoint a table",
    "commit rows",
    "describe a table",
    "link an artifact",
    "move checkpoints",
    "name a folder",
    "name a page or artifact",
    "name a registry file",
    "optimize a table",
    "prepare the state store",
    "remove a deleted version",
    "remove checkpoints",
    "remove leftovers",
    "remove old artifacts",
    "remove old data files",
    "stage a model",
    "write a checkpoint",
    "write rows",
];

/// When a point is passed, of the write that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is written yet.
    Before,
    /// All is written.
    After,
}

impl Moment {
    fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// The names of all fail points, such as `after: start a run`, sorted.
pub fn names() -> Vec<String> {
    let writes = STATE_WRITES.iter().chain(FILE_WRITES);
    let both = [Moment::Before, Moment::After];
    let mut names: Vec<String> = writes
        .flat_map(|write| both.map(|moment| name(moment, write)))
        .collect();
    names.sort();
    names
}

fn name(moment: Moment, write: &str) -> String {
    format!("{}: {write}", moment.word())
}

/// Passes a point where nothing can fail.
#[inline]
pub fn pass(moment: Moment, write: &str) {
    #[cfg(feature = "failpoints")]
    if let Err(error) = armed::pass(&name(moment, write)) {
        tracing::error!(%error, "nothing can fail here");
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = (moment, write);
}

/// Passes a point where the write can fail.
///
/// # Errors
/// The one that a test asks for.
#[inline]
pub fn try_pass(moment: Moment, write: &str) -> io::Result<()> {
    #[cfg(feature = "failpoints")]
    return armed::pass(&name(moment, write));
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = (moment, write);
        Ok(())
    }
}

/// What the environment asks for.
#[cfg(feature = "failpoints")]
mod armed {
    use std::fs::{self, File};
    use std::io::{self, Write as _};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    /// What happens at a point.
    enum Action {
        Abort,
        Wait(PathBuf),
        Fail,
    }

    struct Armed {
        point: String,
        /// The passage, from 1.
        passage: u64,
        passed: AtomicU64,
        action: Action,
    }

    fn parse(text: &str) -> Option<Armed> {
        let (place, action) = text.split_once('=')?;
        let (point, passage) = match place.split_once('#') {
            Some((point, number)) => (point, number.parse().ok()?),
            None => (place, 1),
        };
        let action = match action.split_once(':') {
            None if action == "abort" => Action::Abort,
            None if action == "error" => Action::Fail,
            Some(("wait", file)) => Action::Wait(file.into()),
            _ => return None,
        };
        Some(Armed {
            point: point.to_owned(),
            passage,
            passed: AtomicU64::new(0),
            action,
        })
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("SLUICE_FAIL_POINT").ok()?;
            let armed = parse(&text);
            assert!(armed.is_some(), "SLUICE_FAIL_POINT reads {text:?}");
            armed
        });
        armed.as_ref()
    }

    fn log(point: &str) {
        static LOG: OnceLock<Option<Mutex<File>>> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let path = std::env::var_os("SLUICE_FAIL_POINT_LOG")?;
            let mut options = File::options();
            let opened = options.create(true).append(true).open(path);
            Some(Mutex::new(
                opened.expect("the log of fail points can be written"),
            ))
        });
        if let Some(log) = log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.write_all(format!("{point}\n").as_bytes())
                .expect("the log of fail points can be written");
        }
    }

    pub(super) fn pass(point: &str) -> io::Result<()> {
        log(point);
        let Some(armed) = armed().filter(|armed| armed.point == point) else {
            return Ok(());
        };
        if armed.passed.fetch_add(1, Ordering::SeqCst) + 1 != armed.passage {
            return Ok(());
        }
        match &armed.action {
            Action::Abort => std::process::abort(),
            Action::Fail => Err(io::Error::from(io::ErrorKind::TimedOut)),
            Action::Wait(file) => wait(file),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "whoever removes the file is another process, which nothing else can wait for"
    )]
    fn wait(file: &PathBuf) -> io::Result<()> {
        fs::write(file, "")?;
        while file.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
