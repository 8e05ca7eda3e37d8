//! What other devices compute, checked on a CPU: each operation composed of candle's
//! gives the values and gradients of the one with a backward pass of its own.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var};

use super::{
    AttentionShape, ClassLoss, Keep, attention, cross_entropy, dropout, embedding, gelu,
    layer_norm, linear, norm,
};
use crate::random::SplitMix64;

/// Random numbers between -1.5 and 1.5 of a shape, in `f64`.
fn random(seed: u64, shape: &[usize]) -> Var {
    let mut random = SplitMix64::stream(seed, 0);
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| (random.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0 * 3.0 - 1.5)
        .collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Both ways give the same, and the same gradients of `inputs`.
fn same(inputs: &[&Var], ours: impl Fn() -> Result<Tensor>, composed: impl Fn() -> Result<Tensor>) {
    let weigh = |value: &Tensor| {
        let weights = random(99, value.dims());
        (value * weights.as_detached_tensor()).and_then(|product| product.sum_all())
    };
    let (ours, composed) = (ours().unwrap(), composed().unwrap());
    assert_eq!(ours.dims(), composed.dims());
    let close = |what: &str, a: Vec<f64>, b: Vec<f64>| {
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-9, "{what}: {a} and {b}");
        }
    };
    close("value", values(&ours), values(&composed));
    let a = weigh(&ours).unwrap().backward().unwrap();
    let b = weigh(&composed).unwrap().backward().unwrap();
    for (number, input) in inputs.iter().enumerate() {
        let (a, b) = (a.get(input).unwrap(), b.get(input).unwrap());
        close(&format!("gradient {number}"), values(a), values(b));
    }
}

#[test]
fn elementwise_operations_and_tables_agree() {
    let x = random(1, &[5, 7]);
    same(&[&x], || gelu(&x), || super::gelu::composed(&x));
    let keep = Keep::new(0.3, 12_345);
    same(
        &[&x],
        || dropout(&x, keep),
        || super::dropout::composed(&x, keep),
    );
    let ids: Arc<[u32]> = Arc::from([3, 0, 3, 4]);
    same(
        &[&x],
        || embedding(&x, &ids),
        || super::embedding::composed(&x, &ids),
    );
}

#[test]
fn layers_agree() {
    let (x, residual) = (random(1, &[6, 5]), random(2, &[6, 5]));
    let (scale, shift) = (random(3, &[5]), random(4, &[5]));
    same(
        &[&x, &residual, &scale, &shift],
        || layer_norm(&x, Some(&residual), &scale, &shift, 1e-5),
        || norm::composed(&x, Some(&residual), &scale, &shift, 1e-5),
    );
    same(
        &[&x, &scale, &shift],
        || layer_norm(&x, None, &scale, &shift, 1e-5),
        || norm::composed(&x, None, &scale, &shift, 1e-5),
    );
    let (weight, bias) = (random(5, &[3, 5]), random(6, &[3]));
    same(
        &[&x, &weight, &bias],
        || linear(&x, &weight, &bias),
        || super::linear::composed(&x, &weight, &bias),
    );
}

#[test]
fn attention_agrees() {
    let shape = AttentionShape {
        batch: 2,
        seq: 4,
        heads: 3,
        size: 2,
    };
    let (q, k, v) = (random(1, &[8, 6]), random(2, &[8, 6]), random(3, &[8, 6]));
    let masks = [
        [true, true, true, true, true, true, false, false],
        [false, true, true, false, false, false, false, false],
    ];
    for mask in masks {
        let mask: Arc<[bool]> = Arc::from(mask);
        for keep in [None, Some(Keep::new(0.25, 77))] {
            same(
                &[&q, &k, &v],
                || attention(&q, &k, &v, shape, &mask, keep),
                || super::attention::composed(&q, &k, &v, shape, &mask, keep),
            );
        }
    }
}

#[test]
fn cross_entropy_agrees() {
    let logits = random(1, &[4, 3]);
    let loss = ClassLoss {
        targets: Arc::from([2, 0, 0, 1]),
        class_weights: Some(Arc::from([0.5, 2.0, 3.0])),
        smoothing: 0.2,
    };
    same(
        &[&logits],
        || cross_entropy(&logits, loss.clone()),
        || super::cross_entropy::composed(&logits, &loss),
    );
}
