//! `sluice init`: a project to begin with.

mod files;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use files::{SENTIMENT, SMALL, Scaffold, WINE};
use sluice_lake::name::check_pipeline;

use super::error::CliError;
use super::print;
use crate::exit::Exit;

/// Options of `sluice init`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The project's folder, which is made if it is not there; the working folder by default
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// A copy of an example with its data, in place of a small project
    #[arg(long, value_enum, value_name = "EXAMPLE")]
    example: Option<Example>,
}

/// The examples that the binary holds.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Example {
    /// Bottles of wine: a forest, a search, scored rows.
    Wine,
    /// Sentences: a tokenizer and a BERT from scratch, evaluated.
    Sentiment,
}

/// Writes a project into a folder that is empty or not there. Nothing is ever overwritten; what
/// cannot be written whole is taken back.
///
/// # Errors
/// A folder that is not empty, or that cannot be written.
pub(super) fn init(options: &Options) -> Result<Exit, CliError> {
    let scaffold = match options.example {
        None => SMALL,
        Some(Example::Wine) => WINE,
        Some(Example::Sentiment) => SENTIMENT,
    };
    let dir = &options.dir;
    refuse_used(dir)?;
    let name = pipeline_name(dir);
    write_all(dir, &scaffold, &name)?;
    let at = match dir == Path::new(".") {
        true => String::new(),
        false => format!(" {}", dir.display()),
    };
    let files = scaffold.files.iter();
    let files: Vec<&str> = files.map(|file| file.path).collect();
    print(&format!(
        "Made a project of {} files: {}\n\nNext:\n  sluice check{at}\n  sluice test{at}\n  sluice run{at}\n",
        files.len(),
        files.join(", ")
    ))?;
    Ok(Exit::Ok)
}

/// A folder with something in it stays as it is; that it is under version control is no matter.
fn refuse_used(dir: &Path) -> Result<(), CliError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(unwritable(dir, source)),
    };
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| unwritable(dir, source))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != ".git" {
            names.push(name);
        }
    }
    names.sort();
    match names.first() {
        None => Ok(()),
        Some(first) => Err(CliError::NotEmpty {
            path: dir.to_owned(),
            first: first.clone(),
        }),
    }
}

fn unwritable(path: &Path, source: io::Error) -> CliError {
    CliError::Write {
        path: path.to_owned(),
        source,
    }
}

/// The folder's name, as far as it can name a pipeline.
fn pipeline_name(dir: &Path) -> String {
    let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    let name = name.trim_start_matches(['_', '-', '.']).to_owned();
    match check_pipeline(&name) {
        Ok(()) => name,
        Err(_) => "my_pipeline".to_owned(),
    }
}

/// Writes all files, or takes back those that were written.
fn write_all(dir: &Path, scaffold: &Scaffold, name: &str) -> Result<(), CliError> {
    let made_dir = !dir.exists();
    let mut written: Vec<PathBuf> = Vec::new();
    let mut outcome = Ok(());
    for file in scaffold.files {
        let path = dir.join(file.path);
        outcome = write_new(&path, &file.bytes(name)).map_err(|source| unwritable(&path, source));
        match outcome {
            Ok(()) => written.push(path),
            Err(_) => break,
        }
    }
    if outcome.is_err() {
        // The error that is told is why there is no project, not what taking back met.
        for path in written {
            let _gone = fs::remove_file(path);
        }
        let _gone = fs::remove_dir(dir.join("data"));
        if made_dir {
            let _gone = fs::remove_dir(dir);
        }
    }
    outcome
}

/// Writes a file that is not there yet, and the folders above it.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_the_pipeline_as_far_as_it_can() {
        for (folder, name) in [
            ("shop", "shop"),
            ("my shop", "my_shop"),
            ("../2026.q1", "2026.q1"),
            ("_private", "private"),
            ("...", "my_pipeline"),
            ("日本", "my_pipeline"),
        ] {
            assert_eq!(pipeline_name(Path::new(folder)), name, "{folder}");
        }
    }

    #[test]
    fn no_example_reads_what_is_outside_its_folder() {
        for scaffold in [SMALL, WINE, SENTIMENT] {
            for file in scaffold.files {
                if !file.path.ends_with(".yaml") && !file.path.ends_with(".sql") {
                    continue;
                }
                let text = String::from_utf8(file.bytes("p")).unwrap();
                assert!(!text.contains("../"), "{}", file.path);
            }
            let has = |path: &str| scaffold.files.iter().any(|file| file.path == path);
            assert!(has("pipeline.yaml") && has(".gitignore"));
        }
    }
}
