//! What is sound in a pipeline that does not load, so that the rest of it can be checked
//! in the same go.

use std::path::PathBuf;
use std::sync::Arc;

use super::decode::{Context, Decode};
use super::load::{Overrides, context, decode_vars};
use super::maintain::PipelineMaintain;
use super::model::ModelSpec;
use super::name::{
    ModelNames, Name, NameRule, Named, PipelineNames, ReportNames, TableNames, TokenizerNames,
};
use super::patience::Defaults;
use super::pipeline::{LakehousePath, Spec};
use super::report::ReportSpec;
use super::table::TableSpec;
use super::tokenizer::TokenizerSpec;
use crate::project::Project;
use crate::source::{Span, Spanned};
use crate::yaml::{self, Mapping, Node, NodeKind};

/// Names of assets that are written wrong.
#[derive(Debug, Clone, Default)]
pub struct Broken {
    /// Tables.
    pub tables: Vec<String>,
    /// Tokenizers.
    pub tokenizers: Vec<String>,
    /// Models.
    pub models: Vec<String>,
    /// Reports.
    pub reports: Vec<String>,
}

/// The assets of a pipeline that are written right, with the names of the others in
/// [`Spec::broken`]; `None` when too little is right to say more about it. Reports nothing.
#[must_use]
pub fn load_sound(project: &Project, overrides: &Overrides) -> Option<Spec> {
    let source = Arc::new(project.read().ok()?);
    let mut cx = context(project, &source, overrides);
    let root = yaml::parse(&source, &mut cx.diagnostics)?;
    let NodeKind::Mapping(mapping) = &root.kind else {
        return None;
    };
    let vars = decode_vars(mapping, overrides, &mut cx);
    let lakehouse = match (&overrides.lakehouse, mapping.get("lakehouse")) {
        (Some(path), _) => overridden(path),
        (None, Some(node)) => LakehousePath::decode(node, &mut cx)?,
        (None, None) => LakehousePath::default_of(project),
    };
    let pipeline = mapping
        .get("pipeline")
        .and_then(|node| Name::<PipelineNames>::decode(node, &mut cx))
        .map_or_else(
            || Spanned::new(String::new(), Span::point(0)),
            |name| name.name,
        );
    let mut broken = Broken::default();
    let tables = sound::<TableNames, TableSpec>(mapping, "tables", &mut broken.tables, &mut cx)?;
    let tokenizers = sound::<TokenizerNames, TokenizerSpec>(
        mapping,
        "tokenizers",
        &mut broken.tokenizers,
        &mut cx,
    )?;
    let models = sound::<ModelNames, ModelSpec>(mapping, "models", &mut broken.models, &mut cx)?;
    let reports =
        sound::<ReportNames, ReportSpec>(mapping, "reports", &mut broken.reports, &mut cx)?;
    Some(Spec {
        project: project.clone(),
        source,
        definitions: Arc::default(),
        pipeline,
        lakehouse,
        vars: vars.unwrap_or_default().0,
        // Nothing is run from here.
        defaults: Defaults::default(),
        tables,
        tokenizers,
        models,
        reports,
        // What is wrong with one is told when all else is right.
        tests: Named::default(),
        maintain: PipelineMaintain::default(),
        openlineage: None,
        schedule: None,
        on_failure: None,
        on_success: None,
        broken,
    })
}

fn overridden(path: &std::path::Path) -> LakehousePath {
    LakehousePath {
        path: PathBuf::from(path),
        span: None,
    }
}

/// The entries below a key that decode alone; the names of the others go to `broken`.
fn sound<N: NameRule, T: Decode>(
    mapping: &Mapping,
    key: &str,
    broken: &mut Vec<String>,
    cx: &mut Context<'_>,
) -> Option<Named<N, T>> {
    let Some(node) = mapping.get(key) else {
        return Some(Named::default());
    };
    let NodeKind::Mapping(all) = &node.kind else {
        return None;
    };
    let with = |entries| Node {
        span: node.span,
        kind: NodeKind::Mapping(Mapping {
            entries,
            flow: all.flow,
        }),
    };
    let mut kept = all.entries.clone();
    kept.retain(|entry| {
        let alone = with(vec![entry.clone()]);
        let is_sound = Named::<N, T>::decode(&alone, cx).is_some();
        if !is_sound {
            broken.push(entry.key.text.clone());
        }
        is_sound
    });
    Named::decode(&with(kept), cx)
}
