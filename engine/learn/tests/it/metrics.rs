//! Our metrics against scikit-learn's.

use serde_json::{Value, json};
use sluice_learn::Task;
use sluice_learn::metric::{METRICS, evaluate};

use crate::tables::fixture;

#[test]
fn every_metric_is_scikit_learns() {
    let fixture = fixture("metrics.json");
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() >= 22);
    for case in cases {
        let numbers = |key: &str| -> Vec<f64> {
            let values = case[key].as_array().unwrap().iter();
            values.map(|value| value.as_f64().unwrap()).collect()
        };
        let labels: Vec<f32> = numbers("labels").iter().map(|&v| v as f32).collect();
        let task = Task::parse(case["task"].as_str().unwrap()).unwrap();
        let evaluation = evaluate(task, &labels, &numbers("scores"));
        let name = case["name"].as_str().unwrap();
        assert_eq!(
            evaluation.metrics.len(),
            case["metrics"].as_object().unwrap().len()
        );
        for metric in METRICS.iter().filter(|metric| metric.judges(task)) {
            let ours = evaluation.get(metric.name).unwrap();
            match &case["metrics"][metric.name] {
                Value::Null => assert!(ours.is_nan(), "{name}: {} is {ours}", metric.name),
                theirs => {
                    let theirs = theirs.as_f64().unwrap();
                    let close = (ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0);
                    assert!(close, "{name}: {} is {ours}, not {theirs}", metric.name);
                }
            }
        }
        assert_eq!(json!(evaluation.confusion), case["confusion"], "{name}");
    }
}
