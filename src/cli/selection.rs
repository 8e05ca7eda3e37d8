//! `--select` and `--exclude`: which assets a command is about.

use sluice_pipelines::check::World;
use sluice_pipelines::plan::Plan;
use sluice_pipelines::select::{SelectError, Selection, Selector, select as select_assets};

use super::error::CliError;

/// The options of every command that can be about a part of a project.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Selected {
    /// Only these assets: names, `layer:gold`, `tag:x`, `kind:train`, `state:modified`,
    /// `result:error`, with `*`; `+a` and `a+` add what a is made from and what from it;
    /// `a,b` both hold, `a b` either; may be repeated
    #[arg(long, short = 's', value_name = "SELECTOR")]
    select: Vec<Selector>,
    /// All but these, in the same notation
    #[arg(long, value_name = "SELECTOR")]
    exclude: Vec<Selector>,
}

impl Selected {
    /// Restricts a plan to what is selected.
    ///
    /// # Errors
    /// A name that no asset has, or a selection of nothing.
    pub(super) async fn narrow(&self, plan: &mut Plan, world: &World) -> Result<(), CliError> {
        let selection = Selection {
            select: self.select.clone(),
            exclude: self.exclude.clone(),
        };
        plan.chosen = select_assets(plan, world, &selection).await?;
        Ok(())
    }
}

/// The option of what is made anew.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Refresh {
    /// Makes these anew, up to date or not: tables from all rows and files that there are (rows
    /// of landing files that are gone stay), models by training again; `*` for all that is
    /// selected
    #[arg(long, value_name = "SELECTOR")]
    full_refresh: Vec<Selector>,
}

impl Refresh {
    /// Marks what is to be made anew, among what a plan is about.
    ///
    /// # Errors
    /// As [`Selected::narrow`]; nothing in common with what is selected.
    pub(super) async fn mark(&self, plan: &mut Plan, world: &World) -> Result<(), CliError> {
        if self.full_refresh.is_empty() {
            return Ok(());
        }
        let selection = Selection {
            select: self.full_refresh.clone(),
            exclude: Vec::new(),
        };
        let refreshed = select_assets(plan, world, &selection).await?;
        plan.refreshed = refreshed.intersection(&plan.chosen).copied().collect();
        if plan.refreshed.is_empty() {
            let words: Vec<String> = self.full_refresh.iter().map(Selector::to_string).collect();
            return Err(CliError::Select(SelectError::Nothing {
                written: format!("--full-refresh {}", words.join(" ")),
                reason: Some("none of it is selected".to_owned()),
            }));
        }
        Ok(())
    }
}
