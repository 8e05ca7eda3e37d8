//! Selectors: which of a project's assets a command is about, in dbt's notation.
//!
//! [`Selector::parse`] reads one, [`select`] answers several. [`syntax`] is the notation,
//! [`resolve`] walks the graph, [`facts`] tells what the lakehouse remembers of each asset,
//! which `state:` and `result:` ask for.

mod facts;
mod resolve;
mod syntax;

pub use resolve::{Selection, select, undone};
pub use syntax::{SelectError, Selector};
