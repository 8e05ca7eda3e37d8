//! `predict` in a query: the models that it names are resolved now, loaded once, and its
//! calls are bound to their versions and columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use sluice_lake::registry::{ModelUri, Registry, RegistryError};
use sluice_lake::sql::{SqlError, SqlErrorKind, SqlSpan, Statement, table_schemas};
use sluice_udfs::models::{self, BoundModel, LoadedModel, ModelSet, Predictor};

use super::error::CliError;
use super::session::wrong;

/// Binds every call of `predict` in a statement; those without one pass untouched.
///
/// # Errors
/// An address, model, alias or version that there is not, with what there is instead;
/// columns that do not fit; a model that cannot be loaded.
pub(super) async fn bind(
    statement: &mut Statement,
    context: &SessionContext,
    registry: &Registry,
    loaded: &ModelSet,
) -> Result<(), CliError> {
    let text = statement.text().to_owned();
    let refused = |error| wrong(&text, error);
    let addresses = models::model_addresses(statement).map_err(refused)?;
    if addresses.is_empty() {
        return Ok(());
    }
    let mut bound = BTreeMap::new();
    for (address, place) in addresses {
        if !bound.contains_key(&address) {
            let model = resolve(&address, place, &text, registry, loaded).await?;
            bound.insert(address, model);
        }
    }
    let schemas = table_schemas(context, statement).await.map_err(refused)?;
    models::bind(statement, &schemas, &bound).map_err(refused)
}

async fn resolve(
    address: &str,
    place: Option<SqlSpan>,
    text: &str,
    registry: &Registry,
    loaded: &ModelSet,
) -> Result<BoundModel, CliError> {
    let named = match address.parse::<ModelUri>() {
        Ok(uri) => registry.resolve(&uri).await,
        Err(error) => Err(error),
    };
    let version = named.map_err(|error| unresolved(error, place, text))?;
    let resolved = version.uri().to_string();
    let model = match loaded.get(&resolved) {
        Some(model) => model,
        None => {
            let folder = version.path;
            let read = tokio::task::spawn_blocking(move || LoadedModel::open(&folder)).await;
            let opened = read.unwrap_or_else(|lost| Err(lost.into()));
            let model = opened.map_err(|source| CliError::Model {
                address: resolved.clone(),
                source,
            })?;
            loaded.insert(&resolved, Arc::new(model) as Arc<dyn Predictor>)
        }
    };
    Ok(BoundModel {
        address: resolved,
        features: model.features().to_vec(),
    })
}

/// What is asked for and is not there is the query's fault and points at it; the rest is
/// the registry's.
fn unresolved(error: RegistryError, place: Option<SqlSpan>, text: &str) -> CliError {
    match error {
        RegistryError::InvalidUri { .. }
        | RegistryError::InvalidName { .. }
        | RegistryError::UnknownModel { .. }
        | RegistryError::UnknownAlias { .. }
        | RegistryError::UnknownVersion { .. } => {
            let message = error.to_string();
            wrong(
                text,
                SqlError::new(SqlErrorKind::Planning, message).at(place),
            )
        }
        other => CliError::Registry(other),
    }
}
