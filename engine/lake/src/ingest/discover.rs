//! Finding the files that patterns name.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use globset::GlobSet;
use walkdir::{DirEntry, WalkDir};

use super::{error::IngestError, names, read::in_background, stamp::Stamp};
use crate::glob::{self, Matching};
use crate::nearest::nearest;

/// A file that a pattern names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// The path as `_file` holds it: relative to the folder that the patterns are
    /// relative to if the file lies below it, else as the pattern leads there; without
    /// detours, with `/`.
    pub path: String,
    /// Where the file is.
    pub absolute: PathBuf,
    /// What the file system says of it.
    pub stamp: Stamp,
}

/// What to do about a pattern that matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// It is an error.
    Refuse,
    /// It is passed over: its files were ingested, and are gone.
    Ignore,
}

/// The files that match any of `patterns` (`*`, `?`, `[...]`, `{a,b}`, `**`), which
/// are relative to `base_dir` and may lead out of it. A pattern that ends in `/`, or
/// names a folder, is all files in and below it. Each file comes once, sorted
/// by its path; hidden files only where the pattern says so, and below a folder none
/// whose name begins with `_`. No file is opened: [`survey`](super::survey) reads them.
///
/// # Errors
/// [`IngestError::NoMatch`] when a pattern matches nothing, with the nearest name;
/// [`IngestError::Pattern`], [`IngestError::FileName`], [`IngestError::Unreadable`].
pub async fn find_files(
    base_dir: &Path,
    patterns: &[String],
    unmatched: Unmatched,
) -> Result<Vec<FoundFile>, IngestError> {
    let (base_dir, patterns) = (base_dir.to_owned(), patterns.to_vec());
    in_background("files", move || find(&base_dir, &patterns, unmatched)).await
}

/// The matching files, by their `_file` path.
fn find(
    base_dir: &Path,
    patterns: &[String],
    unmatched: Unmatched,
) -> Result<Vec<FoundFile>, IngestError> {
    let mut found = BTreeMap::new();
    for pattern in patterns {
        match find_one(base_dir, pattern) {
            Ok(matches) => {
                let by_path =
                    |(file, is_link): (FoundFile, bool)| (file.path.clone(), (file, is_link));
                found.extend(matches.into_iter().map(by_path));
            }
            Err(IngestError::NoMatch { .. }) if unmatched == Unmatched::Ignore => {}
            Err(error) => return Err(error),
        }
    }
    // Two ways to one file are one file.
    let (mut seen, mut folders) = (HashSet::new(), HashMap::new());
    found.retain(
        |_, (file, is_link)| match real_path(&file.absolute, *is_link, &mut folders) {
            Some(real) => seen.insert(real),
            None => true,
        },
    );
    Ok(found.into_values().map(|(file, _)| file).collect())
}

/// Where a file really is. Most files of a folder are no links: it is asked for once.
fn real_path(
    file: &Path,
    is_link: bool,
    folders: &mut HashMap<PathBuf, Option<PathBuf>>,
) -> Option<PathBuf> {
    if is_link {
        return fs::canonicalize(file).ok();
    }
    let folder = file.parent()?;
    if !folders.contains_key(folder) {
        folders.insert(folder.to_owned(), fs::canonicalize(folder).ok());
    }
    Some(folders.get(folder)?.as_ref()?.join(file.file_name()?))
}

/// The files that match one pattern, and whether each is a link.
fn find_one(base_dir: &Path, pattern: &str) -> Result<Vec<(FoundFile, bool)>, IngestError> {
    let is_folder = pattern.ends_with('/') || base_dir.join(pattern).is_dir();
    let split = if is_folder && !pattern.trim().is_empty() {
        Pattern::parse(&format!("{}/**", pattern.trim_end_matches('/')))?
    } else {
        Pattern::parse(pattern)?
    };
    let folder = base_dir.join(&split.folder);
    let named = names::folder_name(base_dir, &split.folder);
    let base = Path::new(&named).is_absolute().then_some(base_dir);
    let base = base.and_then(names::absolute);
    let mut matches = Vec::new();
    let walk = WalkDir::new(&folder)
        .min_depth(1)
        .max_depth(split.max_depth)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || split.hidden || !is_hidden(entry.file_name()));
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            // No such folder: nothing matches. A link to nowhere: no file either.
            Err(error) if error.io_error().is_some_and(is_not_found) => continue,
            Err(error) => {
                let path = error.path().unwrap_or(&folder).to_owned();
                return Err(IngestError::unreadable(path, error.into()));
            }
        };
        let inside = entry.path().strip_prefix(&folder).unwrap_or(entry.path());
        let left_out = is_folder && entry.file_name().as_encoded_bytes().starts_with(b"_");
        if !entry.file_type().is_file() || !split.matcher.is_match(inside) || left_out {
            continue;
        }
        let Some(inside) = inside.to_str() else {
            return Err(IngestError::FileName {
                path: entry.into_path(),
            });
        };
        let inside = inside.replace(std::path::MAIN_SEPARATOR, "/");
        let is_link = entry.path_is_symlink();
        let path = match &base {
            // The folder of a pattern may be one that the project lies in.
            Some(base) => names::below(base, format!("{named}{inside}")),
            None => format!("{named}{inside}"),
        };
        if let Some(file) = stamped(path, entry)? {
            matches.push((file, is_link));
        }
    }
    if matches.is_empty() {
        return Err(no_match(pattern, &folder, &split.rest));
    }
    Ok(matches)
}

/// The file with its stamp; `None` when it has just gone.
fn stamped(path: String, entry: DirEntry) -> Result<Option<FoundFile>, IngestError> {
    let stamp = match entry.metadata() {
        Ok(metadata) => Stamp::of(&metadata),
        Err(error) if error.io_error().is_some_and(is_not_found) => return Ok(None),
        Err(error) => return Err(IngestError::unreadable(entry.path(), error.into())),
    };
    Ok(Some(FoundFile {
        path,
        absolute: entry.into_path(),
        stamp,
    }))
}

fn is_not_found(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// A pattern, divided where its first wildcard stands.
struct Pattern {
    /// The folder that is searched: empty, or ending in `/`.
    folder: String,
    /// The pattern inside the folder.
    rest: String,
    matcher: GlobSet,
    max_depth: usize,
    hidden: bool,
}

impl Pattern {
    fn parse(pattern: &str) -> Result<Self, IngestError> {
        let bad = |reason: String| IngestError::Pattern {
            pattern: pattern.to_owned(),
            reason,
        };
        if pattern.trim().is_empty() {
            return Err(bad("it is empty".to_owned()));
        }
        let wildcard = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
        let slash = pattern[..wildcard].rfind('/').map_or(0, |slash| slash + 1);
        let (folder, rest) = pattern.split_at(slash);
        let matcher = glob::compile(rest, Matching::Paths).map_err(bad)?;
        let max_depth = if rest.contains("**") {
            usize::MAX
        } else {
            rest.split('/').count()
        };
        Ok(Self {
            folder: folder.to_owned(),
            rest: rest.to_owned(),
            matcher,
            max_depth,
            hidden: rest.split('/').any(|part| part.starts_with('.')),
        })
    }
}

/// The error for a pattern without a match: the nearest name in the folder that
/// was searched, or in the deepest folder above it that exists.
fn no_match(pattern: &str, folder: &Path, rest: &str) -> IngestError {
    let mut searched = folder.to_owned();
    let mut wanted = rest.to_owned();
    while !searched.is_dir() {
        let Some(name) = searched.file_name().and_then(|name| name.to_str()) else {
            break;
        };
        wanted = name.to_owned();
        if !searched.pop() {
            break;
        }
    }
    let names: Vec<String> = fs::read_dir(&searched)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    IngestError::NoMatch {
        pattern: pattern.to_owned(),
        folder: searched,
        nearest: nearest(&wanted, &names).map(str::to_owned),
    }
}
