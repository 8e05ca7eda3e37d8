//! `sluice sql`: a query from the command line, from standard input, or at a prompt.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use futures::StreamExt as _;
use tokio::runtime::Runtime;

use super::error::CliError;
use super::project::lakehouse_path;
use super::session::Session;
use super::{Global, prompt, signal};
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::results::{self, Format};

/// Options of `sluice sql`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The project whose lakehouse is asked; the nearest one upward by default
    #[arg(short, long, value_name = "PROJECT")]
    project: Option<PathBuf>,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The question, or several that end with `;`. Without it standard input is read; a
    /// terminal gets a prompt
    query: Option<String>,
}

/// Answers one text, or asks at a prompt.
pub(super) fn sql(options: &Options, global: &Global, runtime: &Runtime) -> Result<Exit, CliError> {
    let root = lakehouse_path(options.project.as_deref(), global)?;
    let session = Session::open(&root)?;
    let stdin = io::stdin();
    match &options.query {
        Some(text) => runtime.block_on(answer(&session, text, options.format))?,
        None if stdin.is_terminal() => prompt::ask(&session, options.format, runtime)?,
        None => {
            let mut text = String::new();
            stdin
                .lock()
                .read_to_string(&mut text)
                .map_err(CliError::Input)?;
            runtime.block_on(answer(&session, &text, options.format))?;
        }
    }
    Ok(Exit::Ok)
}

/// Runs the statements of `text` one after the other and writes their rows to standard
/// output as they come. Ctrl-C stops.
///
/// # Errors
/// Wrong SQL, a query that fails, an output that refuses, Ctrl-C.
pub(super) async fn answer(session: &Session, text: &str, format: Format) -> Result<(), CliError> {
    tokio::select! {
        biased;
        Ok(()) = signal::arrived() => {
            session.stop();
            Err(CliError::Cancelled)
        }
        answered = answer_all(session, text, format) => answered,
    }
}

async fn answer_all(session: &Session, text: &str, format: Format) -> Result<(), CliError> {
    for statement in Session::parse(text)? {
        let mut rows = session.query(&statement).await?;
        let out = io::BufWriter::new(io::stdout().lock());
        let mut writer = results::writer(format, &rows.schema(), Screen::stdout(), out)?;
        while let Some(batch) = rows.next().await {
            writer.batch(&batch.map_err(CliError::Query)?)?;
        }
        writer.finish()?;
    }
    Ok(())
}

/// Lists the tables of the lakehouse and of `system`.
pub(super) async fn tables(session: &Session) -> Result<(), CliError> {
    const QUERY: &str = "\
        SELECT table_schema AS layer, table_name AS \"table\" FROM information_schema.tables \
        WHERE table_schema <> 'information_schema' ORDER BY layer, \"table\"";
    answer(session, QUERY, Format::Table).await
}
