//! AdamW, the norm of the gradients, and schedules of the learning rate.

mod adamw;
mod schedule;

pub use adamw::{AdamW, AdamWOptions};
pub use schedule::{Schedule, SchedulerType};

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::error::DeepError;
use super::op::{sum, vectorized};
use super::parameters::Parameters;

/// Gradients by the names of the weights, added up over some batches.
#[derive(Debug, Default)]
pub struct Gradients {
    of: HashMap<String, Tensor>,
}

impl Gradients {
    /// Adds the gradients of one batch.
    ///
    /// # Errors
    ///
    /// Tensors that cannot be added.
    pub fn add(&mut self, store: &mut GradStore, parameters: &Parameters) -> Result<(), DeepError> {
        for (name, var) in parameters.trainable() {
            let Some(gradient) = store.remove(var) else {
                continue;
            };
            match self.of.get_mut(name) {
                Some(total) => *total = (&*total + gradient)?,
                None => {
                    self.of.insert(name.to_owned(), gradient.contiguous()?);
                }
            }
        }
        Ok(())
    }

    /// The gradient of the weight called `name`; none where the loss does not depend on it.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.of.get(name)
    }

    /// The length of all gradients as one vector. The order of the weights decides the
    /// order of the sum, so it is the same for any number of threads.
    ///
    /// # Errors
    ///
    /// A gradient that cannot be read.
    pub fn norm(&self, parameters: &Parameters) -> Result<f64, DeepError> {
        let gradients: Vec<&Tensor> = parameters
            .trainable()
            .filter_map(|(name, _)| self.of.get(name))
            .collect();
        let squares = gradients
            .par_iter()
            .map(|gradient| sum_of_squares(gradient))
            .collect::<Result<Vec<f64>, DeepError>>()?;
        Ok(squares.iter().sum::<f64>().sqrt())
    }
}

fn sum_of_squares(tensor: &Tensor) -> Result<f64, DeepError> {
    if tensor.device().is_cpu() && tensor.dtype() == DType::F32 && tensor.is_contiguous() {
        let (storage, layout) = tensor.storage_and_layout();
        if let candle_core::Storage::Cpu(storage) = &*storage
            && let Some((start, end)) = layout.contiguous_offsets()
        {
            let values = &storage.as_slice::<f32>()?[start..end];
            return Ok(vectorized(|| squares(values)));
        }
    }
    let total = tensor.to_dtype(DType::F64)?.sqr()?.sum_all()?;
    Ok(total.to_scalar::<f64>()?)
}

#[inline(always)]
fn squares(values: &[f32]) -> f64 {
    sum(values.len(), |i| {
        f64::from(values[i]) * f64::from(values[i])
    })
}
