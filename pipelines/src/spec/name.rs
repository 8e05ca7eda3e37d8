//! Names, and mappings whose keys are names that the user chooses.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sluice_lake::name::{RESERVED_LAYERS, check_part, check_pipeline};
use sluice_lake::registry;

use super::decode::{Context, Decode};
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Span, Spanned};
use crate::yaml::{Node, NodeKind};

/// Values by names that the user chose, in the order of the file.
///
/// `N` says which names are allowed. Names that differ only in case are refused, since they
/// match case-insensitively.
#[derive(Debug, Clone)]
pub struct Named<N, T> {
    entries: Vec<(Spanned<String>, T)>,
    names: PhantomData<fn() -> N>,
}

impl<N, T> Default for Named<N, T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            names: PhantomData,
        }
    }
}

impl<N, T> Named<N, T> {
    /// Names with values, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, (Spanned<String>, T)> {
        self.entries.iter()
    }

    /// The value of a name, whatever its case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        let same = |entry: &&(Spanned<String>, T)| entry.0.eq_ignore_ascii_case(name);
        self.entries.iter().find(same).map(|(_, value)| value)
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<'a, N, T> IntoIterator for &'a Named<N, T> {
    type Item = &'a (Spanned<String>, T);
    type IntoIter = std::slice::Iter<'a, (Spanned<String>, T)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

/// Which names a mapping takes as keys.
pub(crate) trait NameRule {
    /// What is named, as in "a table".
    const WHAT: &'static str;
    /// What a name looks like, for a person.
    const FORM: &'static str;
    /// What a name looks like, for the schema.
    const PATTERN: &'static str;
    /// Why a name that has the form is refused all the same.
    fn refuse(_name: &str) -> Option<String> {
        None
    }
    /// True when the name has the form.
    fn has_form(name: &str) -> bool;
}

impl<N: NameRule, T: Decode> Decode for Named<N, T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if node.kind == NodeKind::Empty {
            return Some(Self::default());
        }
        let mapping = cx.mapping(&format!("names, each of {}", N::WHAT), node)?;
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut entries = Some(Vec::with_capacity(mapping.entries.len()));
        for entry in &mapping.entries {
            if cx.diagnostics.is_full() {
                return None;
            }
            let name = Spanned::new(entry.key.text.clone(), entry.key.span);
            let mut usable = check_name::<N>(&name, cx);
            if let Some(first) = seen.insert(name.to_lowercase(), name.span) {
                usable = false;
                cx.report(
                    Diagnostic::error(
                        "duplicate_name",
                        format!("`{name}` differs from another name only in case"),
                    )
                    .related(
                        Location {
                            source: Arc::clone(&cx.source),
                            span: first,
                        },
                        "the other one",
                    )
                    .help("names match whatever their case: choose another one"),
                    name.span,
                );
            }
            let value = T::decode(&entry.value, cx).filter(|_| usable);
            entries = entries.zip(value).map(|(mut entries, value)| {
                entries.push((name, value));
                entries
            });
        }
        entries.map(|entries| Self {
            entries,
            names: PhantomData,
        })
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn schema(defs: &mut Definitions) -> Json {
        let value = T::schema(defs);
        json!({
            "type": "object",
            "propertyNames": {"pattern": N::PATTERN},
            "additionalProperties": value
        })
    }
}

/// Reports a name that breaks its rule; true when it does not.
pub(super) fn check_name<N: NameRule>(name: &Spanned<String>, cx: &mut Context<'_>) -> bool {
    let (message, help) = if !N::has_form(name) {
        (
            format!("`{name}` cannot name {}", N::WHAT),
            format!("write {}", N::FORM),
        )
    } else if let Some(why) = N::refuse(name) {
        (
            format!("`{name}` cannot name {}: {why}", N::WHAT),
            "choose another name".to_owned(),
        )
    } else {
        return true;
    };
    cx.report(Diagnostic::error("bad_name", message).help(help), name.span);
    false
}

/// A name as a value, such as the one behind `as:`.
#[derive(Debug, Clone)]
pub struct Name<N> {
    /// The name.
    pub name: Spanned<String>,
    rule: PhantomData<fn() -> N>,
}

impl<N> std::ops::Deref for Name<N> {
    type Target = Spanned<String>;
    fn deref(&self) -> &Spanned<String> {
        &self.name
    }
}

impl<N> std::fmt::Display for Name<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.name.fmt(f)
    }
}

impl<N: NameRule> Decode for Name<N> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let name = Spanned::<String>::decode(node, cx)?;
        check_name::<N>(&name, cx).then_some(Self {
            name,
            rule: PhantomData,
        })
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "pattern": format!("{}|\\$\\{{", N::PATTERN)})
    }
}

/// A letter, then letters, digits, `_` and what else is allowed.
fn is_word(text: &str, also: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c))
}

const WORD: &str = "a letter, then letters, digits and `_`";
const DOTTED: &str = "a letter, then letters, digits, `_`, `-` and `.`";
const REGISTRY_PATTERN: &str = "^[A-Za-z][A-Za-z0-9_.-]*$";
const DASHED: &str = "a letter, then letters, digits, `_` and `-`";

/// `layer.table`.
#[derive(Debug, Clone, Copy)]
pub struct TableNames;

impl NameRule for TableNames {
    const WHAT: &'static str = "a table";
    const FORM: &'static str =
        "`layer.table`, such as `silver.wine`; both are a letter, then letters, digits and `_`";
    const PATTERN: &'static str = "^[A-Za-z][A-Za-z0-9_]*\\.[A-Za-z][A-Za-z0-9_]*$";

    fn has_form(name: &str) -> bool {
        name.split_once('.').is_some_and(|(layer, table)| {
            check_part("layer", layer).is_ok() && check_part("table", table).is_ok()
        })
    }

    fn refuse(name: &str) -> Option<String> {
        let layer = name.split('.').next()?;
        RESERVED_LAYERS
            .iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(layer))
            .then(|| format!("the layer `{layer}` is reserved"))
    }
}

/// Names of model assets.
#[derive(Debug, Clone, Copy)]
pub struct ModelNames;

impl NameRule for ModelNames {
    const WHAT: &'static str = "a model";
    const FORM: &'static str = DASHED;
    const PATTERN: &'static str = "^[A-Za-z][A-Za-z0-9_-]*$";

    fn has_form(name: &str) -> bool {
        is_word(name, "-")
    }
}

/// Names of tokenizers, which are registered names as well.
#[derive(Debug, Clone, Copy)]
pub struct TokenizerNames;

/// What the second argument of `encode(x, 'hex')` can be: there it names no tokenizer.
const ENCODINGS: [&str; 3] = ["base64", "base64pad", "hex"];

impl NameRule for TokenizerNames {
    const WHAT: &'static str = "a tokenizer";
    const FORM: &'static str = DASHED;
    const PATTERN: &'static str = ModelNames::PATTERN;

    fn has_form(name: &str) -> bool {
        ModelNames::has_form(name) && registry::check_name("tokenizer", name).is_ok()
    }

    fn refuse(name: &str) -> Option<String> {
        let taken = ENCODINGS
            .iter()
            .any(|taken| taken.eq_ignore_ascii_case(name));
        taken.then(|| format!("`encode(x, '{name}')` encodes bytes"))
    }
}

/// Names of reports.
#[derive(Debug, Clone, Copy)]
pub struct ReportNames;

impl NameRule for ReportNames {
    const WHAT: &'static str = "a report";
    const FORM: &'static str = DASHED;
    const PATTERN: &'static str = ModelNames::PATTERN;

    fn has_form(name: &str) -> bool {
        ModelNames::has_form(name)
    }
}

/// The name of a pipeline.
#[derive(Debug, Clone, Copy)]
pub(super) struct PipelineNames;

impl NameRule for PipelineNames {
    const WHAT: &'static str = "a pipeline";
    const FORM: &'static str = "a letter or a digit, then letters, digits, `_`, `-` and `.`";
    const PATTERN: &'static str = "^[A-Za-z0-9][A-Za-z0-9_.-]*$";

    fn has_form(name: &str) -> bool {
        check_pipeline(name).is_ok()
    }
}

/// Names of models in the registry.
#[derive(Debug, Clone, Copy)]
pub struct RegisteredNames;

impl NameRule for RegisteredNames {
    const WHAT: &'static str = "a registered model";
    const FORM: &'static str = DOTTED;
    const PATTERN: &'static str = REGISTRY_PATTERN;

    fn has_form(name: &str) -> bool {
        registry::check_name("model", name).is_ok()
    }
}

/// Aliases of the registry; as in MLflow neither `latest` nor what reads like a version.
#[derive(Debug, Clone, Copy)]
pub struct AliasNames;

impl NameRule for AliasNames {
    const WHAT: &'static str = "an alias";
    const FORM: &'static str = DOTTED;
    const PATTERN: &'static str = REGISTRY_PATTERN;

    fn has_form(name: &str) -> bool {
        registry::check_name("model", name).is_ok()
    }

    fn refuse(name: &str) -> Option<String> {
        let refused = registry::check_name("alias", name).is_err();
        refused.then(|| "it reads like a version".to_owned())
    }
}

/// Names of variables.
#[derive(Debug, Clone, Copy)]
pub(super) struct VariableNames;

impl NameRule for VariableNames {
    const WHAT: &'static str = "a variable";
    const FORM: &'static str = WORD;
    const PATTERN: &'static str = "^[A-Za-z][A-Za-z0-9_]*$";

    fn has_form(name: &str) -> bool {
        is_word(name, "")
    }
}

/// Names of expectations.
#[derive(Debug, Clone, Copy)]
pub struct RuleNames;

impl NameRule for RuleNames {
    const WHAT: &'static str = "an expectation";
    const FORM: &'static str = WORD;
    const PATTERN: &'static str = VariableNames::PATTERN;

    fn has_form(name: &str) -> bool {
        is_word(name, "")
    }
}

/// Tags of assets: what a selector's `tag:` asks for, so without its signs.
#[derive(Debug, Clone, Copy)]
pub struct TagNames;

impl NameRule for TagNames {
    const WHAT: &'static str = "a tag";
    const FORM: &'static str = DASHED;
    const PATTERN: &'static str = ModelNames::PATTERN;

    fn has_form(name: &str) -> bool {
        ModelNames::has_form(name)
    }
}

/// Names of columns that Delta can hold without column mapping.
#[derive(Debug, Clone, Copy)]
pub struct ColumnNames;

impl NameRule for ColumnNames {
    const WHAT: &'static str = "a column";
    const FORM: &'static str =
        "a name without spaces, line breaks and ` ,;{}()=`, not beginning with `_`";
    const PATTERN: &'static str = "^[^_ ,;{}()\\n\\t=][^ ,;{}()\\n\\t=]*$";

    fn has_form(name: &str) -> bool {
        !name.is_empty()
            && !name.starts_with('_')
            && !name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='])
    }
}

/// Names of columns that a contract lists: also those that Sluice adds.
#[derive(Debug, Clone, Copy)]
pub struct ContractNames;

impl NameRule for ContractNames {
    const WHAT: &'static str = "a column";
    const FORM: &'static str = "a name without spaces, line breaks and ` ,;{}()=`";
    const PATTERN: &'static str = "^[^ ,;{}()\\n\\t=]+$";

    fn has_form(name: &str) -> bool {
        !name.is_empty() && !name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='])
    }
}

/// The parts that a split can have.
#[derive(Debug, Clone, Copy)]
pub struct PartNames;

impl NameRule for PartNames {
    const WHAT: &'static str = "a part of a split";
    const FORM: &'static str = "`train`, `validation` or `test`";
    const PATTERN: &'static str = "^(train|validation|test)$";

    fn has_form(name: &str) -> bool {
        matches!(name, "train" | "validation" | "test")
    }
}
