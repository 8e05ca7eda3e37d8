//! Tokenizers in the registry: versions of their own, and those that models of texts bring.

use super::{
    ModelFormat, ModelUri, ModelVersion, Registry, RegistryError, VersionSpec, folder, nearest_of,
    version_at,
};

/// The file that makes a version one that texts can be tokenized with.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

impl ModelVersion {
    /// The version, if rows can be put through it.
    ///
    /// # Errors
    /// [`RegistryError::NoModel`] for a tokenizer.
    pub fn as_model(self) -> Result<Self, RegistryError> {
        match self.format {
            ModelFormat::Tokenizer => Err(RegistryError::NoModel {
                address: self.uri().to_string(),
                name: self.name,
            }),
            ModelFormat::XgboostJson | ModelFormat::HuggingFace | ModelFormat::Encoder => Ok(self),
        }
    }
}

impl Registry {
    /// The version that a reference to a tokenizer (see [`ModelUri::reference`]) names now:
    /// a tokenizer, or a model of texts, which brings its own. Its folder holds
    /// [`TOKENIZER_FILE`].
    ///
    /// # Errors
    /// As [`Registry::resolve`], but a bare name that is not there is a
    /// [`RegistryError::UnknownTokenizer`]; [`RegistryError::NoTokenizer`] for a model that
    /// has none.
    pub async fn resolve_tokenizer(&self, uri: &ModelUri) -> Result<ModelVersion, RegistryError> {
        let version = match self.resolve(uri).await {
            Err(RegistryError::UnknownModel { name, .. }) if uri.version == VersionSpec::Latest => {
                let known = self.tokenizers().await?;
                return Err(RegistryError::UnknownTokenizer {
                    nearest: nearest_of(&name, &known),
                    name,
                    known,
                });
            }
            resolved => resolved?,
        };
        if version.path.join(TOKENIZER_FILE).is_file() {
            return Ok(version);
        }
        Err(RegistryError::NoTokenizer {
            address: version.uri().to_string(),
        })
    }

    /// The names whose last version texts can be tokenized with.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when a folder cannot be read.
    pub async fn tokenizers(&self) -> Result<Vec<String>, RegistryError> {
        self.blocking(|root| {
            let mut names = folder::model_names(root)?;
            let mut kept = Vec::with_capacity(names.len());
            for name in names.drain(..) {
                let numbers = folder::version_numbers(&root.join(&name))?;
                let last = numbers
                    .last()
                    .map(|number| version_at(root, &name, *number));
                // What is damaged is told of when it is asked for.
                if let Some(Ok(version)) = last
                    && version.path.join(TOKENIZER_FILE).is_file()
                {
                    kept.push(name);
                }
            }
            Ok(kept)
        })
        .await
    }
}
