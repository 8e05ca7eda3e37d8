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
pub(super) const NOT_KEPT: [&str; 5] = [
    "on_failure",
    "on_success",
    "openlineage",
    "schedule",
    "tests",
];
/// Those of them that may hold secrets.
const SECRET: [&str; 3] = ["on_failure", "on_success", "openlineage"];

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
        // What is written there for people may be a key that was taken out.
        blank.extend(comments(source.text(), root));
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

/// The comments of a pipeline: from a `#` behind white space to the end of its line, where no
/// key and no value is.
fn comments(text: &str, root: &Node) -> Vec<Span> {
    let mut written = Vec::new();
    scalars(root, &mut written);
    written.sort();
    let mut comments = Vec::new();
    let (mut at, mut written) = (0, written.into_iter().peekable());
    while let Some(hash) = text[at..].find('#').map(|found| at + found) {
        while written.next_if(|span| span.end() <= hash).is_some() {}
        let is_written = written.peek().is_some_and(|span| span.start <= hash);
        let stands_alone = text[..hash].ends_with([' ', '\t', '\n']) || hash == 0;
        at = hash + 1;
        if !is_written && stands_alone {
            let end = text[hash..].find('\n').map_or(text.len(), |end| hash + end);
            comments.push(Span::new(hash, end));
            at = end;
        }
    }
    comments
}

/// Where the keys and values of a node are written.
fn scalars(node: &Node, written: &mut Vec<Span>) {
    match &node.kind {
        NodeKind::Scalar(scalar) => {
            let content = scalar.map.to_source(0..scalar.text.len());
            let start = node.span.start.min(content.start);
            let end = node.span.end().max(content.end());
            written.push(Span::new(start, end));
        }
        NodeKind::Sequence(items) => items.iter().for_each(|item| scalars(item, written)),
        NodeKind::Mapping(mapping) => {
            for entry in &mapping.entries {
                written.push(entry.key.span);
                scalars(&entry.value, written);
            }
        }
        NodeKind::Empty => {}
        // What it holds is not known, and stays.
        NodeKind::Refused => written.push(node.span),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Environment, load_source};

    fn loaded(text: &str, overrides: &Overrides) -> PipelineDefinitions {
        let project = Project::from_file("shop/pipeline.yaml");
        let source = SourceFile::new("shop/pipeline.yaml", text);
        let (spec, _) = load_source(&project, source, overrides)
            .unwrap_or_else(|wrong| panic!("{}", wrong.plain()));
        PipelineDefinitions::clone(&spec.definitions)
    }

    fn environment(values: &[(&str, &str)]) -> Overrides {
        let values = values.iter();
        let values = values.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Overrides {
            environment: Environment::Fixed(values.collect()),
            ..Overrides::default()
        }
    }

    /// What was kept, read again as a replay does.
    fn again(kept: &PipelineDefinitions, only: &[&str]) -> crate::spec::Spec {
        let names = only.iter().map(|name| (*name).to_owned());
        let overrides = Overrides {
            kept: Some(KeptDefinitions {
                files: Arc::new(kept.files.clone()),
                only: Arc::new(names.collect()),
            }),
            set: kept
                .set
                .clone()
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            environment: Environment::Fixed(
                kept.environment
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
                    .collect(),
            ),
            ..Overrides::default()
        };
        let project = Project::from_file("moved/pipeline.yaml");
        let source = SourceFile::new("moved/pipeline.yaml", kept.files[&kept.file].clone());
        let loaded = load_source(&project, source, &overrides);
        loaded.unwrap_or_else(|wrong| panic!("{}", wrong.plain())).0
    }

    const TOLD: &str = r#"pipeline: shop
vars:
  token: literal-hush # of the hook
  from: ${env:TOKEN}
  least: 3
  most: ${least}
on_failure: # who
  webhook:
    url: https://x.test/${token}/${from}/${env:DIRECT}
    secret: ${secret:KEY}
  command:
    - echo
    - >-
      literal-hush
tables:
  a.t:
    sql: |
      SELECT ${most} AS x
  a.u:
    after: [a.t, a.v]
    sql: SELECT 2 AS x
  a.v:
    after: a.t
    sql: SELECT 3 AS x
schedule:
  every: 1h
tests:
  one:
    table: a.t
    expect:
      rows: [{x: 3}]
"#;

    fn told() -> PipelineDefinitions {
        let values = [
            ("TOKEN", "hush-1"),
            ("DIRECT", "hush-2"),
            ("SLUICE_SECRET_KEY", "hush-3"),
        ];
        let mut overrides = environment(&values);
        overrides.set = vec![
            ("token".to_owned(), "hush-4".to_owned()),
            ("least".to_owned(), "7".to_owned()),
        ];
        loaded(TOLD, &overrides)
    }

    #[test]
    fn what_is_told_is_not_kept_and_lines_stay_where_they_are() {
        let kept = told();
        let all = serde_json::to_string(&kept).unwrap();
        assert!(!all.contains("hush"), "{all}");
        assert_eq!(
            kept.set,
            BTreeMap::from([("least".to_owned(), Some("7".to_owned()))])
        );
        assert_eq!(kept.environment, BTreeMap::new());
        let text = &kept.files["pipeline.yaml"];
        assert_eq!(text.len(), TOLD.len());
        assert_eq!(text.find("a.t:"), TOLD.find("a.t:"));
        let spec = again(&kept, &["a.t", "a.u", "a.v"]);
        assert_eq!(
            spec.tables.get("a.t").unwrap().sql().unwrap().text.trim(),
            "SELECT 7 AS x"
        );
        assert!(spec.on_failure.is_none() && spec.schedule.is_none() && spec.tests.is_empty());
    }

    #[test]
    fn comments_are_not_kept() {
        let text = "\
# on_failure: {webhook: https://hooks.example/hush-1}
pipeline: shop # hush-2
lakehouse: lake
# hush-3
tables:
  a.t:
    comment: \"not # a comment\"
    sql: |
      # hush, but a part of the query
      SELECT '#x' AS x
  a.u: # hush-4
    sql: SELECT 1 AS n
#hush-5";
        let kept = loaded(text, &Overrides::default());
        let kept = &kept.files["pipeline.yaml"];
        assert_eq!(kept.len(), text.len());
        assert!(!kept.contains("hush-"), "{kept}");
        assert!(kept.contains("not # a comment") && kept.contains("# hush, but a part"));
        assert!(kept.contains("'#x'"), "{kept}");
    }

    #[test]
    fn other_assets_are_as_if_they_were_not_there() {
        let spec = again(&told(), &["A.U", "a.v"]);
        let names: Vec<&str> = spec
            .tables
            .iter()
            .map(|(name, _)| name.value.as_str())
            .collect();
        assert_eq!(names, ["a.u", "a.v"]);
        let after = &spec.tables.get("a.u").unwrap().after;
        assert_eq!(after.len(), 1);
        assert_eq!(after[0].value, "a.v");
        assert!(spec.tables.get("a.v").unwrap().after.is_empty());
    }

    #[test]
    fn a_pipeline_in_one_line_stays_one() {
        let text = r#"{pipeline: shop, on_failure: {command: [echo, "hush, }"]}, schedule: {every: 1h}, tables: {a.t: {sql: "SELECT 'é' AS x"}}}"#;
        let kept = loaded(text, &Overrides::default());
        assert!(!kept.files["pipeline.yaml"].contains("hush"));
        let spec = again(&kept, &["a.t"]);
        assert_eq!(
            spec.tables.get("a.t").unwrap().sql().unwrap().text,
            "SELECT 'é' AS x"
        );
    }

    #[test]
    fn a_value_that_goes_to_both_places_is_named_and_not_kept() {
        let text = "pipeline: shop\nvars: {both: \"${env:BOTH}\", plain: \"${env:PLAIN}\"}\non_success:\n  webhook: {url: \"https://x.test/${both}\"}\ntables:\n  a.t:\n    sql: |\n      SELECT '${both}${plain}' AS x\n";
        let kept = loaded(text, &environment(&[("BOTH", "hush"), ("PLAIN", "open")]));
        let expected = [
            ("BOTH".to_owned(), None),
            ("PLAIN".to_owned(), Some("open".to_owned())),
        ];
        assert_eq!(kept.environment, BTreeMap::from(expected));
    }
}
