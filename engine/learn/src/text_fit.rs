//! Fitting a text model: from parameters as users write them, over tokenized rows, to a
//! [`FittedText`](crate::FittedText).
//!
//! 1. [`BertSpec`] reads the parameters of `estimator: {bert: ...}` and checks them before
//!    anything is read.
//! 2. [`TextRowsBuilder`](crate::dataset::TextRowsBuilder) tokenizes the rows onto the disk.
//! 3. [`fit`] trains with [`crate::deep::trainer`], settles calibration and threshold on the
//!    validation rows, and answers every row once for the figures.
//! 4. [`TextEstimate`] says before all that how large it will be, [`StepTime`] how long a step
//!    of it takes here.

mod estimate;
mod examples;
mod fit;
mod spec;
mod timing;

pub use estimate::{TextEstimate, TextSize};
pub use fit::{FitText, TextFit, fit, pretrained_config};
pub use spec::{BERT, BertSpec, Pretrained};
pub use timing::StepTime;
