//! Where assets come from, and their columns: told without running anything.
//!
//! [`Lineage::of`] gathers it from a [`Plan`]; [`Lineage::around`] keeps what one asset is made
//! from and what is made from it; [`format`] writes it as text, Graphviz, Mermaid or JSON.

mod columns;
pub mod format;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sluice_lake::nearest::nearest;

use crate::plan::Plan;
pub use columns::ColumnLineage;

/// What assets are made from.
#[derive(Debug, Clone, Serialize)]
pub struct Lineage {
    /// Tables, models and reports, each after what it is made from.
    pub nodes: Vec<Node>,
    /// What goes into what, by name.
    pub edges: Vec<Edge>,
    /// The columns of the project's own tables and the inputs of its models.
    pub columns: Vec<ColumnLineage>,
}

/// A table, a model or a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its name; the address of a model that only the registry has.
    pub name: String,
    /// The kind of asset, or `table` and `model` for what the project does not make.
    pub kind: String,
    /// Whether the project does not make it.
    pub external: bool,
}

/// That one goes into another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edge {
    /// What goes in.
    pub from: String,
    /// What it goes into.
    pub to: String,
}

/// There is no such asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no asset is called `{name}`{}", .nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean `{near}`?")))]
pub struct UnknownAsset {
    /// The name.
    pub name: String,
    /// The nearest name there is.
    pub nearest: Option<String>,
}

impl Lineage {
    /// That of a whole project.
    pub fn of(plan: &Plan) -> Self {
        let mut outside: BTreeMap<String, &str> = BTreeMap::new();
        let mut edges = BTreeSet::new();
        for asset in &plan.assets {
            let mut into = |from: String| {
                edges.insert(Edge {
                    from,
                    to: asset.name.clone(),
                });
            };
            for table in asset.reads() {
                let name = table.to_string();
                match plan.position(&name) {
                    Some(position) => into(plan.assets[position].name.clone()),
                    None => {
                        outside.insert(name.clone(), "table");
                        into(name);
                    }
                }
            }
            for applied in asset.uses() {
                let makers = plan.makers(&applied.uri);
                if makers.is_empty() {
                    let kind = match asset.tokenizers().contains(applied) {
                        true => "tokenizer",
                        false => "model",
                    };
                    outside.insert(applied.written.clone(), kind);
                    into(applied.written.clone());
                }
                for maker in makers {
                    into(plan.assets[maker].name.clone());
                }
            }
        }
        let outside = outside.into_iter().map(|(name, kind)| Node {
            name,
            kind: kind.to_owned(),
            external: true,
        });
        let own = plan.assets.iter().map(|asset| Node {
            name: asset.name.clone(),
            kind: asset.kind().to_owned(),
            external: false,
        });
        Self {
            nodes: outside.chain(own).collect(),
            edges: edges.into_iter().collect(),
            columns: columns::of(plan),
        }
    }

    /// What the asset called `name` (case ignored) is made from, all the way, itself, and all
    /// that is made from it. Columns stay only of the asset itself.
    ///
    /// # Errors
    /// No such asset.
    pub fn around(&self, name: &str) -> Result<Self, UnknownAsset> {
        let names = || self.nodes.iter().map(|node| node.name.as_str());
        let Some(center) = names().find(|known| known.eq_ignore_ascii_case(name)) else {
            return Err(UnknownAsset {
                name: name.to_owned(),
                nearest: nearest(name, names()).map(str::to_owned),
            });
        };
        let mut kept = self.reach(center, |edge| (&edge.to, &edge.from));
        kept.extend(self.reach(center, |edge| (&edge.from, &edge.to)));
        let both = |edge: &&Edge| kept.contains(&*edge.from) && kept.contains(&*edge.to);
        Ok(Self {
            nodes: self
                .nodes
                .iter()
                .filter(|node| kept.contains(&*node.name))
                .cloned()
                .collect(),
            edges: self.edges.iter().filter(both).cloned().collect(),
            columns: self
                .columns
                .iter()
                .filter(|column| column.asset == center)
                .cloned()
                .collect(),
        })
    }

    /// All that can be reached from `start`, itself included; `step` says from where to where
    /// an edge leads.
    fn reach<'a>(
        &'a self,
        start: &'a str,
        step: impl Fn(&'a Edge) -> (&'a String, &'a String),
    ) -> BTreeSet<&'a str> {
        let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for edge in &self.edges {
            let (from, to) = step(edge);
            next.entry(from).or_default().push(to);
        }
        let mut reached = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            for &to in next.get(node).into_iter().flatten() {
                if reached.insert(to) {
                    open.push(to);
                }
            }
        }
        reached
    }
}
