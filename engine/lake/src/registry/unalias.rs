//! Removing an alias: a move to no version.

use crate::state::{RunId, now_ms};

use super::{
    AliasMove, ModelUri, Registry, RegistryError, alias_log, check_name, named_by, reconcile,
};

/// An alias that is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveAlias {
    /// The registered model.
    pub name: String,
    /// The alias.
    pub alias: String,
    /// The run that removes it.
    pub run_id: RunId,
    /// Why, in words; may be empty.
    pub reason: String,
}

impl Registry {
    /// Removes an alias. Its history stays, and `as_of` still reads what it named.
    ///
    /// # Errors
    /// [`RegistryError::AliasInUse`] when the present rows of a table were made by its name,
    /// [`RegistryError::UnknownModel`] or [`RegistryError::UnknownAlias`] when it is not there.
    pub async fn remove_alias(&self, request: RemoveAlias) -> Result<AliasMove, RegistryError> {
        let action = "remove an alias";
        check_name("alias", &request.alias)?;
        let state = self.writable(action)?;
        self.known(&request.name).await?;
        let mut tx = state.begin(action).await?;
        self.reconcile_model(state, &mut tx, &request.name).await?;
        let address = ModelUri::alias(&request.name, &request.alias).to_string();
        let tables = state.tables_applying(&address).await?;
        let known = state.last_move(tx.connection(), &request.name).await?;
        let removal = self
            .blocking(move |root| {
                let model = root.join(&request.name);
                let version = named_by(&model, &request.name, request.alias.clone())?;
                if !tables.is_empty() {
                    return Err(RegistryError::AliasInUse {
                        name: request.name,
                        alias: request.alias,
                        version,
                        tables,
                    });
                }
                let moves = alias_log::read_moves(&model)?;
                let last = moves.last().map_or(0, |alias_move| alias_move.number);
                let removal = AliasMove {
                    number: known.max(last) + 1,
                    name: request.name,
                    alias: request.alias,
                    version: None,
                    previous: Some(version),
                    timestamp_ms: now_ms(),
                    run_id: request.run_id,
                    reason: request.reason,
                };
                alias_log::write_move(&model, &removal)?;
                Ok(removal)
            })
            .await?;
        state
            .put_move(tx.connection(), &reconcile::move_row(&removal))
            .await?;
        state.commit(tx, action).await?;
        Ok(removal)
    }
}
