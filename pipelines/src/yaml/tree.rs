//! From the parser's events to the tree.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, Span as ParserSpan, StructureStyle};

use super::node::{Entry, Key, Mapping, Node, NodeKind, Scalar};
use super::{scalar_map, syntax};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Location, SourceFile, Span};

/// Parses the one document of a file.
///
/// What YAML allows but a pipeline does not is reported into `diagnostics` and becomes
/// [`NodeKind::Refused`], so that the rest can still be decoded. Gives `None` when the text
/// is no YAML at all: then the one syntax error has been reported.
pub fn parse(source: &Arc<SourceFile>, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut builder = Builder::new(source, diagnostics);
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        disallow_directives: true,
        emit_comments: false,
        block_nesting_limit: 64,
        flow_nesting_limit: 64,
    };
    for next in Parser::new_from_str_with_options(source.text(), options) {
        match next {
            Ok((event, span)) => {
                if !builder.event(event, span) {
                    break;
                }
            }
            Err(error) => {
                let diagnostic = syntax::explain(source, &error, builder.unfinished_scalar);
                builder.diagnostics.push(diagnostic);
                return None;
            }
        }
    }
    Some(builder.finish())
}

/// A collection whose end has not come yet.
struct Open {
    start: Span,
    kind: OpenKind,
    refused: bool,
}

enum OpenKind {
    Sequence(Vec<Node>),
    Mapping {
        mapping: Mapping,
        seen: HashMap<String, Span>,
        key: Option<PendingKey>,
    },
}

struct PendingKey {
    /// `None` when the key was refused, and its value goes with it.
    key: Option<Key>,
}

struct Builder<'a> {
    source: &'a Arc<SourceFile>,
    diagnostics: &'a mut Diagnostics,
    open: Vec<Open>,
    root: Option<Node>,
    /// The last plain scalar, which a syntax error may be about.
    unfinished_scalar: Option<Span>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<SourceFile>, diagnostics: &'a mut Diagnostics) -> Self {
        Self {
            source,
            diagnostics,
            open: Vec::new(),
            root: None,
            unfinished_scalar: None,
        }
    }

    /// Takes one event; false when the rest is of no interest.
    fn event(&mut self, event: Event<'_>, at: ParserSpan) -> bool {
        let span = self.span(at);
        if let Some(tag) = event.tag() {
            let tag_span = at.tag_span().map_or(span, |tag| self.span(tag));
            self.refuse_tag(&tag.original(), tag_span);
        }
        if event.anchor_id().is_some_and(|id| id > 0) && event.alias_id().is_none() {
            self.refuse_anchor(span);
        }
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.report(
                    Diagnostic::error("yaml", "a pipeline is one YAML document")
                        .label("a second one begins here")
                        .help(
                            "take out the `---`, or put the second document into a file of its own",
                        ),
                    span,
                );
                return false;
            }
            Event::Scalar(text, style, ..) => {
                self.unfinished_scalar = Some(span);
                if span.len == 0 && style == granit_parser::ScalarStyle::Plain {
                    self.add(Node {
                        span,
                        kind: NodeKind::Empty,
                    });
                } else {
                    let map = scalar_map::map_scalar(self.source.text(), span, &text, style);
                    let scalar = Scalar {
                        text: text.into_owned(),
                        style,
                        map,
                    };
                    self.add(Node {
                        span,
                        kind: NodeKind::Scalar(scalar),
                    });
                }
            }
            Event::SequenceStart(..) => self.open(span, OpenKind::Sequence(Vec::new())),
            Event::MappingStart(style, ..) => {
                let mapping = Mapping {
                    entries: Vec::new(),
                    flow: style == StructureStyle::Flow,
                };
                self.open(
                    span,
                    OpenKind::Mapping {
                        mapping,
                        seen: HashMap::new(),
                        key: None,
                    },
                );
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(..) | Event::UnresolvedAlias(..) => self.refuse_alias(span),
            _ => {}
        }
        true
    }

    fn open(&mut self, start: Span, kind: OpenKind) {
        self.open.push(Open {
            start,
            kind,
            refused: false,
        });
    }

    fn close(&mut self, end: Span) {
        let Some(open) = self.open.pop() else {
            return;
        };
        // The end of a block collection lies behind the white space that follows it.
        let written = &self.source.text()[open.start.start..end.end().max(open.start.start)];
        let span = Span::new(
            open.start.start,
            open.start.start + written.trim_end().len(),
        );
        let kind = match open.kind {
            _ if open.refused => NodeKind::Refused,
            OpenKind::Sequence(items) => NodeKind::Sequence(items),
            OpenKind::Mapping { mapping, .. } => NodeKind::Mapping(mapping),
        };
        self.add(Node { span, kind });
    }

    fn add(&mut self, node: Node) {
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        match &mut open.kind {
            OpenKind::Sequence(items) => items.push(node),
            OpenKind::Mapping { mapping, seen, key } => match key.take() {
                Some(PendingKey { key: Some(key) }) => {
                    mapping.entries.push(Entry { key, value: node });
                }
                Some(PendingKey { key: None }) => {}
                None => {
                    let checked = check_key(self.source, node, seen);
                    *key = Some(PendingKey {
                        key: checked
                            .map_err(|found| self.diagnostics.extend(found.map(|found| *found)))
                            .ok(),
                    });
                }
            },
        }
    }

    fn finish(self) -> Node {
        self.root.unwrap_or(Node {
            span: Span::point(0),
            kind: NodeKind::Empty,
        })
    }

    fn refuse_alias(&mut self, span: Span) {
        let text = self.source.slice(span).to_owned();
        self.report(
            Diagnostic::error(
                "yaml_alias",
                format!("`{text}` is an alias in YAML, not a text"),
            )
            .label("a value that begins with `*`")
            .help(format!(
                "quote it: \"{text}\" (pipelines have no aliases and anchors; use `vars:`)"
            )),
            span,
        );
        self.add(Node {
            span,
            kind: NodeKind::Refused,
        });
    }

    fn refuse_anchor(&mut self, value: Span) {
        let before = &self.source.text()[..value.start];
        let at = before.rfind('&').unwrap_or(value.start);
        let len = before[at..]
            .find(char::is_whitespace)
            .unwrap_or(before.len() - at);
        self.report(
            Diagnostic::error("yaml_anchor", "pipelines have no anchors")
                .label("a value that begins with `&`")
                .help("quote the value if `&` belongs to it; to use a value twice, put it under `vars:`"),
            Span::new(at, at + len),
        );
    }

    fn refuse_tag(&mut self, tag: &str, span: Span) {
        self.report(
            Diagnostic::error(
                "yaml_tag",
                format!("pipelines have no tags such as `{tag}`"),
            )
            .label("a value that begins with `!`")
            .help("quote the value if `!` belongs to it, else take the tag out"),
            span,
        );
    }

    fn report(&mut self, diagnostic: Diagnostic, span: Span) {
        self.diagnostics.push(diagnostic.at(self.source, span));
    }

    fn span(&self, at: ParserSpan) -> Span {
        at.byte_range()
            .map_or_else(|| Span::point(self.source.text().len()), Span::from)
    }
}

fn refused(diagnostic: Diagnostic) -> Option<Box<Diagnostic>> {
    Some(Box::new(diagnostic))
}

/// A usable key, or what is wrong with it.
fn check_key(
    source: &Arc<SourceFile>,
    node: Node,
    seen: &mut HashMap<String, Span>,
) -> Result<Key, Option<Box<Diagnostic>>> {
    let scalar = match node.kind {
        NodeKind::Scalar(scalar) => scalar,
        NodeKind::Refused => return Err(None),
        NodeKind::Empty => {
            return Err(refused(
                Diagnostic::error("yaml_key", "a key is missing before `:`").at(source, node.span),
            ));
        }
        NodeKind::Sequence(_) | NodeKind::Mapping(_) => {
            return Err(refused(
                Diagnostic::error(
                    "yaml_key",
                    format!("a key is a name, not {}", describe(&node)),
                )
                .at(source, node.span)
                .help("quote it if brackets or braces belong to the name"),
            ));
        }
    };
    let span = node.span;
    let text = scalar.text.clone();
    let special = matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "~" | "true" | "false"
    );
    if scalar.is_plain() && special {
        return Err(refused(
            Diagnostic::error(
                "yaml_key",
                format!("`{text}` as a key is not a name in YAML"),
            )
            .at(source, span)
            .help(format!("quote this: \"{text}\"")),
        ));
    }
    if scalar.is_plain() && text == "<<" {
        return Err(refused(
            Diagnostic::error("yaml_merge", "pipelines have no merge keys")
                .at(source, span)
                .help("write the keys out; to use a value twice, put it under `vars:`"),
        ));
    }
    if let Some(first) = seen.get(&text) {
        let first = Location {
            source: Arc::clone(source),
            span: *first,
        };
        return Err(refused(
            Diagnostic::error("duplicate_key", format!("`{text}` is written twice"))
                .at(source, span)
                .label("again here")
                .related(first, "first here"),
        ));
    }
    seen.insert(text.clone(), span);
    Ok(Key { text, span })
}

fn describe(node: &Node) -> &'static str {
    node.describe()
}
