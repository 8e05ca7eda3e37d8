//! How fast a text model trains and answers: what `benches/train.py` compares PyTorch with.
//!
//! `text_speed MODEL_DIR TEXTS` opens the Hugging Face folder and the file of texts, one a
//! line, and then answers each line on its standard input with a line of seconds:
//!
//! - `train ROWS LENGTH STEPS`: so many steps of AdamW on a batch of that shape;
//! - `predict BATCH`: all texts answered once, tokenization included.
//!
//! Both use all threads of rayon's pool (`RAYON_NUM_THREADS`).

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device};
use sluice_learn::deep::bert::{
    Head, LossOptions, TOKENIZER_FILE, Targets, TextModel, TextPredictor, TokenBatch,
};
use sluice_learn::deep::layer::Pass;
use sluice_learn::deep::optimizer::{AdamW, AdamWOptions, Gradients};
use sluice_learn::deep::tokenizer::{TextTokenizer, Tokens};

/// A model in training, with the same batch again and again.
struct Training {
    model: TextModel,
    optimizer: AdamW,
    steps: u64,
}

impl Training {
    fn open(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let labels = ["no", "yes"].map(str::to_owned).to_vec();
        let head = Head::Classes(labels);
        let model = TextModel::fine_tune(dir, head, 1, &[], DType::F32, &Device::Cpu)?;
        let optimizer = AdamW::new(model.parameters(), AdamWOptions::default())?;
        Ok(Self {
            model,
            optimizer,
            steps: 0,
        })
    }

    /// One step on `rows` texts of `length` tokens, all of them different.
    fn step(&mut self, rows: u32, length: u32) -> Result<(), Box<dyn Error>> {
        let texts: Vec<Tokens> = (0..rows)
            .map(|text| Tokens {
                ids: (0..length)
                    .map(|place| 1000 + (text * 977 + place * 131) % 29_000)
                    .collect(),
                first: length as usize,
            })
            .collect();
        let batch = TokenBatch::padded(&texts, 0);
        let targets = Targets::Classes((0..rows).map(|text| text % 2).collect());
        let mut pass = Pass::training(1, self.steps);
        self.steps += 1;
        let logits = self.model.logits(&batch, &mut pass)?;
        let options = LossOptions::default();
        let loss = self.model.head().loss(&logits, &targets, &options)?;
        let mut gradients = Gradients::default();
        gradients.add(&mut loss.backward()?, self.model.parameters())?;
        let norm = gradients.norm(self.model.parameters())?;
        self.optimizer
            .step(&gradients, 5e-5, (1.0 / norm).min(1.0))?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut next = |what: &str| given.next().ok_or(format!("which {what}?"));
    let (dir, texts) = (next("model")?, std::fs::read_to_string(next("texts")?)?);
    let dir = Path::new(&dir);
    let texts: Vec<&str> = texts.lines().collect();
    let tokenizer = TextTokenizer::read(&dir.join(TOKENIZER_FILE))?;
    let mut training = Training::open(dir)?;
    let model = Arc::new(TextModel::open(dir, &Device::Cpu)?);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let begin;
        match words[..] {
            ["train", rows, length, steps] => {
                let (rows, length) = (rows.parse()?, length.parse()?);
                begin = Instant::now();
                for _ in 0..steps.parse::<usize>()? {
                    training.step(rows, length)?;
                }
            }
            ["predict", batch] => {
                let predictor =
                    TextPredictor::new(Arc::clone(&model), &tokenizer, 256, batch.parse()?)?;
                begin = Instant::now();
                let vectors = predictor.predict(&texts)?;
                assert_eq!(vectors.len(), texts.len() * model.outputs());
            }
            _ => return Err(format!("`{line}` is nothing to measure").into()),
        }
        writeln!(out, "{}", begin.elapsed().as_secs_f64())?;
        out.flush()?;
    }
    Ok(())
}
