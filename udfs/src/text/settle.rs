//! Settles the tokenizers of a statement or an expression: each reference is resolved to the
//! version that it names now, or that an asset's key holds, and loaded once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use sluice_lake::registry::{ModelUri, Registry, TOKENIZER_FILE};
use sluice_lake::sql::{Expression, Statement};

use super::bind::{TokenizerUse, bind, bind_expression, references, references_in_expression};
use super::loaded::{LoadedTokenizer, TokenizerSet};
use crate::session::{QueryError, unresolved};

/// Where tokenizers come from, and where they stay.
#[derive(Debug, Clone, Copy)]
pub struct Tokenizers<'a> {
    /// What names are resolved in.
    pub registry: &'a Registry,
    /// The ones that are loaded.
    pub set: &'a TokenizerSet,
    /// The numbers of versions that are settled, by the reference as it is written.
    pub versions: &'a BTreeMap<String, i64>,
}

impl Tokenizers<'_> {
    /// Settles a statement's calls of text functions.
    ///
    /// # Errors
    /// A call whose arguments are not right; a tokenizer that is not there, or that cannot be
    /// loaded.
    pub async fn settle(&self, statement: &mut Statement) -> Result<(), QueryError> {
        let uses = references(statement)?;
        if !uses.is_empty() {
            bind(statement, &self.load(uses).await?)?;
        }
        Ok(())
    }

    /// As [`Tokenizers::settle`], of an expression.
    ///
    /// # Errors
    /// As [`Tokenizers::settle`].
    pub async fn settle_expression(&self, expression: &mut Expression) -> Result<(), QueryError> {
        let uses = references_in_expression(expression)?;
        if !uses.is_empty() {
            bind_expression(expression, &self.load(uses).await?)?;
        }
        Ok(())
    }

    /// The address of one version for each reference; all of them are loaded then.
    async fn load(&self, uses: Vec<TokenizerUse>) -> Result<BTreeMap<String, String>, QueryError> {
        let mut addresses = BTreeMap::new();
        for TokenizerUse { written, place } in uses {
            let Entry::Vacant(free) = addresses.entry(written) else {
                continue;
            };
            let uri = ModelUri::reference(free.key());
            let uri = uri.map(|uri| match self.versions.get(free.key()) {
                Some(version) => ModelUri::number(uri.name, *version),
                None => uri,
            });
            let version = match uri {
                Ok(uri) => self.registry.resolve_tokenizer(&uri).await,
                Err(error) => Err(error),
            };
            let version = version.map_err(|error| unresolved(error, place))?;
            let address = version.uri().to_string();
            if self.set.get(&address).is_none() {
                let file = version.path.join(TOKENIZER_FILE);
                let opened = tokio::task::spawn_blocking(move || LoadedTokenizer::open(&file));
                let opened = opened.await.unwrap_or_else(|lost| Err(lost.into()));
                let opened = opened.map_err(|source| QueryError::Model {
                    address: address.clone(),
                    source,
                })?;
                self.set.insert(&address, opened);
            }
            free.insert(address);
        }
        Ok(addresses)
    }
}
