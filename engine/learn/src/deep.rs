//! Deep models: layers that differentiate, an encoder for text, and one trainer.
//!
//! candle computes; what trains is ours. The path of a training, in the order of the
//! modules:
//!
//! 1. [`tokenizer`]: texts become tokens.
//! 2. [`op`] and [`layer`]: operations with a backward pass of their own, and the layers
//!    made of them. No fused layer of candle-nn is used: those cut gradients silently.
//! 3. [`parameters`]: weights by Hugging Face's names, read from safetensors or drawn.
//! 4. [`bert`]: the encoder and its heads.
//! 5. [`loss`] and [`optimizer`]: what becomes smaller, and how.
//! 6. [`trainer`]: the loop, with checkpoints and evaluations.
//!
//! [`device`] says where all of it computes.

pub mod bert;
pub mod device;
pub mod error;
pub mod layer;
pub mod loss;
pub mod op;
pub mod optimizer;
pub mod parameters;
pub mod tokenizer;
pub mod trainer;

pub use device::DeviceChoice;
pub use error::DeepError;
