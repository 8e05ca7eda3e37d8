//! How the learning rate changes over the steps of a training, as in transformers.

/// The shape of a schedule after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulerType {
    /// Down to 0 in a straight line.
    Linear,
    /// Down to 0 along half a cosine.
    Cosine,
    /// The same throughout, without warm-up.
    Constant,
    /// The same after the warm-up.
    ConstantWithWarmup,
}

impl SchedulerType {
    /// All shapes.
    pub const ALL: [Self; 4] = [
        Self::Linear,
        Self::Cosine,
        Self::Constant,
        Self::ConstantWithWarmup,
    ];

    /// Its name as an `lr_scheduler_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Constant => "constant",
            Self::ConstantWithWarmup => "constant_with_warmup",
        }
    }
}

/// The learning rate of each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Its shape.
    pub kind: SchedulerType,
    /// The highest rate.
    pub learning_rate: f64,
    /// Steps over which the rate rises to it from 0.
    pub warmup_steps: u64,
    /// Steps of the whole training.
    pub total_steps: u64,
}

impl Schedule {
    /// The rate of the step after `done` others. The first step of a warm-up has rate 0.
    pub fn rate(&self, done: u64) -> f64 {
        let warming = self.kind != SchedulerType::Constant && done < self.warmup_steps;
        if warming {
            return self.learning_rate * done as f64 / self.warmup_steps.max(1) as f64;
        }
        let falling = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let factor = match self.kind {
            SchedulerType::Linear => self.total_steps.saturating_sub(done) as f64 / falling,
            SchedulerType::Cosine => {
                let progress = done.saturating_sub(self.warmup_steps) as f64 / falling;
                0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
            }
            SchedulerType::Constant | SchedulerType::ConstantWithWarmup => 1.0,
        };
        self.learning_rate * factor.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Schedule, SchedulerType};

    fn rates(kind: SchedulerType, warmup_steps: u64) -> Vec<f64> {
        let schedule = Schedule {
            kind,
            learning_rate: 1.0,
            warmup_steps,
            total_steps: 6,
        };
        (0..7).map(|step| schedule.rate(step)).collect()
    }

    /// The expected rates are those of transformers' `get_scheduler`.
    #[test]
    fn rates_are_those_of_transformers() {
        let linear = rates(SchedulerType::Linear, 2);
        assert_eq!(linear, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]);
        let cosine = rates(SchedulerType::Cosine, 2);
        let expected = [0.0, 0.5, 1.0, 0.853_553_4, 0.5, 0.146_446_6, 0.0];
        for (rate, expected) in cosine.iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-7, "{cosine:?}");
        }
        assert_eq!(rates(SchedulerType::Constant, 2), [1.0; 7]);
        let warm = rates(SchedulerType::ConstantWithWarmup, 2);
        assert_eq!(warm, [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(rates(SchedulerType::Linear, 0)[0], 1.0);
    }
}
