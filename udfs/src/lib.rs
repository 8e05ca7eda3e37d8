//! Everything that Sluice adds to SQL.
//!
//! Entry point: [`models::ModelSet`], the models that a session's statements apply.
//! [`register`] puts the functions into a session; [`models::bind`] rewrites a statement's
//! calls of `predict` so that names and versions are settled before planning.

pub mod models;

use std::sync::Arc;

use datafusion::prelude::SessionContext;

use crate::models::{ModelSet, predict};

/// Registers all functions; they find models in `models`.
pub fn register(ctx: &SessionContext, models: &Arc<ModelSet>) {
    for function in [predict::udf(models)] {
        ctx.register_udf(function);
    }
}
