//! What other devices compute: each operation composed of candle's gives, on a CPU and on
//! a GPU where there is one, the values and gradients of the one with a backward pass of
//! its own.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};

use super::{
    Activation, AttentionShape, BlockPlan, BlockWeights, ClassLoss, Keep, attention, block,
    cross_entropy, dropout, embedding, gelu, layer_norm, linear, norm,
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
    let tensor = tensor.to_dtype(DType::F64).unwrap();
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

/// A layer in bfloat16 gives the values and gradients of one in `f32`, to its precision.
#[test]
fn half_precision_is_as_good_as_its_numbers() {
    let list: Vec<Tensor> = of_layer(16)
        .iter()
        .map(|tensor| tensor.to_dtype(DType::F32).unwrap())
        .collect();
    let plan = BlockPlan {
        shape: AttentionShape {
            batch: 2,
            seq: 8,
            heads: 3,
            size: 2,
        },
        mask: (0..16).map(|row| row != 15).collect(),
        activation: Activation::Gelu,
        epsilon: 1e-5,
        attention_keep: Some(Keep::new(0.25, 1)),
        mixed_keep: Some(Keep::new(0.25, 2)),
        outer_keep: Some(Keep::new(0.25, 3)),
    };
    let run = |device: &Device, dtype: DType| {
        let op = |x: &[Tensor]| {
            let y = layered(&x[0].to_dtype(dtype)?, &weights(&x[1..]), &plan)?;
            assert_eq!(y.dtype(), dtype);
            y.to_dtype(DType::F64)
        };
        differentiated(device, &list, &op).1
    };
    let expected = run(&Device::Cpu, DType::F32);
    for device in [Device::Cpu, DeviceChoice::Auto.open().unwrap()] {
        let half = run(&device, DType::BF16);
        for (number, (a, b)) in expected.iter().zip(&half).enumerate() {
            let size = a.iter().map(|a| a * a).sum::<f64>().sqrt();
            let error = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
            let error = error.sum::<f64>().sqrt();
            // The keys' bias has no gradient: see the tests of models.
            let flat = number == 1 + 2 + 2;
            assert!(error < 0.06 * size || flat, "{number}: {error} of {size}");
            assert!(error > 1e-6 * size, "{number} was not computed in bf16");
        }
    }
}

/// A layer out of the single operations.
fn layered(x: &Tensor, weights: &BlockWeights<'_>, plan: &BlockPlan) -> Result<Tensor> {
    let affine = |x: &Tensor, [weight, bias]: [&Tensor; 2]| linear(x, weight, bias);
    let kept = |x: Tensor, keep: Option<Keep>| match keep {
        Some(keep) => dropout(&x, keep),
        None => Ok(x),
    };
    let [q, k, v] = [weights.query, weights.key, weights.value].map(|part| affine(x, part));
    let context = attention(&q?, &k?, &v?, plan.shape, &plan.mask, plan.attention_keep)?;
    let mixed = kept(affine(&context, weights.mixed)?, plan.mixed_keep)?;
    let [scale, shift] = weights.mixed_norm;
    let between = layer_norm(&mixed, Some(x), scale, shift, plan.epsilon)?;
    let inner = affine(&between, weights.inner)?;
    let active = match plan.activation {
        Activation::Gelu => gelu(&inner)?,
        Activation::Relu => inner.relu()?,
    };
    let outer = kept(affine(&active, weights.outer)?, plan.outer_keep)?;
    let [scale, shift] = weights.outer_norm;
    layer_norm(&outer, Some(&between), scale, shift, plan.epsilon)
}

/// The weights of a layer of width `x` and `inner`, from a list of them.
fn weights(list: &[Tensor]) -> BlockWeights<'_> {
    let pair = |place: usize| [&list[2 * place], &list[2 * place + 1]];
    BlockWeights {
        query: pair(0),
        key: pair(1),
        value: pair(2),
        mixed: pair(3),
        mixed_norm: pair(4),
        inner: pair(5),
        outer: pair(6),
        outer_norm: pair(7),
    }
}

/// An input of `rows` and the weights of a layer of width 6 and 260, which is more than one
/// piece of work.
fn of_layer(rows: usize) -> Vec<Tensor> {
    let mut list = vec![random(1, &[rows, 6])];
    for (number, (outputs, inputs)) in [
        (6, 6),
        (6, 6),
        (6, 6),
        (6, 6),
        (6, 0),
        (260, 6),
        (6, 260),
        (6, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let seed = 10 + 2 * number as u64;
        list.push(match inputs {
            0 => random(seed, &[outputs]),
            _ => random(seed, &[outputs, inputs]),
        });
        list.push(random(seed + 1, &[outputs]));
    }
    list
}

#[test]
fn a_layer_at_once_agrees_with_its_operations() {
    // Texts enough for three pieces, the last of which is shorter.
    for (batch, seq, activation) in [(7, 70, Activation::Gelu), (3, 4, Activation::Relu)] {
        let rows = batch * seq;
        for dropping in [false, true] {
            let keep = |key| dropping.then(|| Keep::new(0.25, key));
            let plan = BlockPlan {
                shape: AttentionShape {
                    batch,
                    seq,
                    heads: 3,
                    size: 2,
                },
                mask: (0..rows).map(|row| row % seq < seq - row / seq).collect(),
                activation,
                epsilon: 1e-5,
                attention_keep: keep(1),
                mixed_keep: keep(2),
                outer_keep: keep(3),
            };
            same(
                &of_layer(rows),
                |x| match x[0].device() {
                    Device::Cpu => block(&x[0], &weights(&x[1..]), plan.clone()),
                    _ => layered(&x[0], &weights(&x[1..]), &plan),
                },
                |x| layered(&x[0], &weights(&x[1..]), &plan),
            );
        }
    }
}

#[test]
fn a_layer_at_once_is_the_same_on_any_number_of_threads() {
    let (batch, seq) = (7, 70);
    let list: Vec<Tensor> = of_layer(batch * seq)
        .iter()
        .map(|tensor| tensor.to_dtype(DType::F32).unwrap())
        .collect();
    let plan = BlockPlan {
        shape: AttentionShape {
            batch,
            seq,
            heads: 3,
            size: 2,
        },
        mask: vec![true; batch * seq].into(),
        activation: Activation::Gelu,
        epsilon: 1e-5,
        attention_keep: Some(Keep::new(0.1, 1)),
        mixed_keep: Some(Keep::new(0.1, 2)),
        outer_keep: Some(Keep::new(0.1, 3)),
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            differentiated(&Device::Cpu, &list, &|x| {
                block(&x[0], &weights(&x[1..]), plan.clone())?.to_dtype(DType::F64)
            })
        })
    };
    let alone = on(1);
    assert!(on(2) == alone && on(5) == alone);
}

#[test]
fn a_layer_at_once_differentiates_what_trains_only() {
    let list = of_layer(8);
    let plan = BlockPlan {
        shape: AttentionShape {
            batch: 2,
            seq: 4,
            heads: 3,
            size: 2,
        },
        mask: vec![true; 8].into(),
        activation: Activation::Gelu,
        epsilon: 1e-5,
        attention_keep: None,
        mixed_keep: None,
        outer_keep: None,
    };
    let whole = differentiated(&Device::Cpu, &list, &|x| {
        block(&x[0], &weights(&x[1..]), plan.clone())
    });
    // Nothing, the input alone, a weight alone, a bias and a shift.
    for training in [&[][..], &[0], &[5], &[2, 16]] {
        let vars: Vec<Option<Var>> = (0..list.len())
            .map(|number| {
                let trains = training.contains(&number);
                trains.then(|| Var::from_tensor(&list[number]).unwrap())
            })
            .collect();
        let tensors: Vec<Tensor> = vars
            .iter()
            .zip(&list)
            .map(|(var, tensor)| {
                var.as_ref()
                    .map_or(tensor.clone(), |v| v.as_tensor().clone())
            })
            .collect();
        let value = block(&tensors[0], &weights(&tensors[1..]), plan.clone()).unwrap();
        assert_eq!(values(&value), whole.1[0]);
        assert_eq!(value.track_op(), !training.is_empty());
        let weigh = random(99, value.dims());
        let loss = value.mul(&weigh).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        for &number in training {
            let var = vars[number].as_ref().unwrap();
            let gradient = values(gradients.get(var).unwrap());
            assert_eq!(gradient, whole.1[1 + number], "{number}");
        }
    }
}
