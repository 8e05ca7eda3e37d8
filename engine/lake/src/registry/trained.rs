//! Finding what was trained before, by how a training is known.

use super::{ModelVersion, Registry, RegistryError, TableVersion, folder, version_at};

/// How a training is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrainedAs {
    /// By its key: the same was trained on the same versions of tables.
    Key(String),
    /// The same was trained on the same rows, wherever they came from.
    Rows {
        /// What was trained, without its data.
        spec: String,
        /// The digest of the rows.
        digest: String,
    },
    /// The same was trained, on rows whose digest is known.
    Spec(String),
}

impl TrainedAs {
    /// Whether a training of this key and spec, on these tables, is meant.
    pub(super) fn fits(&self, key: &str, spec: &str, inputs: &[TableVersion]) -> bool {
        match self {
            Self::Key(wanted) => key == wanted,
            Self::Rows {
                spec: wanted,
                digest,
            } => {
                let same = |input: &TableVersion| input.digest.as_ref() == Some(digest);
                spec == wanted && inputs.iter().any(same)
            }
            Self::Spec(wanted) => {
                spec == wanted && inputs.iter().any(|input| input.digest.is_some())
            }
        }
    }
}

impl Registry {
    /// The versions of all models that were trained so: by model, then lowest first. After a
    /// crash there may be one that nothing in the state store tells of.
    pub async fn versions_trained(
        &self,
        wanted: TrainedAs,
    ) -> Result<Vec<ModelVersion>, RegistryError> {
        self.blocking(move |root| {
            let mut versions = Vec::new();
            for name in folder::model_names(root)? {
                for number in folder::version_numbers(&root.join(&name))? {
                    match version_at(root, &name, number) {
                        Ok(version)
                            if wanted.fits(&version.key, &version.spec, &version.inputs) =>
                        {
                            versions.push(version);
                        }
                        Ok(_) => {}
                        // Some other version; it is told of when it is asked for.
                        Err(error) if error.is_damage() => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(versions)
        })
        .await
    }
}
