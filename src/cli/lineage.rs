//! `sluice lineage`: where assets and their columns come from, and what they go into.

use std::path::PathBuf;

use clap::ValueEnum;
use sluice_pipelines::lineage::{ColumnLineage, Lineage, format};
use sluice_pipelines::plan::origins::SourceColumn;

use super::check::checked;
use super::error::CliError;
use super::{Global, print};
use crate::exit::Exit;

/// Options of `sluice lineage`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The asset; the whole project without one
    asset: Option<String>,
    /// Tells of each column what it is made of, and where that begins
    #[arg(long)]
    columns: bool,
    /// How it is written; `json` always has the columns
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The project; the nearest one upward by default
    #[arg(short, long, value_name = "PROJECT")]
    project: Option<PathBuf>,
}

/// How lineage is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
    /// For programs.
    Json,
}

/// Tells the lineage of an asset, or of all; runs nothing.
///
/// # Errors
/// All that is wrong with the project; no such asset.
pub(super) async fn lineage(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let (plan, _) = checked(options.project.as_deref(), global).await?;
    let whole = Lineage::of(&plan);
    let lineage = match &options.asset {
        Some(asset) => whole.around(asset)?,
        None => whole,
    };
    let text = match options.format {
        Format::Text if options.columns => told(&lineage.columns),
        Format::Text => format::text(&lineage, options.asset.as_deref()),
        Format::Dot => format::dot(&lineage),
        Format::Mermaid => format::mermaid(&lineage),
        Format::Json => format::json(&lineage),
    };
    print(&text)?;
    Ok(Exit::Ok)
}

/// Each column with what it is made of, and where that begins unless that is the same. Lists
/// are not cut: they are what was asked for.
fn told(columns: &[ColumnLineage]) -> String {
    let mut lines = Vec::new();
    let mut asset = "";
    for column in columns {
        if column.asset != asset {
            lines.push(column.asset.clone());
            asset = &column.asset;
        }
        lines.push(format!("  {}", column.column));
        let models = column.models.iter().cloned();
        let direct: Vec<String> = column.from.iter().map(name).chain(models).collect();
        let roots: Vec<String> = column.roots.iter().map(name).collect();
        if !direct.is_empty() {
            lines.push(format!("    made of    {}", direct.join(", ")));
        }
        if !roots.is_empty() && roots != direct {
            lines.push(format!("    begins as  {}", roots.join(", ")));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn name(source: &SourceColumn) -> String {
    format!("{}.{}", source.table, source.column)
}
