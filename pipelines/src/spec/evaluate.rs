//! The options of `evaluate:`.

use serde_json::{Value as Json, json};

use super::decode::{Check, Context, Decode, Fields, record};
use super::metric::SplitPart;
use super::name::{Name, TableNames};
use super::report::ReportOptions;
use super::scalar::word;
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::Node;

record! {
    /// On which rows a model is evaluated, and what it is held against.
    pub struct EvaluateOptions as "an evaluation" {
        /// The table whose rows are scored; it has the model's columns and the label.
        "from" from: Spanned<String>,
        /// The column with what is true; by default the column that the model learned.
        "label" label: Option<Spanned<String>>,
        /// The part of the rows: `test` by default where the table has `_split`, else `all`.
        "split" split: Option<Spanned<EvaluatedPart>>,
        /// Takes rows that the model was trained on too; by default they are refused.
        "include_training_rows" include_training_rows: Option<Spanned<bool>>,
        /// Another version or model that answers the same question, such as `models:/wine_quality/1`: both are scored in one scan.
        "compare" compare: Option<Spanned<String>>,
        /// Columns by whose values the figures are told apart.
        "slices" slices: Vec<Spanned<String>>,
        /// The table that keeps the rows which the model gets most wrong, `layer.table`.
        "worst" worst: Option<Name<TableNames>>,
        /// How many of them are kept; by default 50.
        "worst_rows" worst_rows: Option<Spanned<u64>>,
    }
}

/// The rows that are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvaluatedPart {
    /// Those of a part of `_split`.
    Part(SplitPart),
    /// All of the table.
    All,
}

const PARTS: &[(&str, EvaluatedPart)] = &[
    ("test", EvaluatedPart::Part(SplitPart::Test)),
    ("validation", EvaluatedPart::Part(SplitPart::Validation)),
    ("train", EvaluatedPart::Part(SplitPart::Train)),
    ("all", EvaluatedPart::All),
];

impl EvaluatedPart {
    /// The word in the language, which metrics of these rows begin with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Part(part) => part.name(),
            Self::All => "all",
        }
    }

    /// Whether rows that models learn from are among them.
    #[must_use]
    pub fn has_train(self) -> bool {
        matches!(self, Self::All | Self::Part(SplitPart::Train))
    }
}

impl Decode for EvaluatedPart {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("part of the rows", PARTS, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": PARTS.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}

/// More rows than this are held in memory for no good: nobody looks at them.
const MAX_WORST: u64 = 10_000;

impl ReportOptions for EvaluateOptions {
    fn table<'a>(&'a self, _subject: &'a Spanned<String>) -> &'a Spanned<String> {
        &self.from
    }
}

impl Check for EvaluateOptions {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let Some(rows) = self.worst_rows else {
            return true;
        };
        if !(1..=MAX_WORST).contains(&rows.value) {
            let message = format!("`worst_rows` must be between 1 and {MAX_WORST}");
            cx.error("bad_count", message, rows.span);
            return false;
        }
        if self.worst.is_none() {
            cx.report(
                Diagnostic::error("missing_key", "`worst_rows` needs the key `worst`")
                    .help("name the table that keeps them: `worst: gold.wine_worst`"),
                rows.span,
            );
            return false;
        }
        true
    }
}
