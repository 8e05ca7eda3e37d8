//! Colours by what they mean. The page's style gives each a value in the light and in the
//! dark theme; the series are told apart by people who see fewer colours, too.

/// How many series have a colour of their own.
pub const SERIES: usize = 8;
/// Steps of a scale of colours.
const STEPS: usize = 10;

/// The colour of a line, a bar or a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ink {
    /// The main colour.
    #[default]
    Accent,
    /// The colour of the series with this position; beyond [`SERIES`] all are faint.
    Series(usize),
    /// What stands in the background.
    Faint,
    /// What is to be seen first.
    Best,
    /// A step of a scale from pale (0) to strong (9).
    Step(u8),
}

impl Ink {
    /// The step for a share of a scale, 0 to 1.
    pub fn step(share: f64) -> Self {
        if !share.is_finite() {
            return Self::Faint;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and STEPS"
        )]
        let step = (share.clamp(0.0, 1.0) * STEPS as f64).floor() as u8;
        Self::Step(step.min(STEPS as u8 - 1))
    }

    pub(crate) fn class(self) -> &'static str {
        const OF_SERIES: [&str; SERIES] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];
        const OF_STEPS: [&str; STEPS] =
            ["q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q9"];
        match self {
            Self::Accent => "c0",
            Self::Series(at) => OF_SERIES.get(at).copied().unwrap_or("faint"),
            Self::Faint => "faint",
            Self::Best => "best",
            Self::Step(step) => OF_STEPS.get(usize::from(step)).copied().unwrap_or("q9"),
        }
    }
}
