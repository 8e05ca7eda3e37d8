//! Lineage as text, Graphviz, Mermaid and JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Lineage, Node};

/// As indented text: what `center` is made from above, what is made from it below; without one
/// everything, each asset with what goes into it.
pub fn text(lineage: &Lineage, center: Option<&str>) -> String {
    let mut out = String::new();
    let Some(center) = center else {
        for node in &lineage.nodes {
            line(&mut out, 0, node);
            for from in before(lineage, &node.name) {
                let _written = writeln!(out, "  <- {}", from.name);
            }
        }
        return out;
    };
    let Some(node) = find(lineage, center) else {
        return out;
    };
    line(&mut out, 0, node);
    for (title, next) in [
        ("made from", before as fn(&Lineage, &str) -> Vec<Node>),
        ("goes into", after),
    ] {
        let first = next(lineage, &node.name);
        if !first.is_empty() {
            let _written = writeln!(out, "{title}");
            let mut seen = BTreeSet::new();
            for node in first {
                branch(&mut out, lineage, &node, 1, next, &mut seen);
            }
        }
    }
    out
}

/// A node with what follows it; what was shown once is not followed again.
fn branch(
    out: &mut String,
    lineage: &Lineage,
    node: &Node,
    depth: usize,
    next: fn(&Lineage, &str) -> Vec<Node>,
    seen: &mut BTreeSet<String>,
) {
    line(out, depth, node);
    let more = next(lineage, &node.name);
    if !seen.insert(node.name.clone()) {
        if !more.is_empty() {
            let _written = writeln!(out, "{}(see above)", "  ".repeat(depth + 1));
        }
        return;
    }
    for node in more {
        branch(out, lineage, &node, depth + 1, next, seen);
    }
}

fn line(out: &mut String, depth: usize, node: &Node) {
    let kind = match node.external {
        true => format!("{}, not made here", node.kind),
        false => node.kind.clone(),
    };
    let _written = writeln!(out, "{}{} ({kind})", "  ".repeat(depth), node.name);
}

fn find<'a>(lineage: &'a Lineage, name: &str) -> Option<&'a Node> {
    let mut nodes = lineage.nodes.iter();
    nodes.find(|node| node.name.eq_ignore_ascii_case(name))
}

fn before(lineage: &Lineage, name: &str) -> Vec<Node> {
    let edges = lineage.edges.iter().filter(|edge| edge.to == name);
    edges
        .filter_map(|edge| find(lineage, &edge.from).cloned())
        .collect()
}

fn after(lineage: &Lineage, name: &str) -> Vec<Node> {
    let edges = lineage.edges.iter().filter(|edge| edge.from == name);
    edges
        .filter_map(|edge| find(lineage, &edge.to).cloned())
        .collect()
}

/// As a graph of Graphviz: `sluice lineage --format dot | dot -Tsvg`.
pub fn dot(lineage: &Lineage) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from("digraph lineage {\n  rankdir=LR;\n  node [shape=box];\n");
    for node in &lineage.nodes {
        let style = if node.external { ", style=dashed" } else { "" };
        let label = quoted(&format!("{}\n{}", node.name, node.kind)).replace('\n', "\\n");
        let _written = writeln!(out, "  {} [label={label}{style}];", quoted(&node.name));
    }
    for edge in &lineage.edges {
        let _written = writeln!(out, "  {} -> {};", quoted(&edge.from), quoted(&edge.to));
    }
    out.push_str("}\n");
    out
}

/// As a flowchart of Mermaid, which Markdown viewers draw.
pub fn mermaid(lineage: &Lineage) -> String {
    let number = |name: &str| {
        let position = lineage.nodes.iter().position(|node| node.name == name);
        format!("n{}", position.unwrap_or_default())
    };
    let mut out = String::from("flowchart LR\n");
    for node in &lineage.nodes {
        let label = node.name.replace('"', "#quot;");
        let (open, close) = match node.external {
            true => ("([", "])"),
            false => ("[", "]"),
        };
        let id = number(&node.name);
        let _written = writeln!(out, "  {id}{open}\"{label}<br/>{}\"{close}", node.kind);
    }
    for edge in &lineage.edges {
        let _written = writeln!(out, "  {} --> {}", number(&edge.from), number(&edge.to));
    }
    out
}

/// As one JSON object: `nodes`, `edges`, `columns`.
pub fn json(lineage: &Lineage) -> String {
    let mut text =
        serde_json::to_string_pretty(lineage).expect("lineage holds only strings and booleans");
    text.push('\n');
    text
}
