//! One name for each file: however a pattern spells its folder, and wherever a file that is
//! known has been moved.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{self, Component, Path, PathBuf},
};

use super::{
    error::IngestError,
    read::in_background,
    survey::{FileMemory, SourceFile},
};

/// How a folder is called in the names of its files: relative to `base_dir` if it lies below
/// it, else as a pattern spells it, without detours. Empty, or ending in `/`.
pub(super) fn folder_name(base_dir: &Path, folder: &str) -> String {
    if !has_detours(folder) {
        return folder.to_owned();
    }
    let spelled = base_dir.join(folder);
    let straight = path::absolute(&spelled).map_or_else(|_| spelled.clone(), |at| straight(&at));
    // After a link, `..` leads elsewhere than the text says.
    let real = fs::canonicalize(&spelled).ok();
    let leads_there = real.is_none() || fs::canonicalize(&straight).ok() == real;
    let base = path::absolute(base_dir).map(|base| self::straight(&base));
    let below = |of: &Path, base: &Path| Some(of.strip_prefix(base).ok()?.to_owned());
    let below_base = base
        .ok()
        .filter(|_| leads_there)
        .and_then(|base| below(&straight, &base))
        .or_else(|| below(real.as_ref()?, &fs::canonicalize(base_dir).ok()?));
    let named = below_base.unwrap_or_else(|| match leads_there {
        true => self::straight(Path::new(folder)),
        false => PathBuf::from(folder),
    });
    match named.to_str() {
        Some("") => String::new(),
        Some(name) => format!("{}/", name.trim_end_matches('/')),
        None => folder.to_owned(),
    }
}

/// A folder in full, without detours.
pub(super) fn absolute(folder: &Path) -> Option<PathBuf> {
    path::absolute(folder).map(|at| straight(&at)).ok()
}

/// A file's name relative to a folder (both in full), if it lies below that, else as it is.
pub(super) fn below(folder: &Path, name: String) -> String {
    let inside = Path::new(&name).strip_prefix(folder).ok();
    match inside.and_then(Path::to_str) {
        Some(inside) => inside.to_owned(),
        None => name,
    }
}

/// Whether a folder (relative, ending in `/`, or empty) could be written shorter, or is absolute.
fn has_detours(folder: &str) -> bool {
    let inside = folder.strip_suffix('/').unwrap_or(folder);
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    !folder.is_empty() && !inside.split('/').all(plain)
}

/// A path without `.`, `//` and `x/..`.
fn straight(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        let last = straight.components().next_back();
        match (part, last) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(straight.pop()),
            (Component::ParentDir, Some(Component::RootDir)) => {}
            _ => straight.push(part),
        }
    }
    straight
}

/// Calls files by the names under which they are `known` (name to content hash): a file keeps
/// the name under which it was first read, although another spelling names it now, or it was
/// moved. It was moved if a known file is gone, and its content stands at a new place; or if
/// `memory` says that it stood there, and the content has changed since.
///
/// Names are relative to `base_dir`. Files come sorted by their names.
///
/// # Errors
/// [`IngestError`] when the file system cannot be asked.
pub async fn call_as_known(
    base_dir: &Path,
    files: Vec<SourceFile>,
    known: &BTreeMap<String, String>,
    memory: &FileMemory,
) -> Result<Vec<SourceFile>, IngestError> {
    let is_known = |file: &SourceFile| known.contains_key(&file.path);
    let found = files.iter().filter(|file| is_known(file)).count();
    if found == files.len() || found == known.len() {
        return Ok(files);
    }
    let names: HashMap<&str, ()> = files.iter().map(|file| (file.path.as_str(), ())).collect();
    let open = known.iter();
    let open = open.filter(|(name, _)| !names.contains_key(name.as_str()));
    let open: BTreeMap<String, String> = open
        .map(|(name, hash)| (name.clone(), hash.clone()))
        .collect();
    let strangers = files.iter().filter(|file| !is_known(file));
    let earlier: HashMap<String, String> = strangers
        .filter_map(|file| {
            let known = memory.get(&file.path)?;
            Some((file.path.clone(), known.content_hash.clone()))
        })
        .collect();
    let known: Vec<bool> = files.iter().map(is_known).collect();
    let base_dir = base_dir.to_owned();
    in_background("files", move || {
        let mut places = Places {
            base_dir,
            folders: HashMap::new(),
        };
        let mut open = Open::new(open, &mut places);
        let mut files = files;
        for (file, _) in files.iter_mut().zip(&known).filter(|(_, known)| !**known) {
            if let Some(name) = open.standing_at(&places.of(&file.absolute)) {
                file.path = name;
            }
        }
        for (file, _) in files.iter_mut().zip(&known).filter(|(_, known)| !**known) {
            if file.path != file.found_as {
                continue;
            }
            let moved = open.gone(&file.content_hash, &places);
            let earlier = earlier.get(&file.found_as);
            let moved = moved.or_else(|| open.gone(earlier?, &places));
            file.path = moved.unwrap_or_else(|| file.found_as.clone());
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    })
    .await
}

/// The known names that no file was found under.
struct Open {
    by_place: HashMap<PathBuf, String>,
    /// Last names first.
    by_hash: HashMap<String, Vec<String>>,
}

impl Open {
    fn new(names: BTreeMap<String, String>, places: &mut Places) -> Self {
        let mut open = Self {
            by_place: HashMap::new(),
            by_hash: HashMap::new(),
        };
        for (name, hash) in names.into_iter().rev() {
            let place = places.of(&places.base_dir.join(&name));
            open.by_place.insert(place, name.clone());
            open.by_hash.entry(hash).or_default().push(name);
        }
        open
    }

    /// The known file at a place.
    fn standing_at(&mut self, place: &Path) -> Option<String> {
        self.by_place.remove(place)
    }

    /// A known file of this content that is gone, and so stands at no place; each once.
    fn gone(&mut self, hash: &str, places: &Places) -> Option<String> {
        let names = self.by_hash.get_mut(hash)?;
        let is_gone = |name: &String| !places.base_dir.join(name).exists();
        let at = names.iter().rposition(is_gone)?;
        Some(names.remove(at))
    }
}

/// Where files really are; each folder is asked for once.
struct Places {
    base_dir: PathBuf,
    folders: HashMap<PathBuf, PathBuf>,
}

impl Places {
    fn of(&mut self, file: &Path) -> PathBuf {
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            return file.to_owned();
        };
        if let Some(real) = self.folders.get(folder) {
            return real.join(name);
        }
        let real = fs::canonicalize(folder).unwrap_or_else(|_| straight(folder));
        self.folders.insert(folder.to_owned(), real.clone());
        real.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("gr");
        fs::create_dir_all(base.join("in/deep")).unwrap();
        fs::create_dir_all(dir.path().join("out")).unwrap();
        let absolute = format!("{}/in/", base.display());
        for (folder, name) in [
            ("", ""),
            ("in/", "in/"),
            ("./", ""),
            ("./in/", "in/"),
            ("in//", "in/"),
            ("in/./deep/../", "in/"),
            ("../gr/in/", "in/"),
            ("in/../in/", "in/"),
            (&absolute, "in/"),
            ("../out/", "../out/"),
            ("./../gr/../out/", "../out/"),
            ("../nowhere/x/../", "../nowhere/"),
            ("/", "/"),
            ("/nowhere//./x/", "/nowhere/x/"),
        ] {
            assert_eq!(folder_name(&base, folder), name, "{folder:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_no_detours() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("gr");
        fs::create_dir_all(base.join("in")).unwrap();
        fs::create_dir_all(dir.path().join("far/in")).unwrap();
        fs::create_dir_all(dir.path().join("far/off")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("far/off"), base.join("link")).unwrap();
        std::os::unix::fs::symlink(&base, dir.path().join("way")).unwrap();
        assert_eq!(folder_name(&base, "link/"), "link/");
        assert_eq!(folder_name(&base, "./link/"), "link/");
        // Not the `in/` of the project.
        assert_eq!(folder_name(&base, "link/../in/"), "link/../in/");
        // The project by another way.
        assert_eq!(folder_name(&base, "../way/in/"), "in/");
    }
}
