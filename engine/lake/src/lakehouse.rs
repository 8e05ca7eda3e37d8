//! The lakehouse as a folder: where everything lies, and which tables there are.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::LakeError,
    folder,
    name::{RESERVED_LAYERS, TableName, check_part},
    nearest::nearest,
    state::State,
};

/// A folder with Delta tables at `<layer>/<table>/` and Sluice's own things in
/// `_sluice/`, `_models/`, `_artifacts/` and `state.db`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lakehouse {
    root: Arc<Path>,
    /// A fenced store, whose lease every commit needs.
    fence: Option<State>,
}

impl Lakehouse {
    /// Opens a lakehouse for reading; nothing is written. A folder that does not
    /// exist is fine and looks empty.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when the path is not a folder;
    /// [`LakeError::EscapedPath`].
    pub fn open(root: impl AsRef<Path>) -> Result<Self, LakeError> {
        let root = root.as_ref();
        let unreadable = |source| LakeError::Unreadable {
            path: root.to_owned(),
            source,
        };
        let absolute = std::path::absolute(root).map_err(unreadable)?;
        check_escapes(&absolute)?;
        match fs::metadata(&absolute) {
            Ok(metadata) if !metadata.is_dir() => {
                Err(unreadable(io::ErrorKind::NotADirectory.into()))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unreadable(error)),
            _ => Ok(Self {
                root: absolute.into(),
                fence: None,
            }),
        }
    }

    /// Opens a lakehouse for writing, making its folder when there is none, and
    /// proves that a file can be written there.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] with the folder and what the system said;
    /// [`LakeError::EscapedPath`].
    pub fn create(root: impl AsRef<Path>) -> Result<Self, LakeError> {
        let root = root.as_ref();
        let unwritable = |source| LakeError::Unwritable {
            path: root.to_owned(),
            source,
        };
        let absolute = std::path::absolute(root).map_err(unwritable)?;
        check_escapes(&absolute)?;
        fs::create_dir_all(&absolute).map_err(unwritable)?;
        let lakehouse = Self {
            root: absolute.into(),
            fence: None,
        };
        let own = lakehouse.sluice_path();
        for folder in [own.join("projects"), own.join("locks")] {
            fs::create_dir_all(&folder).map_err(|source| LakeError::Unwritable {
                path: folder.clone(),
                source,
            })?;
        }
        lakehouse.probe().map_err(unwritable)?;
        Ok(lakehouse)
    }

    /// The same lakehouse, whose tables are committed to only while the lease of `state` (see
    /// [`State::fenced`]) is the newest.
    #[must_use]
    pub fn fenced(&self, state: State) -> Self {
        Self {
            root: Arc::clone(&self.root),
            fence: Some(state),
        }
    }

    /// The store whose lease commits need.
    pub(crate) fn fence(&self) -> Option<&State> {
        self.fence.as_ref()
    }

    /// Writes and removes an empty file: the only proof that works on every file
    /// system, and for root.
    fn probe(&self) -> io::Result<()> {
        let probe = self
            .root
            .join(format!(".sluice-probe-{}", uuid::Uuid::now_v7().simple()));
        fs::File::create_new(&probe)?;
        fs::remove_file(&probe)
    }

    /// The lakehouse's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a table, whether it exists or not.
    pub fn table_path(&self, name: &TableName) -> PathBuf {
        self.root.join(name.layer()).join(name.table())
    }

    /// The folder of the model registry's versions.
    pub fn models_path(&self) -> PathBuf {
        self.root.join("_models")
    }

    /// The folder for the artifacts of one run.
    pub fn artifacts_path(&self, run_id: &str) -> PathBuf {
        self.root.join("_artifacts").join(run_id)
    }

    /// The state store's file.
    pub fn state_path(&self) -> PathBuf {
        self.root.join("state.db")
    }

    /// The folder of Sluice's own small files: projects and locks.
    pub fn sluice_path(&self) -> PathBuf {
        self.root.join("_sluice")
    }

    /// The layers that hold at least a folder: names sorted.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when the folder cannot be listed.
    pub fn list_layers(&self) -> Result<Vec<String>, LakeError> {
        let mut layers = folders(&self.root)?;
        layers.retain(|layer| {
            check_part("layer", layer).is_ok()
                && !RESERVED_LAYERS
                    .iter()
                    .any(|r| r.eq_ignore_ascii_case(layer))
        });
        Ok(layers)
    }

    /// The tables of one layer, as it is spelled on disk: names sorted.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when the folder cannot be listed.
    pub fn list_tables_of(&self, layer: &str) -> Result<Vec<TableName>, LakeError> {
        let tables = folders(&self.root.join(layer))?;
        Ok(tables
            .into_iter()
            .filter_map(|table| TableName::new(layer, &table).ok())
            .filter(|name| self.has_table(name))
            .collect())
    }

    /// The folders of tables that a stage makes beside `table`, such as `<table>__rejected`,
    /// whether they have been committed or not.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when the layer's folder cannot be listed.
    pub fn tables_beside(&self, table: &TableName) -> Result<Vec<TableName>, LakeError> {
        let prefix = format!("{}__", table.table());
        let mut names = folders(&self.root.join(table.layer()))?;
        names.retain(|name| name.starts_with(&prefix));
        let names = names.iter();
        Ok(names
            .filter_map(|name| TableName::new(table.layer(), name).ok())
            .collect())
    }

    /// Every table of every layer, sorted by layer and name.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when a folder cannot be listed.
    pub fn list_tables(&self) -> Result<Vec<TableName>, LakeError> {
        let mut tables = Vec::new();
        for layer in self.list_layers()? {
            tables.extend(self.list_tables_of(&layer)?);
        }
        Ok(tables)
    }

    /// Whether a table of exactly this name has been committed: its log has at
    /// least one entry. (A write that was cut off may leave files without a log.)
    pub fn has_table(&self, name: &TableName) -> bool {
        let Ok(entries) = fs::read_dir(self.table_path(name).join("_delta_log")) else {
            return false;
        };
        entries
            .flatten()
            .any(|entry| log_version(&entry.file_name().to_string_lossy()).is_some())
    }

    /// The table that SQL would mean by `name`: the exact spelling when there is
    /// one, else the one that differs only in case.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when a folder cannot be listed.
    pub fn find_table(&self, name: &TableName) -> Result<Option<TableName>, LakeError> {
        if self.has_table(name) {
            return Ok(Some(name.clone()));
        }
        for layer in self.list_layers()? {
            if !layer.eq_ignore_ascii_case(name.layer()) {
                continue;
            }
            let tables = self.list_tables_of(&layer)?;
            if let Some(found) = tables.into_iter().find(|found| found.matches(name)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The error for a table that does not exist, with the nearest name that does.
    pub fn unknown_table(&self, name: &TableName) -> LakeError {
        let tables: Vec<String> = self
            .list_tables()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        LakeError::UnknownTable {
            table: name.clone(),
            nearest: nearest(&name.to_string(), &tables).and_then(|found| found.parse().ok()),
        }
    }
}

/// Refuses a path with a literal `%41` in it: Delta's kernel decodes paths once
/// more than they were encoded, and would read from another folder than it wrote.
fn check_escapes(path: &Path) -> Result<(), LakeError> {
    let text = path.as_os_str().as_encoded_bytes();
    let escape = text
        .windows(3)
        .find(|window| window[0] == b'%' && window[1..].iter().all(u8::is_ascii_hexdigit));
    match escape {
        Some(escape) => Err(LakeError::EscapedPath {
            path: path.to_owned(),
            escape: String::from_utf8_lossy(escape).into_owned(),
        }),
        None => Ok(()),
    }
}

/// The version that a file of a table's log stands for: a commit
/// (`00000000000000000000.json`) or a checkpoint.
pub(crate) fn log_version(file: &str) -> Option<u64> {
    let (version, rest) = file.split_once('.')?;
    let is_version = version.len() == 20 && version.bytes().all(|b| b.is_ascii_digit());
    if is_version && (rest == "json" || rest.starts_with("checkpoint")) {
        version.parse().ok()
    } else {
        None
    }
}

/// The names of the folders inside `path`, sorted; none when there is no `path`.
fn folders(path: &Path) -> Result<Vec<String>, LakeError> {
    let entries = folder::entries(path).map_err(|source| LakeError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let folders = entries.iter().filter(|entry| entry.is_dir());
    Ok(folders.filter_map(|entry| folder::name(entry)).collect())
}
