//! Times of the deep models' operations and of a training step of MiniLM's shape.
//!
//! `cargo bench -p sluice-learn --bench deep` prints the least of some runs of each, in
//! milliseconds, on all threads. Compare with another program only on an idle machine.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor, Var};
use sluice_learn::deep::bert::{BertConfig, Head, LossOptions, Targets, TextModel, TokenBatch};
use sluice_learn::deep::layer::Pass;
use sluice_learn::deep::op::{self, AttentionShape, Keep};
use sluice_learn::deep::optimizer::{AdamW, AdamWOptions, Gradients};
use sluice_learn::deep::tokenizer::Tokens;

/// Runs of each measurement.
const RUNS: usize = 15;

fn least(runs: usize, mut work: impl FnMut()) -> f64 {
    let times = (0..runs).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    });
    times.fold(f64::INFINITY, f64::min)
}

fn random(shape: &[usize]) -> Var {
    Var::randn_f64(0.0, 1.0, shape, DType::F32, &Device::Cpu).expect("a tensor fits the memory")
}

/// Prints the times of `forward` alone and with its backward pass.
fn time(name: &str, inputs: &[&Var], forward: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let detached: Vec<Tensor> = inputs.iter().map(|var| var.as_detached_tensor()).collect();
    let tracked: Vec<Tensor> = inputs.iter().map(|var| var.as_tensor().clone()).collect();
    let run = |inputs: &[Tensor]| forward(inputs).expect("shapes go together");
    let ahead = least(RUNS, || {
        black_box(run(&detached));
    });
    let both = least(RUNS, || {
        let loss = run(&tracked).sum_all().expect("a sum");
        black_box(loss.backward().expect("a backward pass"));
    });
    println!("{name:<44} {ahead:>9.2} {both:>9.2}");
}

fn operations() {
    println!("{:<44} {:>9} {:>9}", "[ms]", "forward", "+backward");
    let x = random(&[2048, 1536]);
    time("gelu [2048, 1536]", &[&x], |x| op::gelu(&x[0]));
    time("candle gelu_erf [2048, 1536]", &[&x], |x| x[0].gelu_erf());
    let keep = Keep::new(0.1, 7);
    time("dropout [2048, 1536]", &[&x], |x| op::dropout(&x[0], keep));
    let (a, b) = (random(&[2048, 384]), random(&[2048, 384]));
    let (scale, shift) = (random(&[384]), random(&[384]));
    time(
        "layer norm with residual [2048, 384]",
        &[&a, &b, &scale, &shift],
        |x| op::layer_norm(&x[0], Some(&x[1]), &x[2], &x[3], 1e-12),
    );
    let shape = AttentionShape {
        batch: 32,
        seq: 64,
        heads: 12,
        size: 32,
    };
    let mask: Arc<[bool]> = vec![true; 2048].into();
    let v = random(&[2048, 384]);
    time("attention [32, 12, 64, 64], head 32", &[&a, &b, &v], |x| {
        op::attention(&x[0], &x[1], &x[2], shape, &mask, Some(keep))
    });
    let (w1, b1) = (random(&[1536, 384]), random(&[1536]));
    let (w2, b2) = (random(&[384, 1536]), random(&[384]));
    time("linear [2048, 384] to 1536", &[&a, &w1, &b1], |x| {
        op::linear(&x[0], &x[1], &x[2])
    });
    time(
        "MLP 384, 1536, 384 of 2048",
        &[&a, &w1, &b1, &w2, &b2],
        |x| op::linear(&op::gelu(&op::linear(&x[0], &x[1], &x[2])?)?, &x[3], &x[4]),
    );
}

/// A step of MiniLM's shape: batch 32, length 64.
fn training() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut config = BertConfig::bert(30_522, 384, 6, 12, 512);
    config.intermediate_size = 1536;
    let labels = ["no", "yes"].map(str::to_owned).to_vec();
    let head = Head::Classes(labels);
    let model = TextModel::scratch(config, head, 1, DType::F32, &Device::Cpu)?;
    let parameters = model.parameters();
    let texts: Vec<Tokens> = (0..32_u32)
        .map(|text| Tokens {
            ids: (0..64).map(|i| (text * 977 + i * 131) % 30_522).collect(),
            first: 64,
        })
        .collect();
    let batch = TokenBatch::padded(&texts, 0);
    let targets = Targets::Classes((0..32).map(|text| text % 2).collect());
    let mut optimizer = AdamW::new(parameters, AdamWOptions::default())?;
    let mut times = [f64::INFINITY; 4];
    for step in 0..6 {
        let start = Instant::now();
        let mut marks = Vec::new();
        let mut mark = || marks.push(start.elapsed().as_secs_f64() * 1e3);
        let mut pass = Pass::training(1, step);
        let logits = model.logits(&batch, &mut pass)?;
        let loss = model
            .head()
            .loss(&logits, &targets, &LossOptions::default())?;
        mark();
        let mut store = loss.backward()?;
        mark();
        let mut gradients = Gradients::default();
        gradients.add(&mut store, parameters)?;
        let norm = gradients.norm(parameters)?;
        optimizer.step(&gradients, 5e-5, (1.0 / norm).min(1.0))?;
        mark();
        let parts = [marks[0], marks[1] - marks[0], marks[2] - marks[1], marks[2]];
        for (least, part) in times.iter_mut().zip(parts) {
            *least = least.min(part);
        }
    }
    let [forward, backward, optimizer, whole] = times;
    println!(
        "\nMiniLM, batch 32, length 64 [ms]: forward {forward:.0}, backward {backward:.0}, optimizer {optimizer:.0}"
    );
    println!(
        "a step {whole:.0} ms: {:.0} tokens a second",
        2048.0 / whole * 1e3
    );
    let start = least(5, || {
        let scores = model.logits(&batch, &mut Pass::evaluation());
        black_box(scores.expect("the batch fits").detach());
    });
    println!(
        "inference {start:.0} ms: {:.0} rows a second",
        32.0 / start * 1e3
    );
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    operations();
    training()
}
