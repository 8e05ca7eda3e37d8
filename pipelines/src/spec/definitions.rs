//! What a pipeline is defined by: its file and the files that it names, and the values that its
//! variables and `${env:NAME}` stood for. A run keeps them, so that it can be made again.
//!
//! What says who is told, when it runs and what is tested does not say what is made, and may
//! hold secrets: [`NOT_KEPT`] is left out, and so are variables that only it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::load::Overrides;
use super::variables::{Piece, pieces};
use crate::project::Project;
use crate::source::{SourceFile, Span};
use crate::yaml::{Mapping, Node, NodeKind};

/// Keys of a pipeline that do not say what is made.
pub(super) const NOT_KEPT: [&str; 5] =
    ["on_failure", "on_success", "openlineage", "schedule", "tests"];
/// Those of them that may hold secrets.
const SECRET: [&str; 2] = ["on_failure", "on_success"];

/// What a pipeline is defined by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineDefinitions {
    /// The release that read it.
    pub sluice: String,
    /// The project's folder, absolute: paths of data are relative to it.
    pub folder: String,
    /// The name of the pipeline file in it.
    pub file: String,
    /// The text of the pipeline file and of the files that it names, by their paths relative to
    /// the folder. Of the first, [`NOT_KEPT`] is blank.
    pub files: BTreeMap<String, String>,
    /// What `--set` said. No value: it went to where secrets are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Option<String>>,
    /// What `${env:NAME}` stood for. No value: it went to where secrets are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
}

/// Definitions that a run kept, in place of those that there are now.
#[derive(Debug, Clone)]
pub struct KeptDefinitions {
    /// The files by path.
    pub files: Arc<BTreeMap<String, String>>,
    /// The assets to read, by name; the others count as if the file did not have them.
    pub only: Arc<BTreeSet<String>>,
}

impl KeptDefinitions {
    /// The pipeline's mapping without what was not kept, and without the other assets.
    pub(super) fn narrow(&self, pipeline: &mut Mapping) {
        let not_kept = |key: &str| NOT_KEPT.contains(&key);
        pipeline.entries.retain(|entry| !not_kept(&entry.key.text));
        for entry in &mut pipeline.entries {
            let assets = ["tables", "tokenizers", "models", "reports"];
            let NodeKind::Mapping(named) = &mut entry.value.kind else {
                continue;
            };
            if !assets.contains(&entry.key.text.as_str()) {
                continue;
            }
            named.entries.retain(|asset| self.has(&asset.key.text));
            for asset in &mut named.entries {
                if let NodeKind::Mapping(keys) = &mut asset.value.kind {
                    keys.entries.retain_mut(|key| {
                        key.key.text != "after" || self.narrow_after(&mut key.value)
                    });
                }
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.only.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Leaves the assets that there are; false when there is none.
    fn narrow_after(&self, after: &mut Node) -> bool {
        let known = |node: &Node| match &node.kind {
            NodeKind::Scalar(scalar) => self.has(&scalar.text),
            _ => true,
        };
        match &mut after.kind {
            NodeKind::Sequence(items) => {
                items.retain(known);
                !items.is_empty()
            }
            _ => known(after),
        }
    }
}

/// Names in `${...}`.
#[derive(Debug, Default)]
struct Uses {
    variables: BTreeSet<String>,
    environment: BTreeSet<String>,
}

impl Uses {
    fn text(&mut self, text: &str) {
        for piece in pieces(text) {
            let Piece::Placeholder(_, inner) = piece else {
                continue;
            };
            match inner.split_once(':') {
                Some(("env", name)) => self.environment.insert(name.to_owned()),
                Some(("ident", name)) => self.variables.insert(name.to_owned()),
                Some(_) => false,
                None => self.variables.insert(inner.to_owned()),
            };
        }
    }

    fn node(&mut self, node: &Node) {
        match &node.kind {
            NodeKind::Scalar(scalar) => self.text(&scalar.text),
            NodeKind::Sequence(items) => items.iter().for_each(|item| self.node(item)),
            NodeKind::Mapping(mapping) => {
                for entry in &mapping.entries {
                    self.text(&entry.key.text);
                    self.node(&entry.value);
                }
            }
            NodeKind::Empty | NodeKind::Refused => {}
        }
    }

    /// Adds what the variables that are used are made of.
    fn follow(&mut self, variables: &Mapping) {
        let mut left: Vec<String> = self.variables.iter().cloned().collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = left.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some(value) = variables.get(&name) {
                let mut own = Self::default();
                own.node(value);
                left.extend(own.variables.iter().cloned());
                self.environment.extend(own.environment);
            }
        }
        self.variables = seen;
    }
}

impl PipelineDefinitions {
    /// The definitions of a pipeline that decodes: its mapping, and the files that it names.
    pub(super) fn of(
        project: &Project,
        source: &SourceFile,
        root: &Node,
        mut files: BTreeMap<String, String>,
        overrides: &Overrides,
    ) -> Self {
        let empty = Mapping::default();
        let pipeline = match &root.kind {
            NodeKind::Mapping(mapping) => mapping,
            _ => &empty,
        };
        let variables = match pipeline.get("vars").map(|node| &node.kind) {
            Some(NodeKind::Mapping(mapping)) => mapping,
            _ => &empty,
        };
        let (mut kept, mut secret) = (Uses::default(), Uses::default());
        for entry in &pipeline.entries {
            let key = entry.key.text.as_str();
            match key {
                "vars" => {}
                _ if SECRET.contains(&key) => secret.node(&entry.value),
                _ if NOT_KEPT.contains(&key) => {}
                _ => kept.node(&entry.value),
            }
        }
        files.values().for_each(|text| kept.text(text));
        kept.follow(variables);
        secret.follow(variables);
        let value = |is_secret: bool, value: String| (!is_secret).then_some(value);
        let set = overrides.set.iter();
        let set = set.filter(|(name, _)| kept.variables.contains(name));
        let set = set.map(|(name, text)| {
            let hidden = secret.variables.contains(name);
            (name.clone(), value(hidden, text.clone()))
        });
        let environment = kept.environment.iter().filter_map(|name| {
            // What `--set` overrides may stand for nothing.
            let text = overrides.environment.get(name)?;
            let hidden = secret.environment.contains(name);
            Some((name.clone(), value(hidden, text)))
        });
        let mut blank: Vec<Span> = Vec::new();
        let others = pipeline.entries.iter();
        let others = others.filter(|entry| NOT_KEPT.contains(&entry.key.text.as_str()));
        blank.extend(others.map(|entry| entry.value.span));
        let unused = variables.entries.iter();
        let unused = unused.filter(|entry| !kept.variables.contains(&entry.key.text));
        blank.extend(unused.map(|entry| entry.value.span));
        let (set, environment) = (set.collect(), environment.collect());
        let folder = std::path::absolute(project.folder());
        let file = project.file().file_name().unwrap_or_default();
        let file = file.to_string_lossy().into_owned();
        files.insert(file.clone(), blanked(source.text(), &blank));
        Self {
            sluice: env!("CARGO_PKG_VERSION").to_owned(),
            folder: folder.map_or_else(|_| String::new(), |folder| folder.display().to_string()),
            file,
            files,
            set,
            environment,
        }
    }
}

/// A text in which some bytes are blank; lines stay where they are.
fn blanked(text: &str, spans: &[Span]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut spans = spans.to_vec();
    spans.sort();
    let mut at = 0;
    for span in spans {
        let start = span.start.max(at);
        out.push_str(&text[at..start]);
        let end = span.end().max(start);
        let blank = |c: char| match c {
            '\n' | '\r' => c,
            _ => ' ',
        };
        out.extend(text[start..end].chars().map(blank));
        at = end;
    }
    out.push_str(&text[at..]);
    out
}
