//! A model's folder, as Hugging Face lays it out.

use std::fs;
use std::path::{Path, PathBuf};

use crate::deep::error::DeepError;

/// The configuration.
pub const CONFIG_FILE: &str = "config.json";
/// The weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// Fills a folder so that whoever looks sees all of it or none: `fill` writes to a folder
/// beside `dir`, which then takes `dir`'s place. What stood there is gone afterwards.
///
/// # Errors
///
/// What `fill` reports, and folders that cannot be made or moved; nothing of the new
/// folder stays then.
pub fn replace_folder(
    dir: &Path,
    fill: impl FnOnce(&Path) -> Result<(), DeepError>,
) -> Result<(), DeepError> {
    let (new, old) = (beside(dir, "new"), beside(dir, "old"));
    for leftover in [&new, &old] {
        remove(leftover)?;
    }
    fs::create_dir_all(&new).map_err(DeepError::io("make", &new))?;
    let filled = fill(&new).and_then(|()| {
        sync(&new)?;
        if dir.exists() {
            fs::rename(dir, &old).map_err(DeepError::io("move", dir))?;
        }
        fs::rename(&new, dir).map_err(DeepError::io("move", &new))
    });
    if filled.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&new);
        return filled;
    }
    remove(&old)
}

/// Files on the disk before the folder gets its name.
fn sync(dir: &Path) -> Result<(), DeepError> {
    for entry in fs::read_dir(dir).map_err(DeepError::io("read", dir))? {
        let path = entry.map_err(DeepError::io("read", dir))?.path();
        fs::File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(DeepError::io("write", &path))?;
    }
    Ok(())
}

fn remove(dir: &Path) -> Result<(), DeepError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(DeepError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// A hidden neighbour of `dir`.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{name}.{suffix}"))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), DeepError> {
    fs::write(path, bytes).map_err(DeepError::io("write", path))
}
