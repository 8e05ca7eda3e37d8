//! AdamW (Loshchilov and Hutter 2019) as PyTorch computes it, all of a weight in one pass.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result as Tensors, Tensor, Var};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use super::Gradients;
use crate::deep::error::DeepError;
use crate::deep::op::vectorized;
use crate::deep::parameters::{Parameters, open_tensors, read_bytes, read_tensor, write_tensors};

/// Numbers that one thread takes at a time.
const PIECE: usize = 16 * 1024;

/// What stays the same from step to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// How slowly the mean of the gradients forgets.
    pub adam_beta1: f64,
    /// How slowly the mean of their squares forgets.
    pub adam_beta2: f64,
    /// Added to the denominator.
    pub adam_epsilon: f64,
    /// The share of each weight that a step of rate 1 takes away; never of a bias or of a
    /// layer normalisation.
    pub weight_decay: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self {
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// The optimizer: running means of the gradients and of their squares for each weight.
#[derive(Debug)]
pub struct AdamW {
    options: AdamWOptions,
    steps: u64,
    states: Vec<State>,
}

#[derive(Debug)]
struct State {
    name: String,
    var: Var,
    decays: bool,
    means: Means,
}

/// The two means, `[elements]` each.
#[derive(Debug)]
enum Means {
    /// In memory, changed in place.
    Host(Mutex<[Vec<f32>; 2]>),
    /// On another device, or of another type than `f32`.
    Device([Tensor; 2]),
}

/// A step's factors, as they are applied.
#[derive(Debug, Clone, Copy)]
struct Factors {
    beta: [f32; 2],
    /// What the gradient is multiplied with first: for clipping and accumulation.
    gradient: f32,
    /// What is left of the weight after its decay.
    kept: f32,
    /// The rate, corrected for the first mean's start at 0.
    rate: f32,
    /// 1 / the square root of the second mean's correction.
    spread: f32,
    epsilon: f32,
}

/// Whether a weight decays: none of a bias or a layer normalisation does, as in
/// transformers' `Trainer`.
fn decays(name: &str) -> bool {
    !(name.ends_with("bias") || name.contains("LayerNorm") || name.contains("layer_norm"))
}

impl AdamW {
    /// An optimizer of all weights that train.
    ///
    /// # Errors
    ///
    /// Tensors that cannot be made.
    pub fn new(parameters: &Parameters, options: AdamWOptions) -> Result<Self, DeepError> {
        let states = parameters
            .trainable()
            .map(|(name, var)| {
                let means = if var.device().is_cpu() && var.dtype() == DType::F32 {
                    let empty = || vec![0.0; var.elem_count()];
                    Means::Host(Mutex::new([empty(), empty()]))
                } else {
                    Means::Device([var.zeros_like()?.detach(), var.zeros_like()?.detach()])
                };
                Ok(State {
                    name: name.to_owned(),
                    var: var.clone(),
                    decays: decays(name),
                    means,
                })
            })
            .collect::<Result<_, DeepError>>()?;
        Ok(Self {
            options,
            steps: 0,
            states,
        })
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Moves every weight that has a gradient, at `learning_rate`; each gradient counts
    /// `scale` times.
    ///
    /// # Errors
    ///
    /// Gradients that are not of their weight's shape.
    pub fn step(
        &mut self,
        gradients: &Gradients,
        learning_rate: f64,
        scale: f64,
    ) -> Result<(), DeepError> {
        self.steps += 1;
        let options = &self.options;
        let correction = |beta: f64| 1.0 - beta.powi(i32::try_from(self.steps).unwrap_or(i32::MAX));
        for state in &mut self.states {
            let Some(gradient) = gradients.get(&state.name) else {
                continue;
            };
            let decay = if state.decays {
                options.weight_decay
            } else {
                0.0
            };
            let kept = 1.0 - learning_rate * decay;
            let rate = learning_rate / correction(options.adam_beta1);
            let spread = 1.0 / correction(options.adam_beta2).sqrt();
            match &mut state.means {
                Means::Host(means) => {
                    let factors = Factors {
                        beta: [options.adam_beta1 as f32, options.adam_beta2 as f32],
                        gradient: scale as f32,
                        kept: kept as f32,
                        rate: rate as f32,
                        spread: spread as f32,
                        epsilon: options.adam_epsilon as f32,
                    };
                    let step = HostStep { means, factors };
                    state.var.inplace_op2(&gradient.contiguous()?, &step)?;
                }
                Means::Device([mean, square]) => {
                    let (beta1, beta2) = (options.adam_beta1, options.adam_beta2);
                    let gradient = (gradient * scale)?;
                    *mean = ((&*mean * beta1)? + (&gradient * (1.0 - beta1))?)?;
                    *square = ((&*square * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
                    let denominator = ((square.sqrt()? * spread)? + options.adam_epsilon)?;
                    let weight = (state.var.as_detached_tensor() * kept)?;
                    let moved = (weight - (mean.div(&denominator)? * rate)?)?;
                    state.var.set(&moved)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the means to a safetensors file, from which [`restore`](Self::restore)
    /// reads them.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DeepError> {
        let mut tensors = Vec::with_capacity(2 * self.states.len());
        for state in &self.states {
            for (number, key) in KEYS.into_iter().enumerate() {
                let tensor = match &state.means {
                    Means::Host(means) => {
                        let means = means.lock().unwrap_or_else(PoisonError::into_inner);
                        Tensor::from_slice(&means[number], state.var.shape(), &Device::Cpu)?
                    }
                    Means::Device(means) => means[number].to_device(&Device::Cpu)?,
                };
                tensors.push((format!("{key}.{}", state.name), tensor));
            }
        }
        write_tensors(path, tensors)
    }

    /// Takes the means of a file that [`write`](Self::write) made after `steps` steps of
    /// the same weights.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is of other weights.
    pub fn restore(&mut self, path: &Path, steps: u64) -> Result<(), DeepError> {
        let bytes = read_bytes(path)?;
        let file = open_tensors(path, &bytes)?;
        let mut problems = Vec::new();
        for state in &mut self.states {
            let var = &state.var;
            for (number, key) in KEYS.into_iter().enumerate() {
                let name = format!("{key}.{}", state.name);
                let read = read_tensor(&file, &name, var.dims(), var.dtype(), var.device())?;
                match (read, &mut state.means) {
                    (Err(problem), _) => problems.push(problem),
                    (Ok(tensor), Means::Device(means)) => means[number] = tensor,
                    (Ok(tensor), Means::Host(means)) => {
                        let means = means.get_mut().unwrap_or_else(PoisonError::into_inner);
                        means[number] = tensor.flatten_all()?.to_vec1()?;
                    }
                }
            }
        }
        self.steps = steps;
        if problems.is_empty() {
            return Ok(());
        }
        Err(DeepError::Weights {
            path: path.to_owned(),
            problems,
        })
    }
}

/// PyTorch's names of the two means.
const KEYS: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// One step of one weight, in place.
struct HostStep<'a> {
    means: &'a Mutex<[Vec<f32>; 2]>,
    factors: Factors,
}

impl InplaceOp2 for HostStep<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weight: &mut CpuStorage,
        weight_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Tensors<()> {
        let contiguous = candle_core::Error::RequiresContiguous { op: "adamw" };
        let (CpuStorage::F32(weight), Some(of_weight), Some(of_gradient)) = (
            weight,
            weight_layout.contiguous_offsets(),
            gradient_layout.contiguous_offsets(),
        ) else {
            return Err(contiguous);
        };
        let weight = &mut weight[of_weight.0..of_weight.1];
        let gradient = &gradient.as_slice::<f32>()?[of_gradient.0..of_gradient.1];
        if weight.len() != gradient.len() {
            return Err(candle_core::Error::Msg(format!(
                "adamw: {} gradients for {} weights",
                gradient.len(),
                weight.len()
            )));
        }
        let mut means = self.means.lock().unwrap_or_else(PoisonError::into_inner);
        let [mean, square] = &mut *means;
        let factors = self.factors;
        if weight.len() < 2 * PIECE {
            vectorized(|| step(factors, weight, gradient, mean, square));
            return Ok(());
        }
        weight
            .par_chunks_mut(PIECE)
            .zip(gradient.par_chunks(PIECE))
            .zip(mean.par_chunks_mut(PIECE).zip(square.par_chunks_mut(PIECE)))
            .for_each(|((weight, gradient), (mean, square))| {
                vectorized(|| step(factors, weight, gradient, mean, square));
            });
        Ok(())
    }
}

#[inline(always)]
fn step(
    factors: Factors,
    weight: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
) {
    let [beta1, beta2] = factors.beta;
    let (new1, new2) = (1.0 - beta1, 1.0 - beta2);
    let numbers = weight.iter_mut().zip(gradient);
    for ((weight, &gradient), (mean, square)) in numbers.zip(mean.iter_mut().zip(square)) {
        let gradient = gradient * factors.gradient;
        *mean = *mean * beta1 + gradient * new1;
        *square = *square * beta2 + gradient * gradient * new2;
        let denominator = square.sqrt() * factors.spread + factors.epsilon;
        *weight = *weight * factors.kept - factors.rate * *mean / denominator;
    }
}

#[cfg(test)]
mod tests {
    use super::decays;

    #[test]
    fn biases_and_layer_normalisations_do_not_decay() {
        assert!(decays("bert.embeddings.word_embeddings.weight"));
        assert!(decays("bert.encoder.layer.0.attention.self.query.weight"));
        assert!(!decays("bert.encoder.layer.0.attention.self.query.bias"));
        assert!(!decays("bert.embeddings.LayerNorm.weight"));
        assert!(!decays(
            "distilbert.transformer.layer.0.sa_layer_norm.weight"
        ));
    }
}
