//! Search spaces and the samplers that pick points in them.

mod grid;
mod sampler;
mod space;
mod surrogate;

pub(crate) use sampler::Settings;
pub use sampler::{SAMPLERS, Sampler, SamplerSpec, sampler_names};
pub use space::{Coordinate, Dimension, Point, Range, SearchSpace, is_search_space, param_text};
