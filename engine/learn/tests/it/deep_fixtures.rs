//! The small models that `benches/fixtures/bert.py` made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value;
use sluice_learn::deep::DeviceChoice;
use sluice_learn::deep::bert::TOKENIZER_FILE;
use sluice_learn::deep::tokenizer::Tokens;

use crate::tables::say_skipped;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A classifier of three classes: hidden 32, 2 layers.
pub(crate) fn tiny_bert() -> PathBuf {
    fixtures().join("tiny-bert")
}

/// A classifier of three labels: dim 16, 2 layers.
pub(crate) fn tiny_distilbert() -> PathBuf {
    fixtures().join("tiny-distilbert")
}

/// An unpacked all-MiniLM-L6-v2, if there is one.
pub(crate) fn minilm() -> Option<PathBuf> {
    let dir = std::env::var_os("SLUICE_MINILM").map_or_else(
        || {
            let root = env!("CARGO_MANIFEST_DIR");
            PathBuf::from(root).join("../../../shared/models/all-MiniLM-L6-v2")
        },
        PathBuf::from,
    );
    if dir.join(TOKENIZER_FILE).exists() {
        return Some(dir);
    }
    say_skipped(&format!(
        "all-MiniLM-L6-v2 is not at {} (set SLUICE_MINILM)",
        dir.display()
    ));
    None
}

/// The JSON of a fixture.
pub(crate) fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(fixtures().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A list of numbers within a fixture.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap().iter();
    list.map(|value| value.as_f64().unwrap()).collect()
}

/// The CPU, and the first GPU where the build knows CUDA and there is one.
pub(crate) fn devices() -> Vec<Device> {
    let mut devices = vec![Device::Cpu];
    match DeviceChoice::Auto.open().unwrap() {
        Device::Cpu if cfg!(feature = "cuda") => say_skipped("there is no GPU for its other half"),
        Device::Cpu => {}
        gpu => devices.push(gpu),
    }
    devices
}

/// The texts of a fixture as tokens.
pub(crate) fn texts(expected: &Value) -> Vec<Tokens> {
    let texts = expected["texts"].as_array().unwrap().iter();
    texts
        .enumerate()
        .map(|(number, ids)| {
            let ids: Vec<u32> = numbers(ids).iter().map(|&id| id as u32).collect();
            let first = expected["firsts"][number].as_u64();
            Tokens {
                first: first.map_or(ids.len(), |first| first as usize),
                ids,
            }
        })
        .collect()
}

/// The tensors of a safetensors file.
pub(crate) fn tensors(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// All numbers of a tensor.
pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(candle_core::DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Numbers between -1 and 1 by a seed (SplitMix64).
pub(crate) fn random_values(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / 4_503_599_627_370_496.0 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Two lists agree to `tolerance`, absolute up to 1 and relative beyond.
pub(crate) fn assert_close(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    for (number, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let error = (ours - expected).abs() / expected.abs().max(1.0);
        assert!(
            error < tolerance,
            "{what}[{number}]: {ours}, not {expected}"
        );
    }
}
