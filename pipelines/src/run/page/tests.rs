//! Pages of whatever a run may have come to.

use serde_json::{Map, Value, json};
use sluice_learn::dataset::Straddling;
use sluice_learn::explain::ShapImportance;
use sluice_learn::metric::{Goal, evaluate};
use sluice_learn::search::SearchSpace;
use sluice_learn::sweep::{ParameterImportance, Trial};

use super::*;
use crate::run::evidence::Evidence;

/// A training without anything to look at.
fn report(task: Task, classes: usize) -> Report {
    Report {
        about: About {
            asset: "a_model".to_owned(),
            comment: None,
            pipeline: "p".to_owned(),
            run_id: RunId::generate(),
            ended: minute("2026-03-01T12:00:00.000Z"),
            estimator: "random_forest".to_owned(),
            params: vec![("seed".to_owned(), "1".to_owned())],
            task,
            label: "kind".to_owned(),
            classes: (0..classes).map(|class| format!("class {class}")).collect(),
            features: 1,
            text: None,
            weight: Some("stock".to_owned()),
            table: ("gold.fruit".to_owned(), 3),
            seed: 1,
            straddling: Straddling {
                validation: 0,
                test: 1234,
            },
        },
        parts: Vec::new(),
        evidence: Evidence {
            shap: Vec::new(),
            classes: Vec::new(),
            residuals: Vec::new(),
        },
        fitted: AsFitted {
            importance: Vec::new(),
            watched: "validation.auc".to_owned(),
            history: Vec::new(),
            best_iteration: None,
            kept: 3,
            folds: Vec::new(),
            threshold: None,
            calibration: None,
        },
        judged: None,
        search: None,
        steps: None,
    }
}

fn assert_page(report: &Report, texts: &[&str], not: &[&str]) {
    let html = report.html();
    for text in texts {
        assert!(html.contains(text), "no {text:?} in {html}");
    }
    for text in not.iter().chain(&["NaN", ">inf<"]) {
        assert!(!html.contains(text), "{text:?} in {html}");
    }
}

#[test]
fn little_data_leaves_out_what_it_does_not_tell() {
    let bare = report(Task::Binary, 2);
    assert_page(
        &bare,
        &[
            "the probability that kind is class 1 from 1 column",
            "Rows counted as stock says.",
            "1,234 test rows occur among the train rows too",
            "2026-03-01 12:00 UTC",
        ],
        &[
            "<svg",
            "id=\"curves\"",
            "id=\"confusion\"",
            "id=\"champion\"",
        ],
    );
    let mut train_only = report(Task::Regression, 0);
    let part = evaluate(Task::Regression, &[1.0], &[2.0]);
    train_only.parts.push((Split::Train, part));
    assert_page(
        &train_only,
        &[
            "There are no other rows",
            "predicts kind from",
            "train.rmse",
        ],
        &["id=\"errors\""],
    );
}

#[test]
fn of_many_classes_the_worst_are_told_apart() {
    let classes = 30;
    let mut many = report(Task::Multiclass, classes);
    let labels: Vec<f32> = (0..600_u16).map(|row| f32::from(row % 30)).collect();
    let scores: Vec<f64> = (0..600 * classes)
        .map(|at| {
            let (row, class) = (at / classes, at % classes);
            if row % classes == class {
                0.5
            } else {
                0.5 / 29.0
            }
        })
        .collect();
    for split in Split::ALL {
        let part = evaluate(Task::Multiclass, &labels, &scores);
        many.parts.push((split, part));
    }
    for (class, auc) in (0..classes).zip([0.5, f64::NAN].into_iter().cycle()) {
        many.evidence.classes.push(crate::run::evidence::OneClass {
            split: "test".to_owned(),
            class: format!("class {class}"),
            auc,
            average_precision: 0.1,
            brier: 0.2,
            roc: sluice_learn::curves::roc(&[1.0, 0.0], &[0.9, 0.1]),
            precision_recall: Vec::new(),
            bins: Vec::new(),
            uncalibrated: None,
        });
    }
    assert_page(
        &many,
        &[
            "The 4 of 30 classes with the smallest AUC are coloured.",
            "class 0 (AUC 0.5000)",
            "class 29 → class 29: 20 rows, 100 %",
            "Confusion on test rows",
            "There are no points to draw.",
        ],
        &["Confusion on train rows"],
    );
}

#[test]
fn folds_calibration_and_a_threshold_are_told() {
    let mut settled = report(Task::Binary, 2);
    let fold = |probability: f64| FoldFigures {
        evaluation: evaluate(Task::Binary, &[1.0, 0.0], &[probability, 0.1]),
        best_iteration: None,
        iterations: 7,
    };
    settled.fitted.folds = vec![fold(0.9), fold(0.05)];
    settled.fitted.threshold = Some(0.25);
    settled.fitted.calibration = Some("isotonic");
    let bin = |predicted| sluice_learn::curves::ReliabilityBin {
        rows: 3,
        predicted,
        actual: 0.5,
    };
    settled
        .evidence
        .classes
        .push(crate::run::evidence::OneClass {
            split: "validation".to_owned(),
            class: "class 1".to_owned(),
            auc: 0.5,
            average_precision: 0.5,
            brier: 0.125,
            roc: Vec::new(),
            precision_recall: sluice_learn::curves::precision_recall(&[1.0, 0.0], &[0.9, 0.1]),
            bins: vec![bin(0.5)],
            uncalibrated: Some(crate::run::evidence::Uncalibrated {
                brier: 0.25,
                bins: vec![bin(0.75)],
            }),
        });
    assert_page(
        &settled,
        &[
            "<th scope=\"col\" class=\"num\">fold 2</th>",
            // AUC 1 and 0: mean 0.5, and the standard deviation of both.
            "<td class=\"num\">1.0000</td><td class=\"num\">0.0000</td><td class=\"num strong\">0.5000</td>",
            "Reliability on validation rows",
            "validation before calibration (Brier 0.2500)",
            "validation (Brier 0.1250)",
            "positive from 0.25",
            "They are calibrated (isotonic)",
            "means over 2 folds",
        ],
        &[],
    );
}

fn trial(number: usize, chosen: Value, value: Option<f64>) -> Trial {
    Trial {
        number,
        chosen: chosen.as_object().cloned().unwrap_or_default(),
        params: Map::new(),
        value,
        evaluation: None,
        best_iteration: None,
        iterations: 5,
        history: Vec::new(),
        folds: Vec::new(),
        seconds: 0.5,
        pruned: false,
        error: None,
    }
}

fn search(trials: Vec<Trial>) -> Search {
    let space = json!({
        "depth": {"int": [2, 9]},
        "rate": {"log": [0.01, 1.0]},
        "policy": {"choice": ["deep", null, 7]},
    });
    Search {
        objective: "validation.log_loss".to_owned(),
        goal: Goal::Minimize,
        dimensions: SearchSpace::parse(space.as_object().unwrap())
            .unwrap()
            .dimensions,
        ranked: trials.iter().map(|trial| trial.number).collect(),
        trials,
        best: 1,
        importance: ParameterImportance::default(),
    }
}

#[test]
fn a_search_shows_trials_of_every_kind() {
    let mut pruned = trial(
        2,
        json!({"depth": 9, "rate": 1.0, "policy": null}),
        Some(0.9),
    );
    pruned.pruned = true;
    let mut failed = trial(3, json!({"depth": 4}), None);
    failed.error = Some("no memory".to_owned());
    let best = trial(
        1,
        json!({"depth": 2, "rate": 0.01, "policy": "deep"}),
        Some(0.25),
    );
    let mut swept = report(Task::Binary, 2);
    swept.fitted.importance.push(FeatureImportance {
        feature: "<script>".to_owned(),
        gain: 1.0,
        splits: 3,
    });
    swept.evidence.shap.push(ShapImportance {
        feature: "<script>".to_owned(),
        mean_abs_shap: 0.0,
    });
    swept.fitted.history = vec![0.5, f64::NAN, 0.9];
    swept.search = Some(search(vec![best, pruned, failed]));
    assert_page(
        &swept,
        &[
            "The best of 3 trials of random_forest",
            "1 pruned, 1 failed",
            "trial 2: 0.9000 (pruned)\ndepth 9\nrate 1\npolicy null",
            "trial 3: none (failed)",
            "&lt;script&gt;",
            "0.9000 after 3",
            "<p class=\"ramp\"><span>0.2500</span>",
        ],
        &["Parameter importance", "<script>:"],
    );
}

#[test]
fn one_trial_is_a_search_too() {
    let mut swept = report(Task::Binary, 2);
    swept.search = Some(search(vec![trial(1, json!({"depth": 2}), Some(0.25))]));
    assert_page(
        &swept,
        &["The best of 1 trial of", "The best trials first."],
        &[],
    );
    let undefined = search(vec![trial(1, json!({}), None)]);
    swept.search = Some(undefined);
    assert_page(&swept, &["Leaderboard"], &[]);
}

#[test]
fn a_search_over_many_parameters_shows_the_most_important_ones() {
    let space: Map<String, Value> = (0..20)
        .map(|at| (format!("parameter_{at}"), json!({"float": [0, 1]})))
        .collect();
    let mut wide = search(vec![trial(1, json!({"parameter_19": 0.5}), Some(0.25))]);
    wide.dimensions = SearchSpace::parse(&space).unwrap().dimensions;
    wide.importance.parameters = vec![("parameter_19".to_owned(), 0.7)];
    let mut swept = report(Task::Binary, 2);
    swept.search = Some(wide);
    assert_page(
        &swept,
        &["The 11 most important of 20 parameters.", "parameter_19"],
        &[],
    );
}

#[test]
fn a_champion_is_compared_where_it_was_scored() {
    let mut judged = report(Task::Binary, 2);
    let part = evaluate(Task::Binary, &[1.0, 0.0], &[0.9, 0.1]);
    judged.parts.push((Split::Test, part));
    judged.judged = Some(Judged {
        model: "wine".to_owned(),
        version: 2,
        alias: "production".to_owned(),
        champion: Scored {
            version: 1,
            figures: [("test.auc".to_owned(), 0.75)].into(),
        },
        moved: true,
        reason: "test.auc 1.0000 > 0.7500 of version 1".to_owned(),
    });
    assert_page(
        &judged,
        &[
            "@production of wine moved to version 2, this one: test.auc 1.0000 &gt; 0.7500 of version 1.",
            "<td class=\"num strong\">1.0000</td><td class=\"num\">0.7500</td><td class=\"num quiet\">+0.2500</td>",
        ],
        &[],
    );
}
