//! Pipelines that want to hurt: each answers at once, whatever it holds.
//!
//! They are large enough that work which grows with the square of the file would not end, and
//! what grows with a power of it would not fit. `fuzz/` looks for more of them.

use std::sync::Arc;

use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::project::Project;
use sluice_pipelines::select::Selector;
use sluice_pipelines::source::SourceFile;
use sluice_pipelines::spec::{self, Environment, Overrides};
use sluice_pipelines::yaml;

/// Repetitions that a square makes a thousand million of.
const MANY: usize = 30_000;

fn load(text: &str) -> Result<usize, Diagnostics> {
    let project = Project::from_file("tests/it/good/pipeline.yaml");
    let overrides = Overrides {
        environment: Environment::Fixed(Default::default()),
        ..Overrides::default()
    };
    let source = SourceFile::new("pipeline.yaml", text);
    spec::load_source(&project, source, &overrides).map(|(spec, _)| spec.vars.len())
}

/// The codes of what is told, each once.
fn told(text: &str) -> String {
    codes_and_text(text).0
}

/// The codes of what is told, each once, and how it is told: shortly.
fn codes_and_text(text: &str) -> (String, String) {
    let Err(diagnostics) = load(text) else {
        return ("loads".to_owned(), String::new());
    };
    let (plain, drawn) = (diagnostics.plain(), diagnostics.graphical(80, true));
    assert!(plain.len() < 400_000, "{} bytes", plain.len());
    assert!(drawn.len() < 400_000, "{} bytes", drawn.len());
    let mut codes: Vec<&str> = diagnostics.iter().map(|told| told.code).collect();
    codes.sort_unstable();
    codes.dedup();
    (codes.join(" "), plain)
}

/// Each line of `line`, numbered.
fn lines(line: impl Fn(usize) -> String) -> String {
    (0..MANY).map(line).collect()
}

fn with_sql(sql: &str) -> String {
    format!("pipeline: p\ntables:\n  a.b:\n    sql: \"{sql}\"\n")
}

#[test]
fn what_nests_or_repeats_itself_is_refused() {
    let laughs: String = (1..40)
        .map(|n| format!("  v{n}: \"{}\"\n", format!("${{v{}}}", n - 1).repeat(10)))
        .collect();
    let variables = format!("pipeline: p\nvars:\n  v0: hahahahaha\n{laughs}");
    assert_eq!(told(&variables), "too_large");

    let aliases: String = ('b'..='i')
        .zip('a'..)
        .map(|(this, last)| {
            format!(
                "{this}: &{this} [{}*{last}]\n",
                format!("*{last}, ").repeat(8)
            )
        })
        .collect();
    let aliases = format!("pipeline: p\na: &a [lol, lol]\n{aliases}");
    assert_eq!(told(&aliases), "unknown_key yaml_alias yaml_anchor");
    let cycle = "pipeline: p\nvars: &a\n  x: *a\n";
    assert_eq!(told(cycle), "yaml_alias yaml_anchor");

    for nested in ["[", "{a: ", "- ", "? ", "[{", "- ? - "] {
        let deep = format!("pipeline: p\nvars:\n  x:\n    {}", nested.repeat(MANY));
        assert_eq!(told(&deep), "yaml", "{nested}");
    }
    let deep: String = (0..500)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    assert_eq!(told(&deep), "yaml");
}

#[test]
fn a_hundred_errors_are_told_of_as_many_as_there_are() {
    let head = "pipeline: p\n";
    let cases = [
        (lines(|n| format!("k{n}: 1\n")), "unknown_key"),
        (lines(|_| "pipeline: p\n".to_owned()), "duplicate_key"),
        (
            format!("vars:\n{}", lines(|n| format!("  a{n}: *x\n"))),
            "yaml_alias",
        ),
        (
            format!("vars:\n{}", lines(|n| format!("  a{n}: &x 1\n"))),
            "yaml_anchor",
        ),
        (
            format!("vars:\n{}", lines(|n| format!("  a{n}: !x 1\n"))),
            "yaml_tag",
        ),
        (
            format!("vars:\n{}", lines(|n| format!("  a{n}: ${{b{n}}}\n"))),
            "unknown_variable",
        ),
        (
            format!("vars:\n{}", lines(|n| format!("  {n}: 1\n"))),
            "bad_name",
        ),
        (
            format!("vars: {{{}}}\n", lines(|n| format!("a{n}: f('x, "))),
            "yaml_comma",
        ),
        (
            format!("tables:\n{}", lines(|n| format!("  a.t{n}: {{sql: []}}\n"))),
            "wrong_type",
        ),
        (
            with_sql(&"${".repeat(MANY))[head.len()..].to_owned(),
            "unknown_variable",
        ),
        (
            with_sql(&"${x}".repeat(MANY))[head.len()..].to_owned(),
            "unknown_variable",
        ),
    ];
    for (text, codes) in cases {
        let text = format!("{head}{text}");
        let (told, shown) = codes_and_text(&text);
        assert_eq!(told, codes);
        let last = shown.lines().last().unwrap_or_default().to_owned();
        assert!(
            last.ends_with("more at least: put these right first"),
            "{last}"
        );
        assert_eq!(shown.matches("error[").count(), 100);
    }
}

#[test]
fn what_is_long_is_walked_once() {
    let blank = " ".repeat(MANY * 10);
    let csv = |header: &str| {
        format!(
            "pipeline: p\ntables: {{a.b: {{sql: SELECT 1}}}}\ntests:\n  t:\n    table: a.b\n    expect:\n      csv: |\n        {header}\n"
        )
    };
    let cases = [
        (format!("pipeline: \"p{blank}x\"\n"), "bad_name"),
        (format!("pipeline: p{blank}x\n"), "bad_name"),
        (with_sql(&format!("SELECT 1{blank}AS x")), "loads"),
        (with_sql(&"$$".repeat(MANY)), "loads"),
        (
            with_sql(&"${v}".repeat(MANY)).replace("tables", "vars: {v: 1}\ntables"),
            "loads",
        ),
        (
            format!("pipeline: p\nvars:\n  x: {}\n", "9".repeat(MANY)),
            "ambiguous_value",
        ),
        (
            format!("pipeline: p\nvars:\n  x: 1e{}\n", "9".repeat(MANY)),
            "ambiguous_value",
        ),
        (
            format!("pipeline: p\n? {}\n: 1\n", "k".repeat(MANY)),
            "yaml_key",
        ),
        (
            format!("pipeline: p\nvars:\n{}", lines(|n| format!("  v{n}: 1\n"))),
            "loads",
        ),
        (
            csv(&(0..MANY).map(|n| format!("c{n},")).collect::<String>()),
            "bad_csv",
        ),
        ("pipeline: p\r".repeat(MANY), "duplicate_key"),
        ("---\n".repeat(MANY), "missing_value yaml"),
        (format!("pipeline: p\nx: \"{}", "a\n ".repeat(MANY)), "yaml"),
        (format!("pipeline: p\n{}", "#\n".repeat(MANY)), "loads"),
        (format!("pipeline:\n{}a\n", "\t".repeat(MANY)), "yaml"),
        ("pipeline: p\0\0".repeat(MANY), "yaml"),
    ];
    for (text, codes) in cases {
        assert_eq!(told(&text), codes, "{}", &text[..text.len().min(60)]);
    }
}

#[test]
fn times_and_counts_end_somewhere() {
    for (what, codes) in [
        ("schedule: {every: 99999999999999999999d}", "bad_duration"),
        ("schedule: {every: 999999999999999999d}", "bad_duration"),
        (
            "defaults: {retries: 99999999999999999999}",
            "ambiguous_value",
        ),
        ("defaults: {retries: -1}", "wrong_type"),
        ("vars: {x: .inf}", "ambiguous_value"),
        ("vars: {x: 007}", "ambiguous_value"),
    ] {
        assert_eq!(told(&format!("pipeline: p\n{what}\n")), codes, "{what}");
    }
}

#[test]
fn selectors_that_cannot_be_are_told_in_short() {
    let deep = format!("{}x{}", "{a,".repeat(5000), "}".repeat(5000));
    let wide = "{a,b}".repeat(MANY);
    let names = "a,".repeat(MANY);
    let steps = format!("{}+a", "9".repeat(MANY));
    for text in [&deep, &names, &steps] {
        assert!(Selector::parse(text).is_err(), "{}", &text[..20]);
    }
    let _either = Selector::parse(&wide);
    assert!(Selector::parse(&"a ".repeat(MANY)).is_ok());
}

#[test]
fn a_file_of_many_megabytes_is_no_definition() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.yaml");
    let text = std::fs::File::create(&file).unwrap();
    text.set_len(65 << 20).unwrap();
    let told = Project::from_file(&file).read().unwrap_err().plain();
    assert!(told.contains("it has more than 64 MiB"), "{told}");
}

/// Spans stay exact where white space is walked in one go.
#[test]
fn white_space_keeps_its_bytes() {
    let text = "a: \"x  y \t z\n   w  \\\n  v\"\nb: p  q\n";
    let source = Arc::new(SourceFile::new("a.yaml", text));
    let node = yaml::parse(&source, &mut Diagnostics::new()).unwrap();
    let yaml::NodeKind::Mapping(mapping) = &node.kind else {
        panic!("{node:?}");
    };
    for key in ["a", "b"] {
        let yaml::NodeKind::Scalar(scalar) = &mapping.get(key).unwrap().kind else {
            panic!("{node:?}");
        };
        for (at, c) in scalar
            .text
            .char_indices()
            .filter(|(_, c)| c.is_alphabetic())
        {
            let span = scalar.map.to_source(at..at + 1);
            assert_eq!(source.slice(span), c.to_string());
        }
    }
}
