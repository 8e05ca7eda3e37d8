//! Search spaces and samplers.

use std::f64::consts::E;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_learn::metric::Goal;
use sluice_learn::search::{Point, Sampler, SamplerSpec, SearchSpace, sampler_names};

use crate::tables::params;

fn space(value: Value) -> SearchSpace {
    SearchSpace::parse(&params(value)).unwrap()
}

fn start(name: &str, given: Value, space: &SearchSpace, goal: Goal) -> Box<dyn Sampler> {
    let spec = SamplerSpec::parse(name, &params(given)).unwrap();
    spec.start(space, goal).unwrap()
}

fn every_kind() -> SearchSpace {
    space(json!({
        "int": {"int": [4, 9]},
        "float": {"float": [-1.5, 2.5]},
        "log": {"log": [0.001, 1.0]},
        "choice": {"choice": ["a", null, 3]},
        "step": {"quniform": [1, 2, 0.25]},
    }))
}

fn within(space: &SearchSpace, point: &Point) -> bool {
    let values = space.varying(point);
    let real = |name: &str| values[name].as_f64().unwrap();
    let whole = values["int"].as_i64().unwrap();
    (4..=9).contains(&whole)
        && (-1.5..=2.5).contains(&real("float"))
        && (0.001..=1.0).contains(&real("log"))
        && [json!("a"), json!(null), json!(3)].contains(&values["choice"])
        && (1.0..=2.0).contains(&real("step"))
        && (real("step") * 4.0).fract() == 0.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every sampler stays within the space, and replaying what it was asked and told
    /// resumes it exactly.
    #[test]
    fn points_lie_in_the_space_and_replay_exactly(
        seed in any::<u64>(),
        rounds in prop::collection::vec(1_usize..6, 8..12),
    ) {
        let space = every_kind();
        for name in sampler_names() {
            let given = if name == "grid" { json!({}) } else { json!({"seed": seed}) };
            let mut first = start(name, given.clone(), &space, Goal::Maximize);
            let mut asked = Vec::new();
            for &count in &rounds {
                let points = first.ask(count);
                prop_assert_eq!(points.len(), count);
                for point in &points {
                    prop_assert!(within(&space, point), "{}: {:?}", name, space.varying(point));
                    let value = space.varying(point)["float"].as_f64();
                    first.tell(point, value.filter(|value| *value > -1.0));
                }
                asked.push(points);
            }
            let mut resumed = start(name, given, &space, Goal::Maximize);
            for (&count, points) in rounds.iter().zip(&asked) {
                prop_assert_eq!(&resumed.ask(count), points);
                for point in points {
                    let value = space.varying(point)["float"].as_f64();
                    resumed.tell(point, value.filter(|value| *value > -1.0));
                }
            }
            prop_assert_eq!(first.ask(3), resumed.ask(3));
        }
    }
}

/// The mean distance from the optimum of the last 24 of 96 trials, in rounds of 4.
fn late_distance(name: &str, seed: u64, goal: Goal) -> f64 {
    // Two parameters with equal ranges and different optima: a sampler that confuses
    // their histories cannot find both.
    let space = space(json!({
        "x": {"float": [0.0, 1.0]},
        "y": {"float": [0.0, 1.0]},
        "rate": {"log": [0.001, 1.0]},
    }));
    let mut sampler = start(name, json!({"seed": seed}), &space, goal);
    let mut distances = Vec::new();
    for _ in 0..24 {
        for point in sampler.ask(4) {
            let values = space.varying(&point);
            let real = |name: &str| values[name].as_f64().unwrap();
            let distance = (real("x") - 0.2).powi(2)
                + (real("y") - 0.9).powi(2)
                + ((real("rate").ln() - 0.05_f64.ln()) / E).powi(2);
            sampler.tell(
                &point,
                Some(match goal {
                    Goal::Maximize => -distance,
                    Goal::Minimize => distance,
                }),
            );
            distances.push(distance);
        }
    }
    distances[72..].iter().sum::<f64>() / 24.0
}

#[test]
fn tpe_learns_and_random_search_does_not() {
    for goal in [Goal::Maximize, Goal::Minimize] {
        let mean = |name| {
            (0..5)
                .map(|seed| late_distance(name, seed, goal))
                .sum::<f64>()
                / 5.0
        };
        let (tpe, random) = (mean("tpe"), mean("random"));
        assert!(tpe < random / 3.0, "{goal:?}: tpe {tpe}, random {random}");
    }
}

#[test]
fn equal_ranges_do_not_draw_equal_values() {
    let space = space(json!({"x": {"float": [0, 1]}, "y": {"float": [0, 1]}}));
    for name in ["random", "tpe"] {
        let points = start(name, json!({"seed": 3}), &space, Goal::Maximize).ask(8);
        assert!(points.iter().all(|point| point[0] != point[1]), "{name}");
        let other = start(name, json!({"seed": 4}), &space, Goal::Maximize).ask(8);
        assert_ne!(points, other, "{name}: the seed counts");
        let mut different = points.clone();
        different.dedup();
        assert_eq!(different.len(), 8, "{name}: a round does not repeat itself");
    }
}

#[test]
fn a_grid_is_walked_in_order_and_ends() {
    let space = space(json!({
        "depth": {"int": [1, 2]},
        "rate": {"log": [0.01, 1]},
        "kind": {"choice": ["a", "b"]},
    }));
    let spec = SamplerSpec::parse("grid", &params(json!({"points": 3}))).unwrap();
    assert_eq!(spec.size(&space), Some(12));
    let mut grid = spec.start(&space, Goal::Maximize).unwrap();
    let mut points = grid.ask(5);
    points.extend(grid.ask(100));
    assert_eq!(points.len(), 12);
    assert!(grid.ask(1).is_empty());
    let told: Vec<String> = points
        .iter()
        .map(|point| {
            let values = space.varying(point);
            let rate = values["rate"].as_f64().unwrap();
            format!("{} {rate:.3} {}", values["depth"], values["kind"])
        })
        .collect();
    assert_eq!(told[0], "1 0.010 \"a\"");
    assert_eq!(told[1], "1 0.010 \"b\"");
    assert_eq!(told[2], "1 0.100 \"a\"");
    assert_eq!(told[11], "2 1.000 \"b\"");
    let mut sorted = told.clone();
    sorted.dedup();
    assert_eq!(sorted.len(), 12);
}

#[test]
fn bad_samplers_say_what_would_do() {
    let refusal = |name, given| {
        let error = SamplerSpec::parse(name, &params(given)).unwrap_err();
        error.to_string()
    };
    assert!(refusal("tpee", json!({})).contains("did you mean `tpe`?"));
    let both = refusal("tpe", json!({"sed": 1, "gamma": 1.5}));
    assert!(both.contains("did you mean `seed`?"), "{both}");
    assert!(
        both.contains("`gamma`: must be a number between 0 and 1"),
        "{both}"
    );
    assert!(refusal("random", json!({"seed": -1})).contains("whole number from 0 up"));
}
