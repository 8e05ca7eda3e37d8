//! How fast the learner itself predicts: what `benches/predict.py` compares SQL with.
//!
//! `batch_predict MODEL.json ROWS.f32 REPEATS` reads a model that a training has written and
//! rows of little-endian `f32`, and prints the seconds of each prediction of all rows by the
//! learner's own batch prediction, and by ours, one number a line after its name. Both use
//! all threads of rayon's pool (`RAYON_NUM_THREADS`).

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use hessboost::model::{BoostedModel, Iterations, ModelFormat};
use sluice_learn::Model;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("which {what}?"));
    let (model, rows, repeats) = (next("model")?, next("rows")?, next("repeats")?);
    let bytes = std::fs::read(rows)?;
    let (numbers, _) = bytes.as_chunks::<4>();
    let rows: Vec<f32> = numbers
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    let folder = Path::new(&model)
        .parent()
        .ok_or("a model lies in a folder")?;
    let ours = Model::load(folder)?;
    let learner = learner(&std::fs::read(&model)?)?;
    for _ in 0..repeats.parse()? {
        let begin = Instant::now();
        let scores = learner.predict_rows(&rows, Iterations::Best)?;
        println!("hessboost {}", begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        let own = ours.predict_rows(&rows)?;
        println!("sluice_learn {}", begin.elapsed().as_secs_f64());
        let same = own.iter().zip(scores.as_slice());
        for (own, &score) in same {
            assert_eq!(*own, f64::from(score), "both predict the same");
        }
    }
    Ok(())
}

/// The model as the learner reads it, whose intercept is a list there.
fn learner(bytes: &[u8]) -> Result<BoostedModel, Box<dyn Error>> {
    let mut document: serde_json::Value = serde_json::from_slice(bytes)?;
    let intercept = &mut document["learner"]["learner_model_param"]["base_score"];
    let written = intercept.as_str().unwrap_or_default();
    if !written.starts_with('[') {
        *intercept = format!("[{written}]").into();
    }
    let text = document.to_string();
    Ok(BoostedModel::decode(text, ModelFormat::XgboostJson)?)
}
