//! Results of tests for programs: one object a line.

use serde_json::{Value, json};
use sluice_pipelines::testing::{TestResult, Verdict};

use super::show;

/// One line for each test.
pub(super) fn lines(results: &[TestResult]) -> String {
    results
        .iter()
        .map(|result| format!("{}\n", line(result)))
        .collect()
}

fn line(result: &TestResult) -> Value {
    let case = &result.case;
    let mut object = json!({
        "test": case.name,
        "table": case.asset.name,
        "status": if result.passed() { "passed" } else { "failed" },
        "seconds": result.seconds,
        "file": case.file,
        "line": case.line,
    });
    match &result.verdict {
        Verdict::Passed => {}
        Verdict::Failed(words) => object["message"] = words.as_str().into(),
        Verdict::Different(difference) => {
            object["message"] = show::words(difference).into();
            object["difference"] = serde_json::to_value(difference).unwrap_or_default();
        }
    }
    object
}
