//! Gradients against central finite differences.

use candle_core::{DType, Device, Tensor, Var};
use sluice_learn::deep::bert::{Head, LossOptions, Targets, TextModel, TokenBatch};
use sluice_learn::deep::layer::Pass;
use sluice_learn::deep::tokenizer::Tokens;
use sluice_learn::deep::{loss, op};

use crate::deep_fixtures::{devices, random_values, tiny_bert, tiny_distilbert};

/// Every variable has a gradient that is not 0 and whose product with a random direction
/// is the slope of the loss in that direction, to `1e-6` of its size. Names in `flat` are
/// of variables that the loss does not depend on for a reason: theirs must be 0.
fn check(vars: &[(String, Var)], flat: &[&str], loss: impl Fn() -> Tensor) {
    const STEP: f64 = 1e-5;
    let gradients = loss().backward().unwrap();
    assert!(!vars.is_empty());
    for (number, (name, var)) in vars.iter().enumerate() {
        let gradient = gradients
            .get(var)
            .unwrap_or_else(|| panic!("{name} has no gradient"));
        let gradient: Vec<f64> = gradient.flatten_all().unwrap().to_vec1().unwrap();
        let largest = gradient.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
        if flat.iter().any(|part| name.contains(part)) {
            assert!(largest < 1e-12, "{name}: {largest}");
            continue;
        }
        assert!(largest > 1e-9, "the gradient of {name} is 0");
        let direction = random_values(number as u64 + 100, gradient.len());
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let start = var.as_detached_tensor().copy().unwrap();
        let towards = Tensor::from_vec(direction, var.shape(), var.device()).unwrap();
        let at = |distance: f64| {
            var.set(&(&start + (&towards * distance).unwrap()).unwrap())
                .unwrap();
            loss().to_scalar::<f64>().unwrap()
        };
        let measured = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        var.set(&start).unwrap();
        let tolerance = 1e-6 * slope.abs().max(1.0);
        assert!(
            (slope - measured).abs() < tolerance,
            "{name}: the gradient says {slope}, the loss {measured}"
        );
    }
}

fn var(device: &Device, seed: u64, shape: &[usize]) -> Var {
    let values = random_values(seed, shape.iter().product());
    Var::from_vec(values, shape, device).unwrap()
}

fn named(vars: &[(&str, &Var)]) -> Vec<(String, Var)> {
    vars.iter()
        .map(|(name, var)| ((*name).to_owned(), (*var).clone()))
        .collect()
}

/// A scalar that weighs all numbers of `value` differently.
fn weighed(value: &Tensor) -> Tensor {
    let weights = random_values(7, value.elem_count());
    let weights = Tensor::from_vec(weights, value.shape(), value.device()).unwrap();
    (value * weights).unwrap().sum_all().unwrap()
}

#[test]
fn of_every_operation() {
    for device in devices() {
        of_every_operation_on(&device);
    }
}

fn of_every_operation_on(device: &Device) {
    let (x, y) = (var(device, 1, &[6, 8]), var(device, 2, &[6, 8]));
    let (scale, shift) = (var(device, 3, &[8]), var(device, 4, &[8]));
    let (weight, bias) = (var(device, 5, &[3, 8]), var(device, 6, &[3]));
    check(&named(&[("x", &x)]), &[], || {
        weighed(&op::gelu(&x).unwrap())
    });
    check(
        &named(&[("x", &x), ("w", &weight), ("b", &bias)]),
        &[],
        || weighed(&op::linear(&x, &weight, &bias).unwrap()),
    );
    check(
        &named(&[("x", &x), ("r", &y), ("scale", &scale), ("shift", &shift)]),
        &[],
        || weighed(&op::layer_norm(&x, Some(&y), &scale, &shift, 1e-6).unwrap()),
    );
    check(
        &named(&[("x", &x), ("scale", &scale), ("shift", &shift)]),
        &[],
        || weighed(&op::layer_norm(&x, None, &scale, &shift, 1e-6).unwrap()),
    );
    let ids = [0, 5, 5, 2].into();
    check(&named(&[("table", &x)]), &[], || {
        weighed(&op::embedding(&x, &ids).unwrap())
    });
    let keep = op::Keep::new(0.4, 3);
    check(&named(&[("x", &x)]), &[], || {
        weighed(&op::dropout(&x, keep).unwrap())
    });
}

#[test]
fn of_attention() {
    for device in devices() {
        of_attention_on(&device);
    }
}

fn of_attention_on(device: &Device) {
    let shape = op::AttentionShape {
        batch: 2,
        seq: 3,
        heads: 2,
        size: 4,
    };
    let (q, k, v) = (
        var(device, 1, &[6, 8]),
        var(device, 2, &[6, 8]),
        var(device, 3, &[6, 8]),
    );
    let mask = [true, true, true, true, true, false].into();
    for keep in [None, Some(op::Keep::new(0.3, 11))] {
        check(&named(&[("q", &q), ("k", &k), ("v", &v)]), &[], || {
            weighed(&op::attention(&q, &k, &v, shape, &mask, keep).unwrap())
        });
    }
}

#[test]
fn of_every_loss() {
    for device in devices() {
        of_every_loss_on(&device);
    }
}

fn of_every_loss_on(device: &Device) {
    let logits = var(device, 1, &[5, 4]);
    let classes = op::ClassLoss {
        targets: [0, 3, 1, 1, 2].into(),
        class_weights: Some([0.5, 2.0, 1.0, 3.0].into()),
        smoothing: 0.1,
    };
    check(&named(&[("logits", &logits)]), &[], || {
        loss::cross_entropy(&logits, classes.clone()).unwrap()
    });
    let targets = var(device, 2, &[5, 4]).as_detached_tensor();
    check(&named(&[("logits", &logits)]), &[], || {
        loss::binary_cross_entropy(&logits, &targets).unwrap()
    });
    check(&named(&[("logits", &logits)]), &[], || {
        loss::mean_squared_error(&logits, &targets).unwrap()
    });
}

/// The softmax over keys does not change when all keys move alike: their bias has no
/// gradient, in BERT's and in DistilBERT's names.
const FLAT: [&str; 2] = ["key.bias", "k_lin.bias"];

fn check_model(model: &TextModel, batch: &TokenBatch, targets: &Targets) {
    let vars: Vec<(String, Var)> = model
        .parameters()
        .trainable()
        .map(|(name, var)| (name.to_owned(), var.clone()))
        .collect();
    let (all, trainable) = model.parameters().count();
    assert_eq!(all, trainable);
    check(&vars, &FLAT, || {
        // The same pass every time: the same numbers drop out.
        let mut pass = Pass::training(5, 1);
        let logits = model.logits(batch, &mut pass).unwrap();
        if *model.head() == Head::Embedding {
            return weighed(&logits);
        }
        let options = LossOptions {
            label_smoothing_factor: 0.1,
            class_weights: None,
        };
        model.head().loss(&logits, targets, &options).unwrap()
    });
}

/// Texts that use every position of a small model, so that each row has a gradient.
fn texts() -> Vec<Tokens> {
    let text = |seed: u64, length: usize, first: usize| Tokens {
        ids: random_values(seed, length)
            .iter()
            .map(|value| 3 + (value.abs() * 40.0) as u32)
            .collect(),
        first,
    };
    vec![text(1, 7, 5), text(2, 4, 4), text(3, 9, 6)]
}

#[test]
fn of_every_weight_of_bert_under_every_head() {
    let batch = TokenBatch::padded(&texts(), 0);
    let heads = [
        (
            Head::Classes(["a", "b", "c"].map(str::to_owned).to_vec()),
            Targets::Classes(vec![2, 0, 1]),
        ),
        (Head::Regression, Targets::Numbers(vec![0.5, -1.0, 2.0])),
        (Head::Embedding, Targets::Numbers(Vec::new())),
    ];
    for device in devices() {
        for (head, targets) in heads.clone() {
            let dir = tiny_bert();
            let model = TextModel::fine_tune(&dir, head, 9, &[], DType::F64, &device).unwrap();
            check_model(&model, &batch, &targets);
        }
    }
}

#[test]
fn of_every_weight_of_distilbert() {
    let batch = TokenBatch::padded(&texts(), 0);
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let head = Head::MultiLabel(labels);
    let targets = Targets::Labels(vec![1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    for device in devices() {
        let (dir, head) = (tiny_distilbert(), head.clone());
        let model = TextModel::fine_tune(&dir, head, 9, &[], DType::F64, &device).unwrap();
        check_model(&model, &batch, &targets);
    }
}

#[test]
fn nothing_is_computed_for_what_is_frozen() {
    let batch = TokenBatch::padded(&texts(), 0);
    let head = Head::Classes(["a", "b", "c"].map(str::to_owned).to_vec());
    let frozen = ["embeddings".to_owned(), "layer.0.".to_owned()];
    let model =
        TextModel::fine_tune(&tiny_bert(), head, 9, &frozen, DType::F32, &Device::Cpu).unwrap();
    let logits = model.logits(&batch, &mut Pass::evaluation()).unwrap();
    let targets = Targets::Classes(vec![2, 0, 1]);
    let loss = model
        .head()
        .loss(&logits, &targets, &LossOptions::default())
        .unwrap();
    let gradients = loss.backward().unwrap();
    for parameter in model.parameters().iter() {
        let frozen = frozen.iter().any(|part| parameter.name.contains(part));
        let has = gradients.get(&parameter.tensor).is_some();
        assert_eq!(has, !frozen, "{}", parameter.name);
    }
}
