//! A model's weights by name: read from a safetensors file or drawn by a seed.
//!
//! A model's constructor asks a [`ParameterSource`] for each of its weights and then
//! [`finish`](ParameterSource::finish)es it, which gives the [`Parameters`] or everything
//! that is wrong with the file at once.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use safetensors::SafeTensors;

use super::error::{DeepError, TensorProblem};
use crate::random::SplitMix64;

/// How a weight starts when it is not read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Normally distributed around 0, with this deviation.
    Normal(f64),
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
}

/// One weight of a model.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name in a Hugging Face file.
    pub name: String,
    /// Its values; they change in place while it trains.
    pub tensor: Tensor,
    /// The variable, where it trains.
    pub var: Option<Var>,
}

/// All weights of a model, in the order in which it asked for them.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    list: Vec<Parameter>,
    fresh: Vec<String>,
}

impl Parameters {
    /// Every weight.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter()
    }

    /// The weights that train, with their names.
    pub fn trainable(&self) -> impl Iterator<Item = (&str, &Var)> {
        let list = self.list.iter();
        list.filter_map(|parameter| Some((parameter.name.as_str(), parameter.var.as_ref()?)))
    }

    /// The names of the weights that were drawn and not read.
    pub fn fresh(&self) -> &[String] {
        &self.fresh
    }

    /// How many numbers there are, and how many of them train.
    pub fn count(&self) -> (usize, usize) {
        let size = |parameter: &Parameter| parameter.tensor.elem_count();
        let all = self.list.iter().map(size).sum();
        let trainable = self.list.iter().filter(|parameter| parameter.var.is_some());
        (all, trainable.map(size).sum())
    }

    /// Writes all weights to a safetensors file, as `f32` in row-major order. The file
    /// carries the note that Hugging Face's loader asks for.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DeepError> {
        let tensors: Vec<(String, Tensor)> = self
            .list
            .iter()
            .map(|parameter| Ok((parameter.name.clone(), host_f32(&parameter.tensor)?)))
            .collect::<Result<_, candle_core::Error>>()?;
        write_tensors(path, tensors)
    }

    /// Sets the weights that train to those of a file that [`write`](Self::write) made of
    /// the same model.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or belongs to another model.
    pub fn restore(&self, path: &Path) -> Result<(), DeepError> {
        let bytes = read_bytes(path)?;
        let file = open_tensors(path, &bytes)?;
        let mut problems = Vec::new();
        for (name, var) in self.trainable() {
            match read_tensor(&file, name, var.dims(), var.dtype(), var.device())? {
                Ok(tensor) => var.set(&tensor)?,
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(DeepError::Weights {
            path: path.to_owned(),
            problems,
        })
    }
}

/// `tensor` on the CPU in `f32`.
fn host_f32(tensor: &Tensor) -> Result<Tensor, candle_core::Error> {
    tensor
        .detach()
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?
        .contiguous()
}

/// Writes named tensors to a safetensors file.
pub(super) fn write_tensors(path: &Path, tensors: Vec<(String, Tensor)>) -> Result<(), DeepError> {
    let note = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(note), path).map_err(|source| match source {
        safetensors::SafeTensorError::IoError(source) => DeepError::io("write", path)(source),
        source => DeepError::Safetensors {
            path: path.to_owned(),
            source,
        },
    })
}

pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, DeepError> {
    fs::read(path).map_err(DeepError::io("read", path))
}

/// The tensors in `bytes`, the content of the file `path`.
pub(super) fn open_tensors<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, DeepError> {
    if let Some(needed_bytes) = announced_length(bytes)
        && needed_bytes > bytes.len() as u64
    {
        return Err(DeepError::Truncated {
            path: path.to_owned(),
            needed_bytes,
            found_bytes: bytes.len() as u64,
        });
    }
    SafeTensors::deserialize(bytes).map_err(|source| DeepError::Safetensors {
        path: path.to_owned(),
        source,
    })
}

/// How long a safetensors file must be by its own header: 8 bytes of length, the header,
/// and up to the end of the last tensor. `None` when the header is no header.
fn announced_length(bytes: &[u8]) -> Option<u64> {
    /// The longest header that the format allows.
    const LONGEST_HEADER: u64 = 100_000_000;
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let header = u64::from_le_bytes(*length);
    if header > LONGEST_HEADER {
        return None;
    }
    let Some(text) = rest.get(..usize::try_from(header).ok()?) else {
        return Some(8 + header);
    };
    let entries: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).ok()?;
    let end = entries
        .values()
        .filter_map(|entry| entry.get("data_offsets")?.get(1)?.as_u64())
        .max()?;
    Some(8 + header + end)
}

/// The tensor called `name`, or how it differs from what is needed.
pub(super) fn read_tensor(
    file: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> Result<Result<Tensor, TensorProblem>, DeepError> {
    let problem = |found| TensorProblem {
        name: name.to_owned(),
        needed: shape.to_vec(),
        found,
    };
    let Ok(view) = file.tensor(name) else {
        return Ok(Err(problem(None)));
    };
    if view.shape() != shape {
        return Ok(Err(problem(Some(view.shape().to_vec()))));
    }
    let tensor = candle_core::safetensors::Load::load(&view, &Device::Cpu)?;
    Ok(Ok(tensor.to_dtype(dtype)?.to_device(device)?))
}

/// Where a model gets its weights from, and which of them train.
#[derive(Debug)]
pub struct ParameterSource {
    device: Device,
    dtype: DType,
    file: Option<(PathBuf, Vec<u8>)>,
    seed: u64,
    trains: bool,
    frozen: Vec<String>,
    list: Vec<Parameter>,
    fresh: Vec<String>,
    problems: Vec<TensorProblem>,
}

impl ParameterSource {
    /// Weights that are drawn by `seed`, in numbers of `dtype` on `device`.
    pub fn fresh(seed: u64, dtype: DType, device: &Device) -> Self {
        Self {
            device: device.clone(),
            dtype,
            file: None,
            seed,
            trains: true,
            frozen: Vec::new(),
            list: Vec::new(),
            fresh: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Weights of a safetensors file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is cut off, or is none of that format.
    pub fn file(path: &Path, seed: u64, dtype: DType, device: &Device) -> Result<Self, DeepError> {
        let bytes = read_bytes(path)?;
        open_tensors(path, &bytes)?;
        Ok(Self {
            file: Some((path.to_owned(), bytes)),
            ..Self::fresh(seed, dtype, device)
        })
    }

    /// Lets no weight train: for a model that is only applied.
    pub fn frozen(mut self) -> Self {
        self.trains = false;
        self
    }

    /// Keeps the weights whose name contains one of `parts` as they are.
    pub fn freeze(mut self, parts: &[String]) -> Self {
        self.frozen = parts.to_vec();
        self
    }

    /// Whether the file has a tensor called `name`; never without a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.shape_in_file(name).is_some()
    }

    /// The shape of the file's tensor called `name`.
    pub(super) fn shape_in_file(&self, name: &str) -> Option<Vec<usize>> {
        let (_, bytes) = self.file.as_ref()?;
        let file = SafeTensors::deserialize(bytes).ok()?;
        Some(file.tensor(name).ok()?.shape().to_vec())
    }

    /// The weight that will be written as `name`; in the file it has one of the names
    /// `stored`. Without a file it starts as `init` says. A tensor that the file lacks is
    /// noted as a problem.
    ///
    /// # Errors
    ///
    /// A tensor that cannot be made.
    pub fn take(
        &mut self,
        name: &str,
        stored: &[String],
        shape: &[usize],
        init: Init,
    ) -> Result<Tensor, DeepError> {
        let Some((path, bytes)) = &self.file else {
            return self.draw(name, shape, init);
        };
        let file = open_tensors(path, bytes)?;
        let found = stored.iter().find(|name| file.tensor(name).is_ok());
        let stored = found.or(stored.first()).map_or(name, String::as_str);
        match read_tensor(&file, stored, shape, self.dtype, &self.device)? {
            Ok(tensor) => self.add(name, tensor),
            Err(problem) => {
                self.problems.push(problem);
                Ok(Tensor::zeros(shape, self.dtype, &self.device)?)
            }
        }
    }

    /// A weight that starts as `init` says, whatever the file holds.
    ///
    /// # Errors
    ///
    /// A tensor that cannot be made.
    pub fn draw(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor, DeepError> {
        let tensor = match init {
            Init::Zeros => Tensor::zeros(shape, self.dtype, &self.device)?,
            Init::Ones => Tensor::ones(shape, self.dtype, &self.device)?,
            Init::Normal(deviation) => {
                let count = shape.iter().product();
                let values = normal(self.seed, name, deviation, count);
                Tensor::from_vec(values, shape, &Device::Cpu)?
                    .to_dtype(self.dtype)?
                    .to_device(&self.device)?
            }
        };
        self.fresh.push(name.to_owned());
        self.add(name, tensor)
    }

    fn add(&mut self, name: &str, tensor: Tensor) -> Result<Tensor, DeepError> {
        let trains = self.trains && !self.frozen.iter().any(|part| name.contains(part.as_str()));
        let var = if trains {
            Some(Var::from_tensor(&tensor)?)
        } else {
            None
        };
        let tensor = var.as_ref().map_or(tensor, |var| var.as_tensor().clone());
        self.list.push(Parameter {
            name: name.to_owned(),
            tensor: tensor.clone(),
            var,
        });
        Ok(tensor)
    }

    /// All weights that were asked for.
    ///
    /// # Errors
    ///
    /// Every tensor that the file lacks or has in another shape.
    pub fn finish(self) -> Result<Parameters, DeepError> {
        match self.file {
            Some((path, _)) if !self.problems.is_empty() => Err(DeepError::Weights {
                path,
                problems: self.problems,
            }),
            _ => Ok(Parameters {
                list: self.list,
                fresh: self.fresh,
            }),
        }
    }
}

/// Normally distributed numbers by a seed and a name (Box and Muller 1958), so that no
/// weight depends on which others there are.
fn normal(seed: u64, name: &str, deviation: f64, count: usize) -> Vec<f64> {
    let mut hash = [0; 8];
    hash.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..8]);
    let mut random = SplitMix64::stream(seed, u64::from_le_bytes(hash));
    // In (0, 1]: the logarithm is finite.
    let mut uniform = || ((random.next_u64() >> 11) as f64 + 1.0) / 9_007_199_254_740_992.0;
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * uniform().ln()).sqrt() * deviation;
        let angle = std::f64::consts::TAU * uniform();
        values.push(radius * angle.cos());
        values.push(radius * angle.sin());
    }
    values.truncate(count);
    values
}
