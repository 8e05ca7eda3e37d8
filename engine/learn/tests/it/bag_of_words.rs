//! The bag-of-words baseline against scikit-learn's `TfidfVectorizer` and
//! `LogisticRegression`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use sluice_learn::bag_of_words::BagOfWords;

use crate::tables::{fixture, say_skipped};

fn floats(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

fn assert_close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!(
            (ours - theirs).abs() <= tolerance,
            "{what}: {ours} is not {theirs}"
        );
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
}

#[test]
fn words_weights_and_probabilities_are_scikit_learns() {
    let fixture = fixture("bag_of_words.json");
    for case in fixture["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let labels = case["labels"].as_array().unwrap().iter();
        let labels = labels.map(|label| label.as_u64().unwrap() as u32);
        let known: Vec<(String, u32)> = texts(&case["texts"])
            .map(str::to_owned)
            .zip(labels)
            .collect();
        let classes = case["classes"].as_u64().unwrap() as usize;
        let fitted = BagOfWords::fit(known.clone(), classes).unwrap();
        let words = case["words"].as_object().unwrap();
        assert_eq!(fitted.words(), words.len(), "{name}");
        assert_eq!(fitted.classes(), classes);
        for (word, theirs) in words {
            let idf = fitted.idf(word).unwrap();
            assert_close(&[idf], &[theirs["idf"].as_f64().unwrap()], 1e-12, word);
            let weights = fitted.weights(word).unwrap();
            assert_close(&weights, &floats(&theirs["weights"]), 1e-5, word);
        }
        assert_close(
            fitted.intercepts(),
            &floats(&case["intercepts"]),
            1e-5,
            name,
        );
        let held: Vec<Option<&str>> = texts(&case["held"]).map(Some).collect();
        let scores = fitted.predict(held);
        assert_close(&scores, &floats(&case["scores"]), 1e-6, name);

        let mut turned = known;
        turned.reverse();
        let again = BagOfWords::fit(turned, classes).unwrap();
        assert_eq!(
            again.intercepts(),
            fitted.intercepts(),
            "whatever the order"
        );
        assert_eq!(fitted.predict([None]), fitted.predict([Some("")]));
    }
}

#[test]
fn nothing_is_fitted_to_one_class_or_no_word() {
    let texts = |texts: &[(&str, u32)]| -> Vec<(String, u32)> {
        texts
            .iter()
            .map(|(text, code)| ((*text).to_owned(), *code))
            .collect()
    };
    assert!(BagOfWords::fit(Vec::new(), 2).is_none());
    assert!(BagOfWords::fit(texts(&[("good film", 1), ("bad film", 1)]), 2).is_none());
    assert!(BagOfWords::fit(texts(&[("!", 0), ("a", 1)]), 2).is_none());
    // A class that no text is of has the least probability.
    let fitted = BagOfWords::fit(texts(&[("good film", 0), ("bad film", 2)]), 3).unwrap();
    let scores = fitted.predict([Some("good")]);
    assert!(scores[0] > scores[2] && scores[2] > scores[1], "{scores:?}");
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn as_often_right_as_scikit_learn_on_sentences_about_films() {
    let shared = std::env::var_os("SLUICE_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let read = |name: &str| fs::read_to_string(shared.join("rt-polarity").join(name));
    let (Ok(negative), Ok(positive)) = (read("rt-polarity.neg"), read("rt-polarity.pos")) else {
        return say_skipped(&format!(
            "rt-polarity is not at {} (set SLUICE_SHARED_DATA)",
            shared.display()
        ));
    };
    let negative = negative.lines().map(|line| (line.to_owned(), 0));
    let positive = positive.lines().map(|line| (line.to_owned(), 1));
    let all: Vec<(String, u32)> = negative.chain(positive).collect();
    let (mut known, mut held) = (Vec::new(), Vec::new());
    for (at, pair) in all.into_iter().enumerate() {
        match at % 5 {
            0 => held.push(pair),
            _ => known.push(pair),
        }
    }
    let theirs = &fixture("bag_of_words.json")["polarity"];
    let fitted = BagOfWords::fit(known, 2).unwrap();
    assert_eq!(theirs["words"], fitted.words());
    let scores = fitted.predict(held.iter().map(|(text, _)| Some(text.as_str())));
    let right = scores.iter().zip(&held);
    let right = right.filter(|(score, (_, code))| u32::from(**score > 0.5) == *code);
    let accuracy = right.count() as f64 / held.len() as f64;
    let theirs = theirs["accuracy"].as_f64().unwrap();
    assert!(
        (accuracy - theirs).abs() < 0.001,
        "{accuracy}, not {theirs}"
    );
}
