//! `booster`: whether rounds of boosting leave earlier trees out.

use hessboost::config::{BoosterKind, Dart};
use hessboost::error::HessboostError;

use super::params::{Bounds, Params};
use crate::error::ParamError;

/// Parameters of `dart` alone.
const OWN: [&str; 3] = ["rate_drop", "skip_drop", "one_drop"];

/// XGBoost's `gbtree`, or `dart`: each round is fitted to what is left when some of the trees
/// so far are dropped (Rashmi and Gilad-Bachrach, *DART: dropouts meet multiple additive
/// regression trees*, AISTATS 2015).
#[derive(Debug)]
pub(super) struct Booster {
    name: &'static str,
    rate_drop: f64,
    skip_drop: f64,
    one_drop: bool,
    /// The parameters of [`OWN`] that the user wrote.
    written: Vec<&'static str>,
}

impl Booster {
    pub(super) fn read(params: &mut Params<'_>) -> Self {
        let own = OWN.into_iter();
        let written: Vec<&str> = own.filter(|param| params.value(param).is_some()).collect();
        let booster = Self {
            name: params.word("booster", "gbtree", &["gbtree", "dart"]),
            rate_drop: params.real("rate_drop", 0.0, Bounds::Share),
            skip_drop: params.real("skip_drop", 0.0, Bounds::Share),
            one_drop: params.flag("one_drop", false),
            written,
        };
        // What the other booster would take is not worth recording, and the usual booster is
        // what was recorded before there was another.
        if !booster.is_dart() {
            params.forget("booster");
            for param in OWN.iter().filter(|param| !booster.written.contains(param)) {
                params.forget(param);
            }
        }
        booster
    }

    pub(super) fn is_dart(&self) -> bool {
        self.name == "dart"
    }

    /// Whether later rounds change how much earlier trees count.
    pub(super) fn rescales_trees(&self) -> bool {
        self.is_dart() && (self.rate_drop > 0.0 || self.one_drop)
    }

    /// What does not go with the booster.
    pub(super) fn check(&self) -> Vec<ParamError> {
        if self.is_dart() {
            return Vec::new();
        }
        let written = self.written.iter();
        written
            .map(|param| ParamError::new(*param, "goes with `booster: dart`"))
            .collect()
    }

    /// The learner's booster.
    pub(super) fn kind(&self) -> Result<BoosterKind, HessboostError> {
        if !self.is_dart() {
            return Ok(BoosterKind::GbTree);
        }
        let dart = Dart::builder()
            .rate_drop(self.rate_drop)
            .skip_drop(self.skip_drop)
            .one_drop(self.one_drop);
        Ok(BoosterKind::Dart(dart.build()?))
    }
}
