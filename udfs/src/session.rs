//! A session over a lakehouse in which SQL can apply models: what pipelines run in, and what
//! analysts ask.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use sluice_lake::LakeCatalog;
use sluice_lake::registry::{ModelUri, ModelVersion, Registry, RegistryError};
use sluice_lake::session::{DEFAULT_CATALOG, SessionOptions, session};
use sluice_lake::sql::{self, SqlError, SqlErrorKind, SqlSpan, Statement};
use sluice_lake::state::State;
use sluice_lake::system::SystemSchema;
use sluice_learn::TextEmbedder;

use crate::models::{
    Answer, BoundModel, LoadedModel, ModelAddress, ModelError, ModelSet, Predictor, bind,
    bind_encoders, encoder_addresses, model_addresses, predict,
};
use crate::text::Tokenizers;

/// Why a statement cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The SQL is wrong, or names what is not there.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(RegistryError),
    /// A model version cannot be loaded.
    #[error("{address} cannot be loaded")]
    Model {
        /// The version's address.
        address: String,
        /// What is wrong with its folder.
        #[source]
        source: ModelError,
    },
}

/// A lakehouse that statements are planned against.
#[derive(Clone)]
pub struct LakeSession {
    ctx: SessionContext,
    registry: Registry,
    models: Arc<ModelSet>,
}

impl LakeSession {
    /// A session over the tables of `catalog`, `system.*` over `state` (empty tables without
    /// one), and the models of `registry`, which stay loaded in `models`.
    ///
    /// # Errors
    /// The folder for what is spilled cannot be made.
    pub fn open(
        options: &SessionOptions,
        catalog: LakeCatalog,
        state: Option<State>,
        registry: Registry,
        models: Arc<ModelSet>,
    ) -> Result<Self, DataFusionError> {
        let ctx = session(options)?;
        let system = SystemSchema::new(state)?;
        let catalog = catalog.with_schema(SystemSchema::NAME, Arc::new(system));
        ctx.register_catalog(DEFAULT_CATALOG, Arc::new(catalog));
        crate::register(&ctx, &models);
        Ok(Self {
            ctx,
            registry,
            models,
        })
    }

    /// DataFusion's session.
    pub fn context(&self) -> &SessionContext {
        &self.ctx
    }

    /// Plans a statement. Each `predict` is bound to the version that its address names now.
    ///
    /// # Errors
    /// The first mistake in the SQL, models and their columns included; a registry or a
    /// model that cannot be read.
    pub async fn plan(&self, statement: Statement) -> Result<LogicalPlan, QueryError> {
        self.plan_with(statement, &BTreeMap::new()).await
    }

    /// Plans a statement whose model versions are settled: `versions` has their numbers by
    /// the text of their [`ModelAddress`]; what is not there is bound as in
    /// [`LakeSession::plan`].
    ///
    /// # Errors
    /// As [`LakeSession::plan`].
    pub async fn plan_with(
        &self,
        mut statement: Statement,
        versions: &BTreeMap<String, i64>,
    ) -> Result<LogicalPlan, QueryError> {
        sql::read_only(&statement)?;
        self.tokenizers(versions).settle(&mut statement).await?;
        let addresses = model_addresses(&statement)?;
        let encoders = encoder_addresses(&statement)?;
        if !addresses.is_empty() || !encoders.is_empty() {
            let mut bound = BTreeMap::new();
            for (address, place) in addresses {
                let text = address.to_string();
                if let Entry::Vacant(free) = bound.entry(text) {
                    let settled = versions.get(free.key()).copied();
                    let model = self.load(&address, settled, place).await?;
                    free.insert(model);
                }
            }
            let mut vectors = BTreeMap::new();
            for (address, place) in encoders {
                let text = address.to_string();
                if let Entry::Vacant(free) = vectors.entry(text) {
                    let settled = versions.get(free.key()).copied();
                    free.insert(self.load_encoder(&address, settled, place).await?);
                }
            }
            let schemas = sql::table_schemas(&self.ctx, &statement).await?;
            bind(&mut statement, &schemas, &bound)?;
            bind_encoders(&mut statement, &schemas, &vectors)?;
        }
        Ok(sql::plan(&self.ctx, statement).await?)
    }

    /// Where tokenizers come from; `versions` has the numbers of those that are settled, by the
    /// reference as it is written.
    pub fn tokenizers<'a>(&'a self, versions: &'a BTreeMap<String, i64>) -> Tokenizers<'a> {
        Tokenizers {
            registry: &self.registry,
            set: self.models.tokenizers(),
            versions,
        }
    }

    /// The model that an address names, or version `settled` of it, loaded once for all sessions
    /// of a set; and the address of that version.
    ///
    /// # Errors
    /// An address that names nothing, or a registry or a model that cannot be read.
    pub async fn model(
        &self,
        address: &ModelAddress,
        settled: Option<i64>,
    ) -> Result<(String, Arc<dyn Predictor>), QueryError> {
        self.open_model(address, settled, None).await
    }

    /// What a model that is loaded answers for rows with these columns, which are its features
    /// in their order. `address` names one version, as [`LakeSession::model`] gives it.
    pub fn answer(&self, answer: Answer, address: &str, columns: Vec<Expr>) -> Expr {
        predict::call(answer, &self.models, address, columns)
    }

    /// The version that is settled, else the one that the address names; loaded once for all
    /// sessions of a set.
    async fn load(
        &self,
        address: &ModelAddress,
        settled: Option<i64>,
        place: Option<SqlSpan>,
    ) -> Result<BoundModel, QueryError> {
        let (address, model) = self.open_model(address, settled, place).await?;
        Ok(BoundModel {
            address,
            features: model.features().to_vec(),
        })
    }

    /// The version that is settled, else the one that the address names.
    async fn version(
        &self,
        address: &ModelAddress,
        settled: Option<i64>,
        place: Option<SqlSpan>,
    ) -> Result<ModelVersion, QueryError> {
        let uri = address.uri().map(|uri| match settled {
            Some(version) => ModelUri::number(uri.name, version),
            None => uri,
        });
        let version = match uri {
            Ok(uri) => self.registry.resolve(&uri).await,
            Err(error) => Err(error),
        };
        let version = version.and_then(ModelVersion::as_model);
        version.map_err(|error| unresolved(error, place))
    }

    /// The address of an encoder's version, which is loaded as [`LakeSession::load`] does.
    async fn load_encoder(
        &self,
        address: &ModelAddress,
        settled: Option<i64>,
        place: Option<SqlSpan>,
    ) -> Result<String, QueryError> {
        let version = self.version(address, settled, place).await?;
        let address = version.uri().to_string();
        if self.models.encoder(&address).is_none() {
            let folder = version.path;
            let opened = tokio::task::spawn_blocking(move || TextEmbedder::load(&folder)).await;
            let opened = match opened {
                Ok(opened) => opened.map_err(ModelError::from),
                Err(lost) => Err(lost.into()),
            };
            let encoder = opened.map_err(|source| QueryError::Model {
                address: address.clone(),
                source,
            })?;
            let encoder = encoder.stopped_by(self.models.stop_flag());
            self.models.insert_encoder(&address, encoder);
        }
        Ok(address)
    }

    async fn open_model(
        &self,
        address: &ModelAddress,
        settled: Option<i64>,
        place: Option<SqlSpan>,
    ) -> Result<(String, Arc<dyn Predictor>), QueryError> {
        let version = self.version(address, settled, place).await?;
        let address = version.uri().to_string();
        let model = match self.models.get(&address) {
            Some(model) => model,
            None => {
                let folder = version.path;
                let opened = tokio::task::spawn_blocking(move || LoadedModel::open(&folder)).await;
                let opened = opened.unwrap_or_else(|lost| Err(lost.into()));
                let model = opened.map_err(|source| QueryError::Model {
                    address: address.clone(),
                    source,
                })?;
                let model = model.stopped_by(self.models.stop_flag());
                self.models
                    .insert(&address, Arc::new(model) as Arc<dyn Predictor>)
            }
        };
        Ok((address, model))
    }
}

/// What is asked for and is not there is the query's fault and points at it; the rest is the
/// registry's.
pub(crate) fn unresolved(error: RegistryError, place: Option<SqlSpan>) -> QueryError {
    match error {
        RegistryError::InvalidUri { .. }
        | RegistryError::InvalidName { .. }
        | RegistryError::UnknownModel { .. }
        | RegistryError::UnknownTokenizer { .. }
        | RegistryError::NoTokenizer { .. }
        | RegistryError::NoModel { .. }
        | RegistryError::UnknownAlias { .. }
        | RegistryError::NoVersionThen { .. }
        | RegistryError::Future { .. }
        | RegistryError::UnknownVersion { .. } => {
            SqlError::new(SqlErrorKind::Planning, error.to_string())
                .at(place)
                .caused_by(error)
                .into()
        }
        other => QueryError::Registry(other),
    }
}
