//! The pipeline language and the runner.
//!
//! [`project::find_project`] and [`spec::load`] give a [`spec::Spec`]: the pipeline as
//! written, with the place of every value, or all that is wrong with it as
//! [`diagnostic::Diagnostics`].

pub mod check;
pub mod diagnostic;
pub mod events;
pub mod hooks;
pub mod lineage;
pub mod openlineage;
pub mod plan;
pub mod project;
pub mod replay;
pub mod run;
pub mod schedule;
pub mod select;
pub mod source;
pub mod spec;
pub mod testing;
pub mod yaml;
