//! The order of assets: no cycles, and one order for assets that move the same alias.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::{has_path_connecting, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};

use super::edges::Found;
use super::{Checker, Declared};
use crate::diagnostic::Diagnostic;

/// Positions of assets, each after those that it depends on, in the order of the file where
/// there is a choice.
pub(crate) struct Order {
    /// All, or those that neither are in a cycle nor depend on one.
    pub(crate) positions: Vec<usize>,
    /// Whether the project can run in this order; if not, the diagnostics say why.
    pub(crate) runs: bool,
}

/// Orders all assets, or reports why they have no order.
pub(crate) fn order(checker: &mut Checker<'_>, found: &[Found]) -> Order {
    let mut graph: DiGraph<(), ()> = DiGraph::new();
    let nodes: Vec<NodeIndex> = found.iter().map(|_| graph.add_node(())).collect();
    for (position, asset) in found.iter().enumerate() {
        for edge in &asset.edges {
            graph.update_edge(nodes[edge.to], nodes[position], ());
        }
    }
    let cycles: Vec<Vec<usize>> = tarjan_scc(&graph)
        .into_iter()
        .map(|component| {
            component
                .into_iter()
                .map(NodeIndex::index)
                .collect::<Vec<_>>()
        })
        .filter(|component| match component.as_slice() {
            [one] => found[*one].edges.iter().any(|edge| edge.to == *one),
            _ => true,
        })
        .collect();
    for component in &cycles {
        report_cycle(checker, found, component);
    }
    // The order may go through a model that is written wrong, or a cycle.
    let complete = cycles.is_empty()
        && checker.spec.broken.models.is_empty()
        && checker.spec.broken.tokenizers.is_empty()
        && !found.iter().any(|asset| asset.misplaced);
    let aliases_ordered = complete && alias_order(checker, &graph, &nodes);
    Order {
        positions: topological(found),
        runs: aliases_ordered,
    }
}

/// Whatever is free comes in the order of the file.
fn topological(found: &[Found]) -> Vec<usize> {
    let mut missing: Vec<usize> = vec![0; found.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); found.len()];
    for (position, asset) in found.iter().enumerate() {
        let needs: BTreeSet<usize> = asset.edges.iter().map(|edge| edge.to).collect();
        missing[position] = needs.len();
        for need in needs {
            dependents[need].push(position);
        }
    }
    let free = (0..found.len()).filter(|position| missing[*position] == 0);
    let mut free: BTreeSet<usize> = free.collect();
    let mut order = Vec::with_capacity(found.len());
    while let Some(position) = free.pop_first() {
        order.push(position);
        for dependent in &dependents[position] {
            missing[*dependent] -= 1;
            if missing[*dependent] == 0 {
                free.insert(*dependent);
            }
        }
    }
    order
}

/// Tells one cycle through the first asset of the component, as a chain of names.
fn report_cycle(checker: &mut Checker<'_>, found: &[Found], component: &[usize]) {
    let Some(start) = component.iter().copied().min() else {
        return;
    };
    let chain = shortest_cycle(found, component, start);
    let names: Vec<&str> = chain.iter().map(|at| checker.assets[*at].name).collect();
    let mut steps: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    steps.push(format!("`{}`", names[0]));
    let message = if chain.len() == 1 {
        format!("`{}` depends on itself", names[0])
    } else {
        format!(
            "these assets depend on one another: {}",
            steps.join(" needs ")
        )
    };
    let mut diagnostic = Diagnostic::error("cycle", message);
    for (index, asset) in chain.iter().enumerate() {
        let next = chain[(index + 1) % chain.len()];
        let Some(edge) = found[*asset].edges.iter().find(|edge| edge.to == next) else {
            continue;
        };
        let label = format!(
            "`{}` needs `{}`",
            checker.assets[*asset].name, checker.assets[next].name
        );
        diagnostic = if index == 0 {
            diagnostic.at_location(edge.at.clone()).label(label)
        } else {
            diagnostic.related(edge.at.clone(), label)
        };
    }
    checker.diagnostics.push(
        diagnostic.help("an asset cannot be made from what is made from it: break the circle"),
    );
}

/// A shortest way from `start` along its needs back to itself, within a component.
fn shortest_cycle(found: &[Found], component: &[usize], start: usize) -> Vec<usize> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut frontier = vec![start];
    let component: BTreeSet<usize> = component.iter().copied().collect();
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for node in frontier {
            for edge in &found[node].edges {
                if edge.to == start {
                    let mut chain = vec![node];
                    while let Some(before) = chain.last().and_then(|last| came_from.get(last)) {
                        chain.push(*before);
                    }
                    chain.reverse();
                    return chain;
                }
                if component.contains(&edge.to) && !came_from.contains_key(&edge.to) {
                    came_from.insert(edge.to, node);
                    next.push(edge.to);
                }
            }
        }
        frontier = next;
    }
    vec![start]
}

/// Two assets that register under one alias need an order, or the alias would depend on
/// which one happens to be done last.
fn alias_order(checker: &mut Checker<'_>, graph: &DiGraph<(), ()>, nodes: &[NodeIndex]) -> bool {
    let mut by_alias: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (position, asset) in checker.assets.iter().enumerate() {
        if let Declared::Model(model) = asset.body
            && let Some(register) = &model.register
            && let Some(alias) = &register.alias
        {
            let key = (register.name.to_string(), alias.to_string());
            by_alias.entry(key).or_default().push(position);
        }
    }
    let mut ordered = true;
    for ((model, alias), positions) in by_alias {
        for (index, second) in positions.iter().enumerate() {
            for first in &positions[..index] {
                let (a, b) = (nodes[*first], nodes[*second]);
                let path = has_path_connecting(graph, a, b, None)
                    || has_path_connecting(graph, b, a, None);
                if path {
                    continue;
                }
                ordered = false;
                let (first, second) = (checker.assets[*first], checker.assets[*second]);
                let message = format!(
                    "`{}` and `{}` both register `{model}` as `{alias}`, in no order",
                    first.name, second.name
                );
                let diagnostic = Diagnostic::error("alias_without_order", message)
                    .related(checker.location(first.span), "the other one")
                    .help(format!(
                        "say which comes first: `after: {}` in `{}`",
                        first.name, second.name
                    ));
                checker.error(diagnostic, second.span);
            }
        }
    }
    ordered
}
