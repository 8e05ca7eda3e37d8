//! Whose fault a failure is, and whether trying again can help.
//!
//! `user`: what is written in the project. `data`: what came in. `system`: the machine and its
//! surroundings, other writers, and this program. Only failures that pass are tried again
//! ([`super::attempts`]).

use std::io::ErrorKind;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use sluice_lake::LakeError;
use sluice_lake::ingest::IngestError;
use sluice_lake::registry::RegistryError;
use sluice_lake::state::Fault;
use sluice_lake::transient::is_transient;
use sluice_learn::LearnError;
use sluice_learn::deep::DeepError;
use sluice_report::profile::ProfileError;

use super::error::StageError;
use super::evaluate::EvaluateError;

impl StageError {
    /// Whose fault it is.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Sql(_) | Self::Unfit { .. } | Self::NoKeys(_) => Fault::User,
            Self::Expectation { .. }
            | Self::TableRule { .. }
            | Self::Aged { .. }
            | Self::FileChanged(_)
            | Self::Refused { .. } => Fault::Data,
            Self::Lake(error) => of_lake(error),
            Self::Registry(error) => of_registry(error),
            Self::DataFusion(error) => of_query(error),
            Self::Arrow(error) => of_arrow(error),
            Self::Evaluate(error) => match error {
                EvaluateError::NoRows { .. } => Fault::Data,
                EvaluateError::OtherClasses { .. } => Fault::User,
                EvaluateError::NotLoaded { .. } => Fault::System,
            },
            Self::Ingest(error) | Self::Unread(error) => of_ingest(error),
            Self::NeedsUnread(_) => Fault::Data,
            Self::Learn(error) => of_learner(error),
            Self::Tokenizer(error) => of_deep(error),
            Self::Profile(error) => match error {
                ProfileError::NoColumns | ProfileError::NoClass { .. } => Fault::User,
                _ => Fault::System,
            },
            Self::Cancelled
            | Self::State(_)
            | Self::Changes(_)
            | Self::TableGone(_)
            | Self::Model { .. }
            | Self::Write { .. }
            | Self::TimedOut { .. }
            | Self::Panicked => Fault::System,
        }
    }

    /// Whether it is of a kind that passes, so that trying again can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            // Their own words stand for them: what they wrap is not among their causes.
            Self::Lake(error) => is_transient(error),
            Self::State(error) => is_transient(error),
            Self::Registry(error) => is_transient(error),
            Self::DataFusion(error) => is_transient(error),
            Self::Arrow(error) => is_transient(error),
            Self::Ingest(error) => is_transient(error),
            Self::Learn(error) => is_transient(error),
            Self::Tokenizer(error) => is_transient(error),
            Self::Profile(error) => is_transient(error),
            // What was found when the project was checked stays so in this run.
            Self::Unread(_) | Self::NeedsUnread(_) => false,
            other => is_transient(other),
        }
    }
}

fn of_lake(error: &LakeError) -> Fault {
    match error {
        LakeError::Name(_) | LakeError::Column { .. } | LakeError::ColumnType { .. } => Fault::User,
        LakeError::SchemaChanged { .. } => Fault::Data,
        LakeError::Ingest(error) => of_ingest(error),
        LakeError::Rows { source, .. } => of_query(source),
        _ => Fault::System,
    }
}

fn of_registry(error: &RegistryError) -> Fault {
    match error {
        RegistryError::NameClash { .. } => Fault::User,
        error if error.is_wrong_request() => Fault::User,
        _ => Fault::System,
    }
}

fn of_query(error: &DataFusionError) -> Fault {
    match error.find_root() {
        DataFusionError::Plan(_)
        | DataFusionError::SQL(..)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_) => Fault::User,
        DataFusionError::Execution(_) => Fault::Data,
        DataFusionError::ArrowError(error, _) => of_arrow(error),
        DataFusionError::External(error) => match error.downcast_ref::<LakeError>() {
            Some(error) => of_lake(error),
            None => match error.downcast_ref::<IngestError>() {
                Some(error) => of_ingest(error),
                None => Fault::System,
            },
        },
        _ => Fault::System,
    }
}

fn of_arrow(error: &ArrowError) -> Fault {
    match error {
        ArrowError::CastError(_)
        | ArrowError::ParseError(_)
        | ArrowError::ComputeError(_)
        | ArrowError::DivideByZero
        | ArrowError::ArithmeticOverflow(_)
        | ArrowError::InvalidArgumentError(_) => Fault::Data,
        ArrowError::SchemaError(_) | ArrowError::NotYetImplemented(_) => Fault::User,
        _ => Fault::System,
    }
}

fn of_ingest(error: &IngestError) -> Fault {
    match error {
        IngestError::Pattern { .. }
        | IngestError::BadDelimiter { .. }
        | IngestError::UnknownColumn { .. }
        | IngestError::ColumnType { .. } => Fault::User,
        IngestError::Unreadable { source, .. } => match source.kind() {
            // A file that is packed and cut off, or no such file at all.
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::Other => Fault::Data,
            _ => Fault::System,
        },
        IngestError::CutOff { .. } => Fault::System,
        _ => Fault::Data,
    }
}

fn of_learner(error: &LearnError) -> Fault {
    match error {
        LearnError::UnknownColumn { .. }
        | LearnError::UnsupportedColumn { .. }
        | LearnError::NotCategorical { .. }
        | LearnError::TextType { .. }
        | LearnError::TextIsLabel { .. }
        | LearnError::NoFeatures { .. }
        | LearnError::MissingSplit
        | LearnError::SplitType { .. }
        | LearnError::LabelType { .. }
        | LearnError::WeightType { .. }
        | LearnError::UnknownEstimator { .. }
        | LearnError::UnknownSampler { .. }
        | LearnError::UnknownPruner { .. }
        | LearnError::NothingToPrune { .. }
        | LearnError::NoWarmStart { .. }
        | LearnError::UnknownMetric { .. }
        | LearnError::NoThresholdMetric { .. }
        | LearnError::NothingToCalibrate { .. }
        | LearnError::GroupType { .. }
        | LearnError::PrunedFolds
        | LearnError::Objective { .. }
        | LearnError::Params(_) => Fault::User,
        LearnError::Learner { .. }
        | LearnError::Threads { .. }
        | LearnError::Cancelled
        | LearnError::Io { .. }
        | LearnError::ModelFile { .. } => Fault::System,
        LearnError::Deep(error) => of_deep(error),
        LearnError::Arrow { source, .. } => of_arrow(source),
        _ => Fault::Data,
    }
}

fn of_deep(error: &DeepError) -> Fault {
    match error {
        DeepError::Compute(_)
        | DeepError::Device { .. }
        | DeepError::Io { .. }
        | DeepError::Truncated { .. } => Fault::System,
        _ => Fault::User,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn rows(source: DataFusionError) -> StageError {
        StageError::Lake(LakeError::Rows {
            table: "silver.t".parse().unwrap(),
            source: Box::new(source),
        })
    }

    #[test]
    fn whose_fault_and_whether_it_passes() {
        let unreadable = |kind: std::io::ErrorKind| IngestError::Unreadable {
            path: "in.csv".into(),
            source: Arc::new(kind.into()),
        };
        let shared = |error| DataFusionError::Shared(Arc::new(error));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let cases = [
            (
                rows(shared(DataFusionError::ArrowError(
                    Box::new(ArrowError::DivideByZero),
                    None,
                ))),
                Fault::Data,
                false,
            ),
            (
                rows(DataFusionError::Plan("no such function".to_owned())),
                Fault::User,
                false,
            ),
            (
                rows(DataFusionError::ResourcesExhausted("memory".to_owned())),
                Fault::System,
                false,
            ),
            (
                StageError::Ingest(unreadable(std::io::ErrorKind::TimedOut)),
                Fault::System,
                true,
            ),
            (
                rows(DataFusionError::External(Box::new(unreadable(
                    std::io::ErrorKind::NotFound,
                )))),
                Fault::System,
                false,
            ),
            (
                StageError::Write {
                    path: "model".to_owned(),
                    source: full,
                },
                Fault::System,
                false,
            ),
            (
                StageError::TimedOut { limit_seconds: 5 },
                Fault::System,
                false,
            ),
            (
                StageError::Learn(LearnError::MissingSplit),
                Fault::User,
                false,
            ),
        ];
        for (error, fault, transient) in cases {
            assert_eq!(error.fault(), fault, "{error:?}");
            assert_eq!(error.is_transient(), transient, "{error:?}");
        }
    }
}
