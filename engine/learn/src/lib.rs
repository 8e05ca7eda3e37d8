//! Estimators, metrics and hyper-parameter search over Arrow data.
//!
//! The path of a training, in the order of the modules:
//!
//! 1. [`dataset`]: Arrow batches become a dense `f32` matrix for each split, in an order
//!    that depends on the rows' content and a seed only.
//! 2. [`features`]: the [`features::FeaturePlan`] says which columns those are; it travels
//!    inside the model, so that training, SQL and HTTP share one code path.
//! 3. [`estimator`]: names and parameters as users write them become a checked
//!    [`estimator::EstimatorSpec`], which fits a [`model::Model`].
//! 4. [`validate`]: a fit and what it is worth on rows that it did not see, of one part or of
//!    folds; [`finish`] settles there how probabilities are calibrated ([`calibration`]) and
//!    from which one on a row is positive ([`threshold`]).
//! 5. [`metric`], [`curves`] and [`explain`]: scikit-learn's definitions, in one registry;
//!    the curves behind them; and SHAP values.
//! 6. [`judged`]: a model's figures on rows of any table; [`uncertainty`]: how far to trust
//!    them; [`bag_of_words`]: what a model of text should beat.
//! 7. [`search`] and [`sweep`]: search spaces, samplers, and the loop that tries them.
//! 8. [`compute`]: the threads that all of them share.
//! 9. [`deep`]: tokenizers, encoders for text and their trainer, a path of its own, which
//!    [`text_fit`] goes to a [`fitted_text::FittedText`].
//! 10. [`applied`]: a model of either kind, as SQL and the registry take it.
//!
//! This crate knows Arrow, not DataFusion, and writes nothing but a model's folder.

pub mod applied;
pub mod bag_of_words;
pub mod calibration;
pub mod compute;
pub mod curves;
pub mod dataset;
pub mod deep;
pub mod error;
pub mod estimator;
pub mod explain;
pub mod features;
pub mod finish;
pub mod fitted_text;
pub mod judged;
pub mod metric;
pub mod model;
pub mod search;
pub mod sql_type;
pub mod sweep;
pub mod text_embedder;
pub mod text_fit;
pub mod threshold;
pub mod uncertainty;
pub mod validate;

mod boost;
mod forest;
mod nearest;
mod parallel;
mod random;

pub use applied::AppliedModel;
pub use compute::{ComputeBudget, Seat};
pub use dataset::{Dataset, DatasetBuilder, DatasetSpec, FoldSpec, Split, Splits};
pub use error::{LearnError, ParamError};
pub use estimator::{EstimatorSpec, FitOptions, Fitted};
pub use features::{FeaturePlan, Task};
pub use finish::{Finish, Settled};
pub use fitted_text::FittedText;
pub use model::Model;
pub use text_embedder::TextEmbedder;
pub use validate::{Validated, Validator};
