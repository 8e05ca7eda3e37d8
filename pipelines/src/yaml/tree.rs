//! From the parser's events to the tree.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as ParserSpan, StructureStyle};

use super::cut::{self, Cut};
use super::node::{Entry, Key, Mapping, Node, NodeKind, Scalar};
use super::{scalar_map, syntax};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Location, SourceFile, Span};

/// What YAML itself takes for a key without `?`.
const LONGEST_KEY_BYTES: usize = 1024;

/// Parses the one document of a file.
///
/// What YAML allows but a pipeline does not is reported into `diagnostics` and becomes
/// [`NodeKind::Refused`], so that the rest can still be decoded. Gives `None` when the text
/// is no YAML at all: then the one syntax error has been reported; and when there is so much
/// to report that the rest is not looked at.
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
                if builder.diagnostics.is_full() {
                    return None;
                }
            }
            Err(error) => {
                builder.syntax_error(&error);
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
    flow: bool,
    /// A comma cut a value off: what follows without a value belongs to it.
    cut: bool,
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
    /// The last scalar, which a syntax error may be about.
    last_scalar: Option<Span>,
    /// The last alias, which a syntax error may follow from.
    last_alias: Option<Span>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<SourceFile>, diagnostics: &'a mut Diagnostics) -> Self {
        Self {
            source,
            diagnostics,
            open: Vec::new(),
            root: None,
            last_scalar: None,
            last_alias: None,
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
                self.last_scalar = Some(span);
                let kind = self.scalar(span, &text, style);
                let span = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded if text.trim().is_empty() => {
                        block_header(self.source.text(), span)
                    }
                    _ => span,
                };
                self.add(Node { span, kind });
            }
            Event::SequenceStart(style, ..) => {
                self.open(span, style, OpenKind::Sequence(Vec::new()));
            }
            Event::MappingStart(style, ..) => {
                let mapping = Mapping {
                    entries: Vec::new(),
                    flow: style == StructureStyle::Flow,
                };
                let kind = OpenKind::Mapping {
                    mapping,
                    seen: HashMap::new(),
                    key: None,
                };
                self.open(span, style, kind);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(..) | Event::UnresolvedAlias(..) => self.refuse_alias(span),
            _ => {}
        }
        true
    }

    fn scalar(&mut self, span: Span, text: &str, style: ScalarStyle) -> NodeKind {
        if style == ScalarStyle::Plain {
            if span.len == 0 {
                return NodeKind::Empty;
            }
            let in_flow = self.open.last().is_some_and(|open| open.flow);
            if let Some(cut) = cut::cut_off(self.source.text(), span, in_flow) {
                self.refuse_cut(cut, span);
                return NodeKind::Refused;
            }
        }
        NodeKind::Scalar(Scalar {
            map: scalar_map::map_scalar(self.source.text(), span, text, style),
            text: text.to_owned(),
            style,
        })
    }

    fn open(&mut self, start: Span, style: StructureStyle, kind: OpenKind) {
        self.open.push(Open {
            start,
            kind,
            flow: style == StructureStyle::Flow,
            cut: false,
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
                Some(PendingKey { key: Some(_) }) if open.cut && node.kind == NodeKind::Empty => {}
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

    /// Reports the error that ends parsing, unless it only follows from an alias before it.
    fn syntax_error(&mut self, error: &ScanError) {
        let near = syntax::Near {
            last_scalar: self.last_scalar,
            open_bracket: self
                .open
                .iter()
                .find(|open| open.flow)
                .map(|open| open.start),
        };
        let diagnostic = syntax::explain(self.source, error, near);
        let line = |span: Span| self.source.position(span.start).line;
        let follows = diagnostic
            .location
            .as_ref()
            .zip(self.last_alias)
            .is_some_and(|(at, alias)| line(at.span) == line(alias));
        if !follows {
            self.diagnostics.push(diagnostic);
        }
    }

    fn refuse_cut(&mut self, cut: Cut, span: Span) {
        let diagnostic = match cut {
            Cut::Comma => {
                if let Some(open) = self.open.last_mut() {
                    open.cut = true;
                }
                Diagnostic::error(
                    "yaml_comma",
                    "a comma inside `{...}` or `[...]` ends the value",
                )
            }
            Cut::Comment => {
                Diagnostic::error("yaml_comment", "` #` begins a comment and ends the value")
            }
        };
        self.report(
            diagnostic
                .label("the value ends here, with something left open")
                .help("quote the whole value, or put it below a `|` on a line of its own"),
            span,
        );
    }

    fn refuse_alias(&mut self, span: Span) {
        self.last_alias = Some(span);
        let key_refused = self.open.last().is_some_and(|open| {
            matches!(&open.kind, OpenKind::Mapping { key: Some(key), .. } if key.key.is_none())
        });
        if key_refused {
            return self.add(Node {
                span,
                kind: NodeKind::Refused,
            });
        }
        let text = self.source.slice(span).to_owned();
        let rest = self.source.text()[span.end()..].lines().next();
        let whole = rest.is_none_or(|rest| rest.trim().is_empty());
        let quoted = if whole {
            format!("quote it: \"{text}\"")
        } else {
            "quote the whole value, or put it below a `|` on a line of its own".to_owned()
        };
        self.report(
            Diagnostic::error(
                "yaml_alias",
                format!("`{text}` is an alias in YAML, not a text"),
            )
            .label("a value that begins with `*`")
            .help(format!(
                "{quoted} (pipelines have no aliases; a value used twice goes under `vars:`)"
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

/// The `|` or `>` of a block without content, for which the parser gives what follows it.
fn block_header(file: &str, span: Span) -> Span {
    if file[span.start..].starts_with(['|', '>']) {
        return Span::new(span.start, span.start + 1);
    }
    let above = file[..span.start].trim_end();
    let line_start = above.rfind('\n').map_or(0, |at| at + 1);
    let line = &above[line_start..];
    let line = line.split(" #").next().unwrap_or(line);
    match line.rfind(['|', '>']) {
        Some(at) => Span::new(line_start + at, line_start + at + 1),
        None => span,
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
                    format!("a key is a name, not {}", node.describe()),
                )
                .at(source, node.span)
                .help("quote it if brackets or braces belong to the name"),
            ));
        }
    };
    let span = node.span;
    if scalar.text.len() > LONGEST_KEY_BYTES {
        let line = source.slice(span).lines().next().map_or(0, str::len);
        return Err(refused(
            Diagnostic::error(
                "yaml_key",
                format!("a key has {LONGEST_KEY_BYTES} bytes at most"),
            )
            .at(source, Span::new(span.start, span.start + line)),
        ));
    }
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
