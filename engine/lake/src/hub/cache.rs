//! Models on this machine, in the folder that Python's `huggingface_hub` uses too.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::HubError;
use super::reference::{HubReference, is_commit};
use crate::folder;
use crate::nearest::nearest;

/// What the folder of a model begins with.
const MODEL_PREFIX: &str = "models--";
/// What stands for the slash of a name in the name of its folder.
const SLASH: &str = "--";

/// The folder of everything that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubCache {
    root: PathBuf,
}

/// A model on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What named it.
    pub reference: HubReference,
    /// The commit that it is of: the identity of its content.
    pub commit: String,
    /// The folder of its files. The files may be links, and are not to be changed.
    pub folder: PathBuf,
}

impl HubCache {
    /// The user's: `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`, as in
    /// Python (`HUGGINGFACE_HUB_CACHE` and `XDG_CACHE_HOME` count, too).
    ///
    /// # Errors
    /// [`HubError::NoHome`] when nothing says where that is.
    pub fn of_user() -> Result<Self, HubError> {
        Self::by(|name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        })
    }

    /// The cache in a folder, which need not be there yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn by(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, HubError> {
        let home = || variable("HOME").or_else(|| variable("USERPROFILE"));
        let given = |name: &str| {
            let path = variable(name)?;
            match path.strip_prefix("~") {
                Ok(below) => home().map(|home| home.join(below)),
                Err(_) => Some(path),
            }
        };
        given("HF_HUB_CACHE")
            .or_else(|| given("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(given("HF_HOME")?.join("hub")))
            .or_else(|| Some(given("XDG_CACHE_HOME")?.join("huggingface/hub")))
            .or_else(|| Some(home()?.join(".cache/huggingface/hub")))
            .map(Self::at)
            .ok_or(HubError::NoHome)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a model of which files were pulled.
    ///
    /// # Errors
    /// [`HubError::NotPulled`], with the nearest name that was; [`HubError::Incomplete`] where
    /// a file is a link to nothing; [`HubError::Io`].
    pub fn resolve(&self, reference: &HubReference) -> Result<Snapshot, HubError> {
        let Some(commit) = self.commit(reference)? else {
            return Err(self.not_pulled(reference)?);
        };
        let folder = self.snapshot_path(reference, &commit);
        if !folder.is_dir() {
            return Err(self.not_pulled(reference)?);
        }
        if let Some(missing) = first_missing(&folder)? {
            return Err(HubError::Incomplete {
                reference: reference.clone(),
                path: missing,
            });
        }
        Ok(Snapshot {
            reference: reference.clone(),
            commit,
            folder,
        })
    }

    /// All models on this machine, by name and revision: the branches and tags of each, and
    /// commits that none of them names.
    ///
    /// # Errors
    /// [`HubError::Io`] when a folder cannot be read.
    pub fn list(&self) -> Result<Vec<Snapshot>, HubError> {
        let mut found = Vec::new();
        for model in self.models()? {
            let mut named = Vec::new();
            for revision in self.revisions(&model)? {
                let Ok(reference) = model.at(&revision) else {
                    continue;
                };
                let Some(commit) = self.commit(&reference)? else {
                    continue;
                };
                let folder = self.snapshot_path(&model, &commit);
                if folder.is_dir() {
                    named.push(Snapshot {
                        reference,
                        commit,
                        folder,
                    });
                }
            }
            let snapshots = self.model_path(&model).join("snapshots");
            for folder in folder::entries(&snapshots).map_err(reading(&snapshots))? {
                let Some(commit) = folder::name(&folder).filter(|name| is_commit(name)) else {
                    continue;
                };
                if named.iter().all(|snapshot| snapshot.commit != commit) {
                    named.push(Snapshot {
                        reference: model.at(&commit)?,
                        commit,
                        folder,
                    });
                }
            }
            found.append(&mut named);
        }
        Ok(found)
    }

    /// The commit that a reference names here, whether its files are here or not.
    fn commit(&self, reference: &HubReference) -> Result<Option<String>, HubError> {
        let revision = reference.revision();
        if is_commit(revision) {
            return Ok(Some(revision.to_owned()));
        }
        let path = self.ref_path(reference);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let commit = text.trim();
                // What is no commit must not become a part of a path.
                Ok(is_commit(commit).then(|| commit.to_owned()))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(reading(&path)(error)),
        }
    }

    fn not_pulled(&self, reference: &HubReference) -> Result<HubError, HubError> {
        let models = self.models()?;
        let same = models.iter().any(|model| model.id() == reference.id());
        let (nearest, revisions) = if same {
            (None, self.revisions(reference)?)
        } else {
            let names: Vec<&str> = models.iter().map(HubReference::id).collect();
            let nearest = nearest(reference.id(), names.iter().copied());
            (nearest.map(str::to_owned), Vec::new())
        };
        Ok(HubError::NotPulled {
            reference: reference.clone(),
            nearest,
            revisions,
            cache: self.root.clone(),
        })
    }

    /// The models that have a folder here.
    fn models(&self) -> Result<Vec<HubReference>, HubError> {
        let folders = folder::entries(&self.root).map_err(reading(&self.root))?;
        let names = folders.iter().filter_map(|path| folder::name(path));
        let ids = names.filter_map(|name| {
            let id = name.strip_prefix(MODEL_PREFIX)?.replacen(SLASH, "/", 1);
            format!("hf:{id}").parse().ok()
        });
        Ok(ids.collect())
    }

    /// The branches and tags of a model that have been pulled, sorted.
    fn revisions(&self, model: &HubReference) -> Result<Vec<String>, HubError> {
        let root = self.model_path(model).join("refs");
        let mut found = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for path in folder::entries(&folder).map_err(reading(&folder))? {
                if path.is_dir() {
                    open.push(path);
                } else if let Some(name) = path.strip_prefix(&root).ok().and_then(Path::to_str) {
                    found.push(name.replace('\\', "/"));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    pub(super) fn model_path(&self, reference: &HubReference) -> PathBuf {
        let folder = format!("{MODEL_PREFIX}{}", reference.id().replace('/', SLASH));
        self.root.join(folder)
    }

    /// The file that is locked while a content is downloaded, as Python's `huggingface_hub`
    /// does it.
    pub(super) fn lock_path(&self, reference: &HubReference, etag: &str) -> PathBuf {
        let model = self.model_path(reference);
        let locks = self.root.join(".locks");
        locks
            .join(model.file_name().unwrap_or_default())
            .join(format!("{etag}.lock"))
    }

    pub(super) fn snapshot_path(&self, reference: &HubReference, commit: &str) -> PathBuf {
        self.model_path(reference).join("snapshots").join(commit)
    }

    pub(super) fn ref_path(&self, reference: &HubReference) -> PathBuf {
        let refs = self.model_path(reference).join("refs");
        refs.join(reference.revision())
    }
}

impl Snapshot {
    /// Its files: the path of each, and its length in bytes.
    ///
    /// # Errors
    /// [`HubError::Io`] when one cannot be read.
    pub fn files(&self) -> Result<Vec<(PathBuf, u64)>, HubError> {
        let mut files = Vec::new();
        walk(&self.folder, |path, length| {
            // What is a link to nothing has no length.
            files.push((path, length.unwrap_or_default()));
        })?;
        Ok(files)
    }
}

/// The first file of a snapshot whose content is gone.
fn first_missing(folder: &Path) -> Result<Option<PathBuf>, HubError> {
    let mut missing = None;
    walk(folder, |path, length| {
        if length.is_none() {
            missing.get_or_insert(path);
        }
    })?;
    Ok(missing)
}

/// Visits all files in and below a folder, with the length of each in bytes: none of a link
/// to nothing.
fn walk(folder: &Path, mut visit: impl FnMut(PathBuf, Option<u64>)) -> Result<(), HubError> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for path in folder::entries(&folder).map_err(reading(&folder))? {
            // Follows links.
            match fs::metadata(&path) {
                Ok(file) if file.is_dir() => open.push(path),
                Ok(file) => visit(path, Some(file.len())),
                Err(error) if is_absent(&error) => visit(path, None),
                Err(error) => return Err(reading(&path)(error)),
            }
        }
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> HubError {
    HubError::io("read", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf";

    fn by(variables: &[(&str, &str)]) -> String {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(PathBuf::from(found.1))
        };
        match HubCache::by(variable) {
            Ok(cache) => cache.root().to_str().unwrap().to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_users_folder_is_pythons() {
        let home = ("HOME", "/h");
        assert_eq!(by(&[home]), "/h/.cache/huggingface/hub");
        assert_eq!(by(&[home, ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
        let hf_home = ("HF_HOME", "~/hf");
        assert_eq!(by(&[home, ("XDG_CACHE_HOME", "/x"), hf_home]), "/h/hf/hub");
        let hub = ("HF_HUB_CACHE", "/models");
        assert_eq!(by(&[home, hf_home, hub]), "/models");
        assert!(by(&[]).contains("HF_HUB_CACHE"));
    }

    /// A model with one file, as Python leaves it.
    fn pulled() -> (tempfile::TempDir, HubCache) {
        let root = tempfile::tempdir().unwrap();
        let model = root.path().join("models--org--name");
        let snapshot = model.join("snapshots").join(COMMIT);
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(model.join("refs/refs/pr")).unwrap();
        fs::write(snapshot.join("config.json"), "{}").unwrap();
        fs::write(model.join("refs/main"), COMMIT).unwrap();
        fs::write(model.join("refs/refs/pr/1"), COMMIT).unwrap();
        let cache = HubCache::at(root.path());
        (root, cache)
    }

    fn told(cache: &HubCache, text: &str) -> String {
        let told = cache.resolve(&text.parse().unwrap());
        let told = told.unwrap_err().to_string();
        told.replace(cache.root().to_str().unwrap(), "[cache]")
    }

    #[test]
    fn branches_and_commits_resolve() {
        let (_root, cache) = pulled();
        for revision in ["", "@main", "@refs/pr/1", &format!("@{COMMIT}")] {
            let reference: HubReference = format!("hf:org/name{revision}").parse().unwrap();
            let snapshot = cache.resolve(&reference).unwrap();
            assert_eq!(snapshot.commit, COMMIT);
            assert!(snapshot.folder.join("config.json").is_file());
        }
        let listed: Vec<String> = cache
            .list()
            .unwrap()
            .iter()
            .map(|s| s.reference.to_string())
            .collect();
        assert_eq!(listed, ["hf:org/name@main", "hf:org/name@refs/pr/1"]);
        assert_eq!(HubCache::at("/no/such/folder").list().unwrap(), []);
    }

    #[test]
    fn what_is_not_there_says_how_to_get_it() {
        let (_root, cache) = pulled();
        assert_eq!(
            told(&cache, "hf:org/nam"),
            "`hf:org/nam` is not on this machine (in [cache]): run `sluice models pull hf:org/nam`; did you mean `hf:org/name`, which is?"
        );
        assert_eq!(
            told(&cache, "hf:org/name@v2"),
            "`hf:org/name@v2` is not on this machine (in [cache]): run `sluice models pull hf:org/name@v2`; of this model `main`, `refs/pr/1` are"
        );
        assert_eq!(
            told(&HubCache::at("/no/such/folder"), "hf:gpt2"),
            "`hf:gpt2` is not on this machine (in [cache]): run `sluice models pull hf:gpt2`"
        );
    }

    #[test]
    fn a_damaged_cache_is_no_way_out_of_it() {
        let (_root, cache) = pulled();
        let main = cache.ref_path(&"hf:org/name".parse().unwrap());
        fs::write(&main, "../../../etc").unwrap();
        assert!(told(&cache, "hf:org/name").contains("run `sluice models pull"));
    }

    #[cfg(unix)]
    #[test]
    fn a_content_that_is_gone_is_told() {
        let (_root, cache) = pulled();
        let snapshot = cache.resolve(&"hf:org/name".parse().unwrap()).unwrap();
        let link = snapshot.folder.join("model.safetensors");
        std::os::unix::fs::symlink("../../blobs/gone", link).unwrap();
        assert_eq!(
            told(&cache, "hf:org/name"),
            format!(
                "`hf:org/name` is not whole: [cache]/models--org--name/snapshots/{COMMIT}/model.safetensors leads to nothing; run `sluice models pull hf:org/name` again"
            )
        );
    }
}
