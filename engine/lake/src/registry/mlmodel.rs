//! The MLmodel file, as MLflow writes it, so that its tools load the folder.

use std::fmt::Write as _;

use arrow::temporal_conversions::timestamp_ms_to_datetime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::state::RunId;

use super::signature::{Signature, columns_json};
use super::tokenizer::TOKENIZER_FILE;

/// How the model itself is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFormat {
    /// XGBoost's JSON in `model.json`. Versions of before there were others say nothing.
    #[default]
    XgboostJson,
    /// No model but a tokenizer: Hugging Face's `tokenizer.json`.
    Tokenizer,
    /// A text model in a folder of Hugging Face's: what `transformers` loads.
    HuggingFace,
    /// The same without a label: an encoder, of which vectors are asked.
    Encoder,
}

impl ModelFormat {
    /// The files that the trainer leaves in the version's folder.
    pub fn required_files(self) -> &'static [&'static str] {
        match self {
            Self::XgboostJson => &["model.json", "features.json"],
            Self::Tokenizer => &[TOKENIZER_FILE],
            Self::HuggingFace => &[
                "config.json",
                "model.safetensors",
                "tokenizer.json",
                "features.json",
            ],
            Self::Encoder => &["config.json", "model.safetensors", "tokenizer.json"],
        }
    }

    /// The entries below `flavors:`, sorted by name as MLflow sorts them.
    fn flavors(self) -> &'static str {
        match self {
            Self::XgboostJson => {
                "  python_function:\n\
                 \x20   data: model.json\n\
                 \x20   loader_module: mlflow.xgboost\n\
                 \x20 sluice:\n\
                 \x20   features: features.json\n\
                 \x20   model: model.json\n\
                 \x20   sluice_version: SLUICE_VERSION\n\
                 \x20 xgboost:\n\
                 \x20   code: null\n\
                 \x20   data: model.json\n\
                 \x20   model_class: xgboost.core.Booster\n\
                 \x20   model_format: json\n"
            }
            Self::Tokenizer => {
                "  sluice:\n\
                 \x20   sluice_version: SLUICE_VERSION\n\
                 \x20   tokenizer: tokenizer.json\n"
            }
            Self::HuggingFace => {
                "  sluice:\n\
                 \x20   config: config.json\n\
                 \x20   features: features.json\n\
                 \x20   model: model.safetensors\n\
                 \x20   sluice_version: SLUICE_VERSION\n\
                 \x20   tokenizer: tokenizer.json\n\
                 \x20 transformers:\n\
                 \x20   code: null\n\
                 \x20   framework: pt\n\
                 \x20   model_binary: .\n\
                 \x20   task: text-classification\n"
            }
            Self::Encoder => {
                "  sluice:\n\
                 \x20   config: config.json\n\
                 \x20   model: model.safetensors\n\
                 \x20   sluice_version: SLUICE_VERSION\n\
                 \x20   tokenizer: tokenizer.json\n\
                 \x20 transformers:\n\
                 \x20   code: null\n\
                 \x20   framework: pt\n\
                 \x20   model_binary: .\n\
                 \x20   task: feature-extraction\n"
            }
        }
    }
}

/// The text of the file. `mlflow_version` is left out: this is not MLflow.
pub(super) fn mlmodel_text(
    format: ModelFormat,
    run: &RunId,
    model_uuid: Uuid,
    creation_time_ms: i64,
    model_size_bytes: u64,
    signature: &Signature,
) -> String {
    let created = timestamp_ms_to_datetime(creation_time_ms).unwrap_or_default();
    let mut text = String::from("artifact_path: model\nflavors:\n");
    text.push_str(
        &format
            .flavors()
            .replace("SLUICE_VERSION", env!("CARGO_PKG_VERSION")),
    );
    write!(
        text,
        "model_size_bytes: {model_size_bytes}\n\
         model_uuid: {}\n\
         run_id: {}\n\
         signature:\n\
         \x20 inputs: {}\n\
         \x20 outputs: {}\n\
         \x20 params: null\n\
         utc_time_created: {}\n",
        quoted(&model_uuid.simple().to_string()),
        quoted(run.as_str()),
        quoted(&columns_json(&signature.inputs)),
        quoted(&columns_json(&signature.outputs)),
        quoted(&created.format("%Y-%m-%d %H:%M:%S%.6f").to_string()),
    )
    .expect("writing to a string never fails");
    text
}

/// A YAML scalar in single quotes: text of one line means itself there. (A run
/// identifier such as `018e1234` would otherwise read as a number.)
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
