//! Everything that Sluice adds to SQL.
//!
//! Entry point: [`session::LakeSession`], a session over a lakehouse that knows the functions
//! and the models. [`register`] puts the functions into any session; [`models::bind`] rewrites
//! a statement's calls of `predict` so that names and versions are settled before planning.

pub mod models;
pub mod session;
pub mod text;
mod vectors;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

use crate::models::{ModelSet, embed, predict};

/// Every function: a new one is a line here.
const FUNCTIONS: &[fn(&Arc<ModelSet>) -> ScalarUDF] = &[
    predict::value,
    predict::label,
    predict::scores,
    embed::embed,
    |_| vectors::cosine_similarity(),
];

/// Registers all functions; they find models in `models`.
pub fn register(ctx: &SessionContext, models: &Arc<ModelSet>) {
    for function in FUNCTIONS {
        ctx.register_udf(function(models));
    }
    for function in text::FUNCTIONS {
        ctx.register_udf(text::function::udf(function, models));
    }
}
