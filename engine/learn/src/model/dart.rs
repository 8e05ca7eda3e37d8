//! How a document of dart trees is spelled: XGBoost 3.2 and before write and read a booster
//! `dart` that holds the trees and the weight of each (`weight_drop`); the learner has the
//! weights among the trees, where Python overlooks them without a word.

use serde_json::{Value, json};

const WEIGHTS: &str = "weight_drop";

/// Rewrites the learner's spelling into XGBoost's. Trees without weights stay as they are.
pub(super) fn to_xgboost(document: &mut Value) {
    let booster = &mut document["learner"]["gradient_booster"];
    let trees = booster["model"].as_object_mut();
    if let Some(weights) = trees.and_then(|trees| trees.remove(WEIGHTS)) {
        let mut dart = json!({"name": "dart", "gbtree": booster.take()});
        dart[WEIGHTS] = weights;
        *booster = dart;
    }
}

/// Rewrites XGBoost's spelling into the learner's.
pub(super) fn from_xgboost(document: &mut Value) {
    let Some(booster) = document.pointer_mut("/learner/gradient_booster") else {
        return;
    };
    if booster["name"] != "dart" {
        return;
    }
    let weights = booster[WEIGHTS].take();
    let mut trees = booster["gbtree"].take();
    trees["model"][WEIGHTS] = weights;
    *booster = trees;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_move_out_and_in_and_other_trees_stay() {
        let trees =
            json!({"name": "gbtree", "model": {"trees": [1, 2], "weight_drop": [0.5, 1.0]}});
        let ours = json!({"learner": {"gradient_booster": trees}});
        let mut document = ours.clone();
        to_xgboost(&mut document);
        let booster = &document["learner"]["gradient_booster"];
        assert_eq!(booster["name"], "dart");
        assert_eq!(booster["weight_drop"], json!([0.5, 1.0]));
        assert_eq!(booster["gbtree"]["model"], json!({"trees": [1, 2]}));
        from_xgboost(&mut document);
        assert_eq!(document, ours);
        let mut plain = json!({"learner": {"gradient_booster": {"name": "gbtree", "model": {}}}});
        let before = plain.clone();
        to_xgboost(&mut plain);
        from_xgboost(&mut plain);
        assert_eq!(plain, before);
        let mut none = json!({});
        from_xgboost(&mut none);
        assert_eq!(none, json!({}));
    }
}
