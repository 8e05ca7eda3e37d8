//! The losses of boosting by their XGBoost names, and the tasks that they serve.

use hessboost::error::HessboostError;
use hessboost::objective::{Multiclass, Objective, PseudoHuber, Quantiles, RegLoss, Tweedie};

use super::params::{Bounds, Params};
use crate::error::ParamError;
use crate::features::{Label, Task};

/// The word for the usual loss of the task.
const AUTO: &str = "auto";

/// Every loss that may be named. A task's first one is its usual one.
const LOSSES: &[(&str, Task)] = &[
    ("binary:logistic", Task::Binary),
    ("multi:softprob", Task::Multiclass),
    ("reg:squarederror", Task::Regression),
    ("reg:squaredlogerror", Task::Regression),
    ("reg:absoluteerror", Task::Regression),
    ("reg:pseudohubererror", Task::Regression),
    ("reg:quantileerror", Task::Regression),
    ("reg:logistic", Task::Regression),
    ("reg:gamma", Task::Regression),
    ("reg:tweedie", Task::Regression),
    ("count:poisson", Task::Regression),
];

/// Parameters that belong to one loss.
const OWN: &[(&str, &str)] = &[
    ("scale_pos_weight", "binary:logistic"),
    ("huber_slope", "reg:pseudohubererror"),
    ("quantile_alpha", "reg:quantileerror"),
    ("tweedie_variance_power", "reg:tweedie"),
];

/// The loss that a boosting minimizes.
#[derive(Debug)]
pub(super) struct Loss {
    name: &'static str,
    scale_pos_weight: f64,
    huber_slope: f64,
    quantile_alpha: f64,
    tweedie_variance_power: f64,
    /// The parameters of [`OWN`] that the user wrote.
    written: Vec<&'static str>,
}

impl Loss {
    pub(super) fn read(params: &mut Params<'_>) -> Self {
        let mut words = vec![AUTO];
        words.extend(LOSSES.iter().map(|(name, _)| *name));
        let own = OWN.iter().map(|(param, _)| *param);
        let written: Vec<&str> = own.filter(|param| params.value(param).is_some()).collect();
        let loss = Self {
            name: params.word("objective", AUTO, &words),
            scale_pos_weight: params.real("scale_pos_weight", 1.0, Bounds::Positive),
            huber_slope: params.real("huber_slope", 1.0, Bounds::Positive),
            quantile_alpha: params.real("quantile_alpha", 0.5, Bounds::Inside(0.0, 1.0)),
            tweedie_variance_power: params.real(
                "tweedie_variance_power",
                1.5,
                Bounds::Inside(1.0, 2.0),
            ),
            written,
        };
        // What another loss would take is not worth recording.
        for (param, of) in OWN {
            let usual = loss.name == AUTO && *of == LOSSES[0].0;
            if !loss.written.contains(param) && loss.name != *of && !usual {
                params.forget(param);
            }
        }
        loss
    }

    fn of_task(&self, task: Task) -> &'static str {
        let usual = LOSSES.iter().find(|(_, serves)| *serves == task);
        match usual {
            Some((name, _)) if self.name == AUTO => name,
            _ => self.name,
        }
    }

    /// Whether it is the one of counts.
    pub(super) fn counts(&self, task: Task) -> bool {
        self.of_task(task) == "count:poisson"
    }

    /// What does not go with a task.
    pub(super) fn check(&self, task: Task) -> Vec<ParamError> {
        let serves: Vec<&str> = LOSSES
            .iter()
            .filter(|(_, serves)| *serves == task)
            .map(|(name, _)| *name)
            .collect();
        let loss = self.of_task(task);
        if !serves.contains(&loss) {
            let message = format!(
                "`{loss}` is not for `task: {task}`: use {}",
                serves.join(", ")
            );
            return vec![ParamError::new("objective", message)];
        }
        OWN.iter()
            .filter(|(param, of)| self.written.contains(param) && *of != loss)
            .map(|(param, of)| {
                let message = format!("goes with `{of}`; this model minimizes `{loss}`");
                ParamError::new(*param, message)
            })
            .collect()
    }

    /// The learner's objective for a label.
    pub(super) fn objective(&self, label: &Label) -> Result<Objective, HessboostError> {
        Ok(match self.of_task(label.task) {
            "binary:logistic" => Objective::BinaryLogistic(RegLoss::new(self.scale_pos_weight)?),
            "multi:softprob" => Objective::Softprob(Multiclass::new(label.classes.len())?),
            "reg:squaredlogerror" => Objective::SquaredLogError,
            "reg:absoluteerror" => Objective::AbsoluteError,
            "reg:pseudohubererror" => Objective::PseudoHuber(PseudoHuber::new(self.huber_slope)?),
            "reg:quantileerror" => Objective::Quantile(Quantiles::new([self.quantile_alpha])?),
            "reg:logistic" => Objective::RegLogistic(RegLoss::default()),
            "reg:gamma" => Objective::Gamma(RegLoss::default()),
            "reg:tweedie" => Objective::Tweedie(Tweedie::new(self.tweedie_variance_power)?),
            "count:poisson" => Objective::Poisson,
            _ => Objective::SquaredError(RegLoss::default()),
        })
    }
}
