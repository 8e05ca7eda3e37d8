//! Where deep models compute: `device: auto | cpu | cuda[:n]`.
//!
//! [`DeviceChoice`] is what a user writes; [`open`](DeviceChoice::open) finds the device on
//! this machine. Only a build with the feature `cuda` knows CUDA; `scripts/cuda-toolkit` gets
//! what such a build takes.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use super::error::DeepError;
use crate::nearest::nearest;

/// Where a model is to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// On the first GPU that CUDA finds, else on the processor.
    #[default]
    Auto,
    /// On the processor.
    Cpu,
    /// On this GPU, by CUDA's number of it.
    Cuda(usize),
}

/// Words that say where a model is to compute, and are none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no device; there are auto, cpu, cuda and cuda:N{}", hint(.nearest))]
pub struct UnknownDevice {
    /// As it was written.
    pub given: String,
    /// The word that was probably meant.
    pub nearest: Option<String>,
}

fn hint(nearest: &Option<String>) -> String {
    let hint = nearest.as_ref();
    hint.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            _ => {}
        }
        if let Some(number) = text.strip_prefix("cuda:")
            && number.bytes().all(|digit| digit.is_ascii_digit())
            && let Ok(number) = number.parse()
        {
            return Ok(Self::Cuda(number));
        }
        Err(UnknownDevice {
            given: text.to_owned(),
            nearest: match text {
                // What others call it.
                "gpu" | "nvidia" => Some("cuda".to_owned()),
                _ => nearest(text, ["auto", "cpu", "cuda"]),
            },
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::Cpu => out.write_str("cpu"),
            Self::Cuda(number) => write!(out, "cuda:{number}"),
        }
    }
}

impl DeviceChoice {
    /// The device itself.
    ///
    /// # Errors
    ///
    /// A GPU that was asked for by name and is not there, or CUDA in a build without it.
    pub fn open(self) -> Result<Device, DeepError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(first_gpu().unwrap_or(Device::Cpu)),
            Self::Cuda(_) if !cfg!(feature = "cuda") => Err(DeepError::NoCuda { device: self }),
            Self::Cuda(number) => Device::new_cuda(number).map_err(|source| DeepError::Device {
                device: self,
                source,
            }),
        }
    }
}

/// CUDA's first GPU, where there is one that can be opened.
fn first_gpu() -> Option<Device> {
    if cfg!(feature = "cuda") {
        Device::new_cuda(0).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceChoice;

    #[test]
    fn words_become_devices_and_back() {
        for (word, device) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:13", DeviceChoice::Cuda(13)),
        ] {
            assert_eq!(word.parse(), Ok(device));
            assert_eq!(device.to_string(), word);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
    }

    #[test]
    fn other_words_are_refused_with_the_nearest() {
        for (word, hint) in [
            ("gpu", "did you mean `cuda`?"),
            ("CPU", "did you mean `cpu`?"),
            ("cudo", "did you mean `cuda`?"),
            ("cuda:", "there are auto, cpu, cuda and cuda:N"),
            ("cuda:-1", "there are auto, cpu, cuda and cuda:N"),
            ("cuda:+1", "there are auto, cpu, cuda and cuda:N"),
            (
                "cuda:99999999999999999999",
                "there are auto, cpu, cuda and cuda:N",
            ),
        ] {
            let error = word.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
            assert!(error.starts_with(&format!("`{word}` is no device")));
        }
    }

    #[test]
    fn every_build_finds_a_device_by_itself() {
        assert!(DeviceChoice::Cpu.open().unwrap().is_cpu());
        let found = DeviceChoice::Auto.open().unwrap();
        assert!(found.is_cpu() || cfg!(feature = "cuda"));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_how_to_get_one_with_it() {
        let error = DeviceChoice::Cuda(1).open().unwrap_err().to_string();
        assert_eq!(
            error,
            "`device: cuda:1` needs a build with CUDA, and this is one without: build Sluice with `--features cuda` (`scripts/cuda-toolkit` gets what that takes), or set `device: cpu`"
        );
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_gpu_that_is_not_there_is_named() {
        let error = DeviceChoice::Cuda(999).open().unwrap_err().to_string();
        assert!(error.starts_with("`device: cuda:999` cannot be opened"));
    }
}
