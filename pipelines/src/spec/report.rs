//! `reports:`.
//!
//! A kind of report is one file with its options (such as [`super::profile`]) and one line in
//! [`report_kinds!`] below.

use std::collections::BTreeSet;

use super::decode::{Check, Context, Fields, Part, exactly_one, record};
use super::evaluate::EvaluateOptions;
use super::name::{Name, TagNames};
use super::patience::PatienceSpec;
use super::profile::ProfileOptions;
use super::schema::{Definitions, ObjectSchema};
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::spec::decode::Decode;

record! {
    /// A report that the pipeline writes: one HTML page that is complete in itself.
    pub struct ReportSpec as "a report" {
        /// What the report is for, for people.
        "comment" comment: Option<Spanned<String>>,
        /// Words by which commands can select it, as `tag:nightly`.
        "tags" tags: Vec<Name<TagNames>>,
        /// Assets to make first, for edges that cannot be seen.
        "after" after: Vec<Spanned<String>>,
        /// How often it is tried, and how long that may take.
        .. patience: PatienceSpec,
        /// The page's heading; by default the report's name.
        "title" title: Option<Spanned<String>>,
        /// What it shows: exactly one of these keys.
        .. body: ReportBody,
    }
}

impl Check for ReportSpec {}

/// The options of a kind of report.
pub(super) trait ReportOptions {
    /// The table that the report is about: what stands behind its key, or an option says.
    fn table<'a>(&'a self, subject: &'a Spanned<String>) -> &'a Spanned<String> {
        subject
    }
}

/// Defines the kinds of reports: a key whose value is what the report is about, and the options
/// that may stand beside it.
macro_rules! report_kinds {
    ($( $(#[doc = $doc:literal])* $key:literal $variant:ident ( $options:ty ) ),* $(,)?) => {
        /// What a report shows.
        #[derive(Debug, Clone)]
        pub enum ReportBody {
            $( $(#[doc = $doc])* $variant {
                /// What stands behind the key.
                of: Spanned<String>,
                /// The options beside it.
                options: Box<$options>,
            }, )*
        }

        impl ReportBody {
            /// The table that the report is about.
            #[must_use]
            pub fn table(&self) -> &Spanned<String> {
                match self {
                    $( Self::$variant { of, options } => options.table(of), )*
                }
            }
        }

        impl Part for ReportBody {
            fn keys() -> Vec<&'static str> {
                let mut keys = BTreeSet::new();
                $( keys.insert($key);
                keys.extend(<$options as Part>::keys()); )*
                keys.into_iter().collect()
            }

            fn decode_part(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<Self> {
                let entry = exactly_one(&[$($key),*], fields, cx)?;
                match entry.key.text.as_str() {
                    $( $key => {
                        let own = <$options as Part>::keys();
                        let fits = only_own($key, &own, &Self::keys(), fields, cx);
                        let of = Spanned::<String>::decode(&entry.value, cx);
                        let options = <$options as Part>::decode_part(fields, cx).map(Box::new);
                        Some(Self::$variant { of: of?, options: options? }).filter(|_| fits)
                    } )*
                    _ => None,
                }
            }

            fn schema_part(object: &mut ObjectSchema, defs: &mut Definitions) {
                $( let of = Spanned::<String>::schema(defs);
                object.property($key, of, concat!($($doc, "\n"),*), false);
                let mut options = ObjectSchema::default();
                <$options as Part>::schema_part(&mut options, defs);
                object.kind($key, options); )*
                object.one_kind();
            }
        }
    };
}

report_kinds! {
    /// The table whose columns are described: values, gaps, spread, correlations, and what deserves a look.
    "profile" Profile(ProfileOptions),
    /// The registered model that is evaluated, such as `models:/wine_quality@production`: figures, curves, worst rows and baselines.
    "evaluate" Evaluate(EvaluateOptions),
}

impl ReportBody {
    /// The addresses of the models that the report applies.
    #[must_use]
    pub fn models(&self) -> Vec<&Spanned<String>> {
        match self {
            Self::Profile { .. } => Vec::new(),
            Self::Evaluate { of, options } => std::iter::once(of).chain(&options.compare).collect(),
        }
    }

    /// The table that the report makes beside its page.
    #[must_use]
    pub fn makes(&self) -> Option<&Spanned<String>> {
        match self {
            Self::Profile { .. } => None,
            Self::Evaluate { options, .. } => options.worst.as_deref(),
        }
    }
}

/// Whether no option of another kind of report stands beside `key`; reports those that do.
fn only_own(
    key: &str,
    own: &[&str],
    all: &[&str],
    fields: &Fields<'_>,
    cx: &mut Context<'_>,
) -> bool {
    let mut fits = true;
    for entry in &fields.mapping.entries {
        let name = entry.key.text.as_str();
        if name != key && all.contains(&name) && !own.contains(&name) {
            fits = false;
            let message = format!("`{name}` does not go with `{key}`");
            cx.report(
                Diagnostic::error("unknown_key", message).help(format!(
                    "beside `{key}` may stand {}",
                    super::decode::list(own)
                )),
                entry.key.span,
            );
        }
    }
    fits
}
