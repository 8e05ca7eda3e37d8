//! Results of tests as JUnit XML, as Jenkins, GitLab and GitHub's reporters read it: one suite
//! a table, one case a test.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sluice_pipelines::testing::{TestResult, Verdict};

use super::show;
use crate::render::screen::Screen;

/// The document.
pub(super) fn junit(pipeline: &str, results: &[TestResult], seconds: f64) -> String {
    let mut suites: BTreeMap<&str, Vec<&TestResult>> = BTreeMap::new();
    for result in results {
        let table = result.case.asset.name.as_str();
        suites.entry(table).or_default().push(result);
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&TestResult> = results.iter().collect();
    let _infallible = writeln!(
        text,
        "<testsuites name=\"{}\" {}>",
        escaped(pipeline),
        counts(&all, seconds)
    );
    for (table, results) in suites {
        let seconds = results.iter().map(|result| result.seconds).sum();
        let _infallible = writeln!(
            text,
            "  <testsuite name=\"{}\" {}>",
            escaped(table),
            counts(&results, seconds)
        );
        for result in results {
            case(&mut text, table, result);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn counts(results: &[&TestResult], seconds: f64) -> String {
    let failures = results.iter().filter(|result| !result.passed()).count();
    format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"{seconds:.3}\"",
        results.len()
    )
}

fn case(text: &mut String, table: &str, result: &TestResult) {
    let _infallible = write!(
        text,
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.3}\"",
        escaped(&result.case.name),
        escaped(table),
        escaped(&result.case.file),
        result.case.line,
        result.seconds
    );
    let (kind, message, details) = match &result.verdict {
        Verdict::Passed => {
            text.push_str("/>\n");
            return;
        }
        Verdict::Failed(words) => ("failed", words.clone(), words.clone()),
        Verdict::Different(difference) => (
            "different_rows",
            show::words(difference),
            show::rows(difference, Screen::plain()).join("\n"),
        ),
    };
    let _infallible = writeln!(
        text,
        ">\n      <failure type=\"{kind}\" message=\"{}\">\n{}\n      </failure>\n    </testcase>",
        escaped(&message),
        escaped(&details)
    );
}

/// A text as XML can hold it, in an attribute or between tags. XML 1.0 has no control
/// characters but these three.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_escaped() {
        assert_eq!(
            escaped("a<b> & \"c\"\u{1}\n"),
            "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}\n"
        );
    }
}
