//! The pipeline as written: [`Spec`] and what it is made of, every value with its place.
//!
//! Entry point: [`load`]. One definition a struct (see [`decode`]) gives the decoder, the
//! JSON Schema and its descriptions. What needs no other asset is checked here (names, one
//! of `sql` and `ingest`, parts that sum to 1, the grammar of `when:`); what needs the rest
//! of the project, the lakehouse or an estimator is checked when a `Spec` becomes a plan.

mod byte_size;
mod column_type;
mod component;
mod contract;
pub mod decode;
mod definition_file;
mod definitions;
mod duration;
mod evaluate;
mod expectation;
mod fixture;
mod fixture_csv;
mod hook;
mod ingest;
mod interval;
mod load;
mod maintain;
mod metric;
mod mode;
mod model;
mod name;
mod patience;
mod pipeline;
mod profile;
mod report;
mod scalar;
mod schedule;
mod schema;
mod scored;
mod secret;
mod sound;
mod sql_text;
mod table;
mod test;
mod test_names;
mod tokenizer;
mod validation;
mod value;
mod variables;
mod when;

pub use byte_size::ByteSize;
pub use column_type::ColumnType;
pub use component::Component;
pub use contract::{ColumnSpec, Contract, ContractColumn};
pub use definitions::{KeptDefinitions, PipelineDefinitions};
pub use duration::Length;
pub use evaluate::{EvaluateOptions, EvaluatedPart};
pub use expectation::{
    Accepted, AcceptedValues, Expectation, Freshness, Otherwise, Relationship, RowCount, Rule,
};
pub use fixture::{Cell, CellValue, Expected, Fixture, FixtureRow};
pub use hook::{HookSpec, WebhookSpec};
pub use ingest::{
    Csv, DecimalMark, Delimiter, FileEncoding, HeaderNames, Ingest, JsonFiles, OnBadRecord, Quote,
};
pub use interval::{Every, Instant, Interval};
pub use load::{Environment, Overrides, load, load_source};
pub use maintain::{
    Checkpoint, Keep, LayerNames, Maintain, Optimize, PipelineMaintain, TableMaintain, Upkeep,
    Vacuum,
};
pub use metric::{Metric, SplitPart};
pub use mode::{Append, Merge, Mode, ModeKind, ModeMapping, Refresh, Scd2};
pub use model::{Goal, ModelBody, ModelSpec, Register, Sweep, Train, TrainingData};
pub use name::{ColumnNames, Name, Named};
pub use patience::{Defaults, PatienceSpec};
pub use pipeline::{LakehousePath, Spec};
pub use profile::ProfileOptions;
pub use report::{ReportBody, ReportSpec};
pub use scalar::{AtLeastOne, Required};
pub use schedule::{CatchUp, OrWhen, ScheduleSpec, Trigger};
pub use schema::json_schema;
pub use scored::ScoredSpec;
pub use secret::SecretText;
pub use sound::{Broken, load_sound};
pub use sql_text::{INTERVAL_END, INTERVAL_START, SqlText};
pub use table::{Queried, Split, SqlFile, TableBody, TableSpec};
pub use test::{ExpectedError, Outcome, TestSpec};
pub use test_names::TestNames;
pub use tokenizer::{
    Bpe, TokenizerBody, TokenizerSpec, TokenizerTrainer, TokenizerTraining, Unigram, WordPiece,
};
pub use validation::{AtLeast, BestThreshold, Threshold, ThresholdMetric, Validate};
pub use value::{Value, ValueKind};
pub use when::{Comparison, Condition, Operand, When};
