//! Whatever the numbers: charts are drawn, and nothing but numbers is in their geometry.

use proptest::prelude::*;

use super::bars::{Bar, Bars};
use super::box_plot::{BoxOf, BoxPlot};
use super::heat_map::{Colours, HeatCell, HeatMap};
use super::histogram::{Group, Histogram};
use super::lines::{Guide, Line, Lines, Mark};
use super::parallel::{Measure, Parallel, Polyline, Upright};
use super::reliability::{Bin, Curve, Reliability};
use super::scatter::{Points, Scatter};
use super::{Axis, Chart, Ink};

/// Attributes that hold numbers.
const GEOMETRY: [&str; 16] = [
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "cx",
    "cy",
    "r",
    "width",
    "height",
    "d",
    "viewBox",
    "transform",
    "data-x",
    "fill-opacity",
];

fn assert_sound(chart: &Chart) {
    let html = chart.figure().render();
    for name in GEOMETRY {
        for rest in html.split(&format!(" {name}=\"")).skip(1) {
            let value = rest.split('"').next().unwrap();
            let value = value.replace("translate", "").replace("rotate", "");
            assert!(
                value.chars().all(|c| "0123456789.-MLh ()".contains(c)),
                "{name}={value} in {html}"
            );
            if ["width", "height", "r"].contains(&name) {
                assert!(!value.starts_with('-'), "{name}={value} in {html}");
            }
        }
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => any::<f64>(),
        3 => -10.0..10.0_f64,
        1 => Just(0.0),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::MAX),
        1 => Just(f64::MIN),
        1 => Just(f64::MIN_POSITIVE),
    ]
}

fn axis() -> impl Strategy<Value = Axis> {
    (
        any::<bool>(),
        any::<bool>(),
        proptest::option::of((number(), number())),
    )
        .prop_map(|(log, zero, domain)| Axis {
            label: "axis".to_owned(),
            log,
            domain,
            zero,
            ..Axis::default()
        })
}

fn points() -> impl Strategy<Value = Vec<(f64, f64)>> {
    proptest::collection::vec((number(), number()), 0..8)
}

proptest! {
    #[test]
    fn curves_and_points(
        x in axis(), y in axis(), a in points(), b in points(), at in number(), square in any::<bool>(),
    ) {
        let guides = vec![
            Guide::Diagonal,
            Guide::Vertical(at, "here".to_owned()),
            Guide::Horizontal(at, "there".to_owned()),
        ];
        let lines = Lines {
            x: x.clone(),
            y: y.clone(),
            lines: vec![Line::new("a", a.clone()).dots(), Line::new("b", b.clone()).dashed()],
            guides: guides.clone(),
            marks: vec![Mark { at: (at, at), label: "mark".to_owned() }],
            square,
            ..Lines::default()
        };
        assert_sound(&lines.draw());
        let tips = vec!["tip".to_owned()];
        let scatter = Scatter {
            x,
            y,
            points: vec![
                Points { at: a.clone(), ..Points::default() },
                Points { at: b, tips, ..Points::default() },
            ],
            line: a,
            guides,
            ..Scatter::default()
        };
        assert_sound(&scatter.draw());
    }

    #[test]
    fn bars_and_boxes(values in proptest::collection::vec(number(), 0..7), name in "\\PC{0,40}") {
        let bars = values.iter().map(|value| Bar::new(name.clone(), *value, "figure"));
        let bars = Bars { bars: bars.collect(), ..Bars::default() };
        assert_sound(&bars.draw());
        let at = |at: usize| values.get(at).copied().unwrap_or(f64::NAN);
        let boxes = BoxPlot {
            boxes: vec![BoxOf {
                name,
                rows: 3,
                low: at(0),
                first: at(1),
                median: at(2),
                third: at(3),
                high: at(4),
                outliers: values.clone(),
                ink: Ink::Accent,
            }],
            ..BoxPlot::default()
        };
        assert_sound(&boxes.draw());
    }

    #[test]
    fn histograms_and_reliability(
        edges in proptest::collection::vec(number(), 0..7),
        counts in proptest::collection::vec(any::<u64>(), 0..7),
        small in any::<bool>(),
    ) {
        let group = |counts: &[u64]| Group {
            name: "group".to_owned(),
            counts: counts.to_vec(),
            ink: Ink::Accent,
        };
        let histogram = Histogram {
            marks: edges.iter().map(|edge| (*edge, "edge".to_owned())).collect(),
            edges: edges.clone(),
            groups: vec![group(&counts), group(&counts)],
            small,
            ..Histogram::default()
        };
        assert_sound(&histogram.draw());
        let bins = edges.iter().zip(&counts).map(|(edge, rows)| Bin {
            rows: *rows,
            predicted: *edge,
            actual: -*edge,
        });
        let curve = Curve {
            name: "curve".to_owned(),
            bins: bins.collect(),
            ink: Ink::Accent,
        };
        let reliability = Reliability { curves: vec![curve], ..Reliability::default() };
        assert_sound(&reliability.draw());
    }

    #[test]
    fn heat_maps_and_trials(
        values in proptest::collection::vec(number(), 0..12),
        (low, high, log) in (number(), number(), any::<bool>()),
        columns in 0..40_usize,
    ) {
        let cells = values.iter().map(|value| HeatCell {
            value: *value,
            shown: "1\n2".to_owned(),
            tip: "one".to_owned(),
        });
        let cells: Vec<HeatCell> = cells.collect();
        let map = HeatMap {
            columns: (0..columns).map(|at| format!("column {at}")).collect(),
            rows: vec![("row".to_owned(), cells.clone()), ("row".to_owned(), cells)],
            colours: Colours::Signed,
            ..HeatMap::default()
        };
        assert_sound(&map.draw());
        let upright = Upright {
            name: "axis".to_owned(),
            measure: Measure::Number { low, high, log },
        };
        let category = Upright {
            name: "category".to_owned(),
            measure: Measure::Category((0..columns).map(|at| at.to_string()).collect()),
        };
        let lines = values.iter().map(|value| Polyline {
            values: vec![Some(*value), None],
            ink: Ink::step(*value),
            tip: "line".to_owned(),
        });
        let parallel = Parallel {
            axes: vec![upright, category],
            lines: lines.collect(),
            ..Parallel::default()
        };
        assert_sound(&parallel.draw());
    }
}
