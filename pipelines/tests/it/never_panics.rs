//! Whatever the text, loading answers, and its places lie inside the file.

use std::sync::Arc;

use proptest::prelude::*;
use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::project::Project;
use sluice_pipelines::source::{SourceFile, Span};
use sluice_pipelines::spec::{self, Environment, Overrides};
use sluice_pipelines::yaml::{self, Node, NodeKind};

use crate::language::wine;

fn load(text: &str) -> Result<(), Diagnostics> {
    let project = Project::from_file("tests/it/good/pipeline.yaml");
    let overrides = Overrides {
        environment: Environment::Fixed(Default::default()),
        ..Overrides::default()
    };
    let source = SourceFile::new("pipeline.yaml", text);
    spec::load_source(&project, source, &overrides).map(drop)
}

fn inside(text: &str, span: Span) -> bool {
    text.get(span.range()).is_some()
}

/// Loads, renders, and checks that every place is one.
fn answers(text: &str) {
    let Err(diagnostics) = load(text) else {
        return;
    };
    assert!(diagnostics.has_errors());
    assert!(!diagnostics.plain().is_empty());
    assert!(!diagnostics.graphical(80, true).is_empty());
    for diagnostic in &diagnostics {
        for location in diagnostic
            .location
            .iter()
            .chain(diagnostic.related.iter().map(|r| &r.location))
        {
            assert!(
                inside(location.source.text(), location.span),
                "{diagnostic:?}"
            );
        }
    }
}

/// Checks spans and maps of every node.
fn visit(text: &str, node: &Node) {
    assert!(inside(text, node.span), "{node:?}");
    match &node.kind {
        NodeKind::Empty | NodeKind::Refused => {}
        NodeKind::Sequence(items) => items.iter().for_each(|item| visit(text, item)),
        NodeKind::Mapping(mapping) => {
            for entry in &mapping.entries {
                assert!(inside(text, entry.key.span));
                visit(text, &entry.value);
            }
        }
        NodeKind::Scalar(scalar) => {
            assert_eq!(scalar.map.text_len(), scalar.text.len());
            let mut last = 0;
            for (at, c) in scalar.text.char_indices() {
                let span = scalar.map.to_source(at..at + c.len_utf8());
                assert!(inside(text, span), "{node:?}");
                assert!(span.start >= last, "{node:?}");
                last = span.start;
                // A byte that is a letter in the text is that letter in the file, unless an
                // escape stands for it.
                let written = &text[span.range()];
                if c.is_alphanumeric() && !written.starts_with('\\') {
                    assert_eq!(written, c.to_string(), "{node:?}");
                }
            }
        }
    }
}

fn parse(text: &str) -> Option<Node> {
    let source = Arc::new(SourceFile::new("a.yaml", text));
    yaml::parse(&source, &mut Diagnostics::new())
}

/// Pieces of YAML and SQL that are likely to hurt when put together.
fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "\n",
        "\r\n",
        "  ",
        "\t",
        ": ",
        ":",
        "- ",
        "? ",
        "|",
        ">",
        "|2-",
        ">+",
        "#",
        " #",
        "'",
        "\"",
        "\\",
        "\\\n",
        "\\u12",
        "\\ud83d\\ude00",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a",
        "*a",
        "!t",
        "!!str",
        "<<",
        "---",
        "...",
        "%",
        "@",
        "`",
        "~",
        "${",
        "}",
        "$$",
        "${x}",
        "${env:X}",
        "${ident:good_from}",
        "${good_from}",
        "pipeline",
        "tables",
        "vars",
        "models",
        "sql",
        "null",
        "true",
        "7",
        "-1.5e3",
        "SELECT",
        "é",
        "日本",
        "🍷",
        "\u{feff}",
        "\u{0}",
        "\u{85}",
        "\u{2028}",
    ];
    proptest::sample::select(fixed.map(str::to_owned).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text(text in "\\PC{0,120}|[ -~\\n]{0,200}") {
        answers(&text);
        if let Some(node) = parse(&text) {
            visit(&text, &node);
        }
    }

    #[test]
    fn pieces_of_yaml(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        answers(&text);
        if let Some(node) = parse(&text) {
            visit(&text, &node);
        }
    }

    #[test]
    fn a_good_file_with_changes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, piece()), 1..4)
    ) {
        let mut text = wine();
        for (index, removed, inserted) in changes {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let from = index.index(places.len());
            let to = (from + removed).min(places.len() - 1);
            text.replace_range(places[from]..places[to], &inserted);
        }
        answers(&text);
        if let Some(node) = parse(&text) {
            visit(&text, &node);
        }
    }

    /// Lines in a block keep their bytes, whatever the indentation.
    #[test]
    fn blocks_map_byte_by_byte(
        lines in prop::collection::vec("[a-zé ,'\"#:{}\\[\\]*&-]{0,20}", 1..8),
        indent in 1_usize..6,
        literal in any::<bool>(),
        windows in any::<bool>(),
    ) {
        let first = format!("x{}", lines[0]);
        let mut text = format!("sql: {}\n", if literal { "|" } else { ">" });
        for line in std::iter::once(&first).chain(&lines[1..]) {
            text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
        }
        text.push_str("end: 1\n");
        if windows {
            text = text.replace('\n', "\r\n");
        }
        let node = parse(&text).unwrap();
        let NodeKind::Mapping(mapping) = &node.kind else { panic!("{node:?}") };
        let NodeKind::Scalar(scalar) = &mapping.get("sql").unwrap().kind else { panic!("{node:?}") };
        for (at, c) in scalar.text.char_indices() {
            let span = scalar.map.to_source(at..at + c.len_utf8());
            let written = &text[span.range()];
            if c != '\n' && c != ' ' {
                prop_assert_eq!(written, c.to_string());
            }
        }
    }

    /// Text around variables keeps its bytes, and what variables give points at them.
    #[test]
    fn substitution_maps_back(parts in prop::collection::vec(("[a-z =(),.]{1,12}", 0_usize..4), 1..10)) {
        let mut raw = String::from("x");
        for (text, kind) in &parts {
            raw.push_str(text);
            raw.push_str(["${n}", "${w}", "${ident:w}", "$$"][*kind]);
        }
        let yaml = format!("pipeline: p\nvars: {{n: -12, w: \"ÄÖ'Ü\"}}\ntables:\n  a.b:\n    sql: |\n      {raw}\n");
        let spec = crate::language::load(&yaml);
        let sql = spec.tables.get("a.b").unwrap().sql().unwrap();
        for (at, c) in sql.text.char_indices() {
            let location = sql.to_source(at..at + c.len_utf8());
            let written = location.source.slice(location.span);
            let own = c.is_ascii_lowercase() || matches!(c, ' ' | '=' | ',' | '.');
            if own {
                prop_assert_eq!(written, c.to_string());
            } else if c != '\n' && c != '(' && c != ')' {
                prop_assert!(written.starts_with('$'), "{c} from {written}");
            }
        }
    }
}
