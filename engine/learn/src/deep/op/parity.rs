//! What other devices compute: each operation composed of candle's gives, on a CPU and on
//! a GPU where there is one, the values and gradients of the one with a backward pass of
//! its own.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var};

use super::{
    AttentionShape, ClassLoss, Keep, attention, cross_entropy, dropout, embedding, gelu,
    layer_norm, linear, norm,
};
use crate::deep::DeviceChoice;
use crate::random::SplitMix64;

/// Random numbers between -1.5 and 1.5 of a shape, in `f64`.
fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut random = SplitMix64::stream(seed, 0);
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| (random.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0 * 3.0 - 1.5)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The value of `op` and the gradients of `inputs`, computed on `device`.
fn differentiated(
    device: &Device,
    inputs: &[Tensor],
    op: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) -> (Vec<usize>, Vec<Vec<f64>>) {
    let vars: Vec<Var> = inputs
        .iter()
        .map(|input| Var::from_tensor(&input.to_device(device).unwrap()).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let value = op(&tensors).unwrap();
    let weights = random(99, value.dims()).to_device(device).unwrap();
    let loss = value.mul(&weights).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let of_vars = vars.iter().map(|var| values(gradients.get(var).unwrap()));
    let all = std::iter::once(values(&value)).chain(of_vars);
    (value.dims().to_vec(), all.collect())
}

/// Both ways give the same, and the same gradients of `inputs`.
fn same(
    inputs: &[Tensor],
    ours: impl Fn(&[Tensor]) -> Result<Tensor>,
    composed: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let (dims, expected) = differentiated(&Device::Cpu, inputs, &ours);
    // The first GPU, or the CPU once more.
    for device in [Device::Cpu, DeviceChoice::Auto.open().unwrap()] {
        let (found, all) = differentiated(&device, inputs, &composed);
        assert_eq!(found, dims);
        for (number, (a, b)) in expected.iter().zip(&all).enumerate() {
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() < 1e-9, "{number} on {device:?}: {a} and {b}");
            }
        }
    }
}

#[test]
fn elementwise_operations_and_tables_agree() {
    let x = [random(1, &[5, 7])];
    same(&x, |x| gelu(&x[0]), |x| super::gelu::composed(&x[0]));
    let keep = Keep::new(0.3, 12_345);
    same(
        &x,
        |x| dropout(&x[0], keep),
        |x| super::dropout::composed(&x[0], keep),
    );
    let ids: Arc<[u32]> = Arc::from([3, 0, 3, 4]);
    same(
        &x,
        |x| embedding(&x[0], &ids),
        |x| super::embedding::composed(&x[0], &ids),
    );
}

#[test]
fn layers_agree() {
    let (x, residual) = (random(1, &[6, 5]), random(2, &[6, 5]));
    let (scale, shift) = (random(3, &[5]), random(4, &[5]));
    same(
        &[x.clone(), residual, scale.clone(), shift.clone()],
        |x| layer_norm(&x[0], Some(&x[1]), &x[2], &x[3], 1e-5),
        |x| norm::composed(&x[0], Some(&x[1]), &x[2], &x[3], 1e-5),
    );
    same(
        &[x.clone(), scale, shift],
        |x| layer_norm(&x[0], None, &x[1], &x[2], 1e-5),
        |x| norm::composed(&x[0], None, &x[1], &x[2], 1e-5),
    );
    same(
        &[x, random(5, &[3, 5]), random(6, &[3])],
        |x| linear(&x[0], &x[1], &x[2]),
        |x| super::linear::composed(&x[0], &x[1], &x[2]),
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
    let inputs = [random(1, &[8, 6]), random(2, &[8, 6]), random(3, &[8, 6])];
    let masks = [
        [true, true, true, true, true, true, false, false],
        [false, true, true, false, false, false, false, false],
    ];
    for mask in masks {
        let mask: Arc<[bool]> = Arc::from(mask);
        for keep in [None, Some(Keep::new(0.25, 77))] {
            same(
                &inputs,
                |x| attention(&x[0], &x[1], &x[2], shape, &mask, keep),
                |x| super::attention::composed(&x[0], &x[1], &x[2], shape, &mask, keep),
            );
        }
    }
}

#[test]
fn cross_entropy_agrees() {
    let loss = ClassLoss {
        targets: Arc::from([2, 0, 0, 1]),
        class_weights: Some(Arc::from([0.5, 2.0, 3.0])),
        smoothing: 0.2,
    };
    same(
        &[random(1, &[4, 3])],
        |x| cross_entropy(&x[0], loss.clone()),
        |x| super::cross_entropy::composed(&x[0], &loss),
    );
}
