//! What thresholds do to a classifier, and how far its probabilities can be trusted.

use sluice_learn::curves::ReliabilityBin;
use sluice_learn::{Split, Task};
use sluice_report::chart::lines::{Guide, Line, Lines};
use sluice_report::chart::reliability::{Bin, Curve, Reliability};
use sluice_report::chart::{Axis, Ink, SERIES};
use sluice_report::{Chart, Section, number};

use super::Report;
use super::scores::figure;
use crate::run::evidence::OneClass;

/// Of more classes than have colours, so many are told apart: those that do worst.
const WORST: usize = 4;

/// Which way a figure of classes is bad.
#[derive(Clone, Copy)]
enum Worst {
    Smallest,
    Largest,
}

impl Report {
    /// ROC and precision-recall curves.
    pub(super) fn curves(&self) -> Section {
        let section = Section::new("Curves");
        if self.evidence.classes.is_empty() {
            return section;
        }
        let told = match self.about.task {
            Task::Binary => {
                "Each point of a curve is a threshold: rows of a larger probability are predicted positive."
            }
            _ => {
                "Each class against the rest. Each point of a curve is a threshold on the probability of the class."
            }
        };
        let pictures = self.pictures().into_iter();
        pictures.fold(section.text(told), |section, (title, classes)| {
            section.charts([roc(&title, &classes), precision_recall(&title, &classes)])
        })
    }

    /// Reliability and thresholds.
    pub(super) fn probabilities(&self) -> Section {
        let section = Section::new("Probabilities");
        if self.evidence.classes.is_empty() {
            return section;
        }
        let calibrated = self.fitted.calibration.is_some();
        let mut charts: Vec<Chart> = match self.about.task {
            // Of each split what the model says and what its trees say.
            Task::Binary if calibrated => {
                let splits = self.evidence.classes.iter().rev();
                let alone = splits.map(|one| {
                    let title = format!(" on {} rows", one.split);
                    reliability(&title, &[(one.split.clone(), one)])
                });
                alone.collect()
            }
            _ => {
                let pictures = self.pictures();
                let pictures = pictures.iter();
                let drawn = pictures.map(|(title, classes)| reliability(title, classes));
                drawn.collect()
            }
        };
        charts.extend(self.thresholds());
        section
            .text(format!(
                "Whether probabilities come true as often as they say: on the diagonal they do, below it they say too much. The Brier score is the mean squared distance of a probability from what came true.{}",
                self.settled_told()
            ))
            .charts(charts)
    }

    /// The curves that belong into one picture: of two classes those of both splits, of
    /// several all classes of a split. With each a name for the legend.
    fn pictures(&self) -> Vec<(String, Vec<(String, &OneClass)>)> {
        let classes = &self.evidence.classes;
        if self.about.task == Task::Binary {
            // The test rows above the others.
            let of_splits = classes.iter().rev();
            let named = of_splits.map(|one| (one.split.clone(), one));
            return vec![(String::new(), named.collect())];
        }
        let splits = [Split::Validation, Split::Test].into_iter();
        splits
            .filter_map(|split| {
                let of_split = classes.iter().filter(|one| one.split == split.as_str());
                let named: Vec<_> = of_split.map(|one| (one.class.clone(), one)).collect();
                (!named.is_empty()).then(|| (format!(" on {split} rows"), named))
            })
            .collect()
    }

    /// How the probabilities were settled, in words.
    fn settled_told(&self) -> String {
        let calibration = self.fitted.calibration.map_or_else(String::new, |method| {
            format!(" They are calibrated ({method}) on rows that the model was not fitted on.")
        });
        let threshold = self.fitted.threshold.map_or_else(String::new, |threshold| {
            let threshold = number::significant(threshold, 4);
            format!(" A row is predicted positive from {threshold} on.")
        });
        format!("{calibration}{threshold}")
    }

    /// Precision, recall and F1 at each threshold, of two classes.
    fn thresholds(&self) -> Option<Chart> {
        let binary = self.about.task == Task::Binary;
        let one = self.evidence.classes.first().filter(|_| binary)?;
        Some(thresholds(one, self.fitted.threshold))
    }
}

/// Precision, recall and F1 of a class at each threshold, and the one that decides.
pub(in crate::run) fn thresholds(one: &OneClass, threshold: Option<f64>) -> Chart {
    let guide = match threshold {
        Some(threshold) => {
            let label = format!("positive from {}", number::significant(threshold, 3));
            Guide::Vertical(threshold, label)
        }
        None => Guide::Vertical(0.5, "positive above 0.5".to_owned()),
    };
    let points = || {
        one.precision_recall
            .iter()
            .filter_map(|point| Some((point.threshold?, point.precision, point.recall)))
    };
    let f1 = points().map(|(threshold, precision, recall)| {
        let sum = precision + recall;
        let f1 = if sum > 0.0 {
            2.0 * precision * recall / sum
        } else {
            0.0
        };
        (threshold, f1)
    });
    let chart = Lines {
        title: format!("Thresholds on {} rows", one.split),
        x: Axis::new("Threshold").between(0.0, 1.0),
        y: Axis::new("Score").between(0.0, 1.0),
        lines: vec![
            Line::new("F1", f1.collect()),
            Line::new(
                "precision",
                points().map(|(t, precision, _)| (t, precision)).collect(),
            )
            .ink(Ink::Series(1)),
            Line::new(
                "recall",
                points().map(|(t, _, recall)| (t, recall)).collect(),
            )
            .ink(Ink::Series(2)),
        ],
        guides: vec![guide],
        square: true,
        ..Lines::default()
    };
    chart.draw()
}

/// The curves of a class in a reliability diagram: what the model says, and faint what its
/// trees say where the two differ.
fn bins_of(name: &str, one: &OneClass, ink: Ink) -> Vec<Curve> {
    let bins = |bins: &[ReliabilityBin]| {
        let bins = bins.iter().map(|bin| Bin {
            rows: bin.rows as u64,
            predicted: bin.predicted,
            actual: bin.actual,
        });
        bins.collect()
    };
    let mut curves = vec![Curve {
        name: format!("{name} (Brier {})", figure(one.brier)),
        bins: bins(&one.bins),
        ink,
    }];
    curves.extend(one.uncalibrated.as_ref().map(|raw| Curve {
        name: format!("{name} before calibration (Brier {})", figure(raw.brier)),
        bins: bins(&raw.bins),
        ink: match ink {
            Ink::Series(at) => Ink::Series((at + SERIES / 2) % SERIES),
            other => other,
        },
    }));
    curves
}

fn unit(label: &str) -> Axis {
    Axis::new(label).between(0.0, 1.0)
}

/// A colour for each curve; of many, only for those that do worst.
fn inks(figures: &[f64], worst: Worst) -> Vec<Ink> {
    if figures.len() <= SERIES {
        return (0..figures.len()).map(Ink::Series).collect();
    }
    let mut order: Vec<usize> = (0..figures.len()).collect();
    order.sort_by(|&a, &b| match worst {
        Worst::Smallest => figures[a].total_cmp(&figures[b]),
        Worst::Largest => figures[b].total_cmp(&figures[a]),
    });
    // A class that does not occur has no figure.
    order.retain(|&at| !figures[at].is_nan());
    let rank = |at: usize| order.iter().position(|&other| other == at);
    (0..figures.len())
        .map(|at| match rank(at) {
            Some(rank) if rank < WORST => Ink::Series(rank),
            _ => Ink::Faint,
        })
        .collect()
}

/// What a chart of more classes than colours says of them.
fn crowded(chart: Chart, classes: usize, worst: &str) -> Chart {
    if classes <= SERIES {
        return chart;
    }
    chart.note(format!(
        "The {WORST} of {classes} classes with the {worst} are coloured."
    ))
}

/// Lines with names and colours, the coloured ones first, so that they are drawn above.
fn lines(
    classes: &[(String, &OneClass)],
    figures: &[f64],
    unit: &str,
    worst: Worst,
    points: impl Fn(&OneClass) -> Vec<(f64, f64)>,
) -> Vec<Line> {
    let inks = inks(figures, worst);
    let all = classes.iter().zip(figures).zip(inks);
    let mut lines: Vec<Line> = all
        .map(|(((name, one), value), ink)| {
            let name = format!("{name} ({unit} {})", figure(*value));
            Line::new(name, points(one)).ink(ink)
        })
        .collect();
    lines.sort_by_key(|line| match line.ink {
        Ink::Series(at) => at,
        _ => usize::MAX,
    });
    lines
}

pub(in crate::run) fn roc(title: &str, classes: &[(String, &OneClass)]) -> Chart {
    let figures: Vec<f64> = classes.iter().map(|(_, one)| one.auc).collect();
    let points = |one: &OneClass| {
        let points = one.roc.iter();
        points
            .map(|point| (point.false_positive_rate, point.true_positive_rate))
            .collect()
    };
    let chart = Lines {
        title: format!("ROC curve{title}"),
        x: unit("False positive rate"),
        y: unit("True positive rate"),
        lines: lines(classes, &figures, "AUC", Worst::Smallest, points),
        guides: vec![Guide::Diagonal],
        square: true,
        ..Lines::default()
    };
    crowded(chart.draw(), classes.len(), "smallest AUC")
}

pub(in crate::run) fn precision_recall(title: &str, classes: &[(String, &OneClass)]) -> Chart {
    let figures: Vec<f64> = classes
        .iter()
        .map(|(_, one)| one.average_precision)
        .collect();
    let points = |one: &OneClass| {
        let points = one.precision_recall.iter();
        points
            .map(|point| (point.recall, point.precision))
            .collect()
    };
    let chart = Lines {
        title: format!("Precision and recall{title}"),
        x: unit("Recall"),
        y: unit("Precision"),
        lines: lines(classes, &figures, "AP", Worst::Smallest, points),
        square: true,
        ..Lines::default()
    };
    crowded(chart.draw(), classes.len(), "smallest average precision")
}

pub(in crate::run) fn reliability(title: &str, classes: &[(String, &OneClass)]) -> Chart {
    let figures: Vec<f64> = classes.iter().map(|(_, one)| one.brier).collect();
    let inks = inks(&figures, Worst::Largest);
    // Faint curves would hide the others: rows are counted by bars side by side.
    let mut shown: Vec<_> = classes
        .iter()
        .zip(inks)
        .filter_map(|(named, ink)| match ink {
            Ink::Series(at) => Some((at, named, ink)),
            _ => None,
        })
        .collect();
    shown.sort_by_key(|(at, ..)| *at);
    let curves = shown
        .into_iter()
        .flat_map(|(_, (name, one), ink)| bins_of(name, one, ink));
    let chart = Reliability {
        title: format!("Reliability{title}"),
        curves: curves.collect(),
    };
    let chart = chart.draw();
    match classes.len() {
        0..=SERIES => chart,
        many => chart.note(format!(
            "The {WORST} of {many} classes with the largest Brier score."
        )),
    }
}
