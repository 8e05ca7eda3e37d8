//! The interactive prompt: SQL ending in `;` over as many lines as it takes, and a few
//! commands that begin with a dot.

mod ending;

use std::path::PathBuf;

use clap::ValueEnum as _;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Editor, Helper};
use tokio::runtime::Runtime;

use super::error::CliError;
use super::session::Session;
use super::{print, sql};
use crate::results::Format;

/// Where the history is kept, in place of the default.
const HISTORY_VARIABLE: &str = "SLUICE_HISTORY";
/// Entries of the history that are kept.
const HISTORY_ENTRIES: usize = 10_000;

const HELP: &str = "\
SQL ends with `;` and may take many lines.
  .tables           the tables of the lakehouse and of `system`
  .format FORMAT    table, csv, json, ndjson or markdown
  .help             this
  .quit             leave, as Ctrl-D does
Ctrl-C stops a query, or clears the line.
";

/// Lets Enter begin a new line while the SQL is not complete.
struct Lines;

impl Helper for Lines {}
impl Highlighter for Lines {}

impl Hinter for Lines {
    type Hint = String;
}

impl Completer for Lines {
    type Candidate = String;
}

impl Validator for Lines {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if ending::is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// What a command that begins with a dot asks for.
#[derive(Debug, PartialEq, Eq)]
enum DotCommand {
    Tables,
    Format(Format),
    Help,
    Quit,
    Wrong(String),
}

impl DotCommand {
    fn parse(line: &str) -> Self {
        let mut words = line.trim().trim_end_matches(';').split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(".tables"), None, _) => Self::Tables,
            (Some(".help"), None, _) => Self::Help,
            (Some(".quit" | ".exit"), None, _) => Self::Quit,
            (Some(".format"), Some(name), None) => match Format::from_str(name, true) {
                Ok(format) => Self::Format(format),
                Err(_) => Self::Wrong(format!(
                    "no format `{name}`: table, csv, json, ndjson or markdown"
                )),
            },
            (word, ..) => Self::Wrong(format!(
                "`{}` is not understood: .help lists the commands",
                word.unwrap_or(".")
            )),
        }
    }
}

/// Asks until Ctrl-D.
///
/// # Errors
/// When the terminal cannot be read or written. What is wrong with a query is shown, and
/// the next may be asked.
pub(super) fn ask(session: &Session, format: Format, runtime: &Runtime) -> Result<(), CliError> {
    let config = Config::builder()
        .max_history_size(HISTORY_ENTRIES)?
        .auto_add_history(true)
        .build();
    let mut editor: Editor<Lines, FileHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Lines));
    let history = history_path();
    if let Some(path) = &history {
        // No history yet, or one that cannot be read: the prompt works without.
        let _unread = editor.load_history(path);
    }
    print(&format!(
        "SQL on {}; .help for help, Ctrl-D to leave\n",
        session.root().display()
    ))?;
    let outcome = converse(&mut editor, session, format, runtime);
    if let Some(path) = &history {
        if let Some(folder) = path.parent() {
            let _exists = std::fs::create_dir_all(folder);
        }
        if let Err(error) = editor.append_history(path) {
            tracing::warn!(path = %path.display(), %error, "the history cannot be kept");
        }
    }
    outcome
}

fn converse(
    editor: &mut Editor<Lines, FileHistory>,
    session: &Session,
    mut format: Format,
    runtime: &Runtime,
) -> Result<(), CliError> {
    loop {
        let line = match editor.readline("sluice> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let answer = if line.trim().is_empty() {
            continue;
        } else if line.trim_start().starts_with('.') {
            match DotCommand::parse(&line) {
                DotCommand::Quit => return Ok(()),
                DotCommand::Help => print(HELP),
                DotCommand::Wrong(message) => print(&format!("{message}\n")),
                DotCommand::Tables => runtime.block_on(sql::tables(session)),
                DotCommand::Format(chosen) => {
                    format = chosen;
                    Ok(())
                }
            }
        } else {
            runtime.block_on(sql::answer(session, &line, format))
        };
        if let Err(error) = answer {
            error.print();
        }
    }
}

/// `$SLUICE_HISTORY`, else `sluice/history` in the user's folder for state.
fn history_path() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set(HISTORY_VARIABLE).or_else(|| {
        let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
        Some(state.join("sluice").join("history"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_commands() {
        assert_eq!(DotCommand::parse(".tables"), DotCommand::Tables);
        assert_eq!(DotCommand::parse(" .quit ;"), DotCommand::Quit);
        assert_eq!(
            DotCommand::parse(".format CSV"),
            DotCommand::Format(Format::Csv)
        );
        for (line, part) in [
            (".format xml", "no format `xml`"),
            (".format", "`.format` is not understood"),
            (".table", "`.table` is not understood"),
            (".tables x", "`.tables` is not understood"),
        ] {
            match DotCommand::parse(line) {
                DotCommand::Wrong(message) => assert!(message.contains(part), "{message}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
