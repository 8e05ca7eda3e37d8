//! The DataFusion session in which every query of Sluice runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;

use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::spill::NamelessFiles;

/// The catalog that a name without one means: the lakehouse.
pub const DEFAULT_CATALOG: &str = "lake";

/// The layer of a table named without one. No layer can be called so: such a
/// name is always an error, which says what to write.
pub const NO_LAYER: &str = "_";

/// What a session spills to disk at most, in bytes.
const SPILL_LIMIT_BYTES: u64 = 100 << 30;

/// How a session computes.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// How many partitions a query is computed in, side by side.
    pub target_partitions: usize,
    /// The most rows in one batch.
    pub batch_size: usize,
    /// What sorts, aggregations and joins may hold in memory together, in
    /// bytes, before they spill to disk; `None` for no limit.
    pub memory_limit_bytes: Option<usize>,
    /// The folder for what is spilled, in files without a name; `None` for the system's
    /// temporary one (`TMPDIR`).
    pub spill_folder: Option<PathBuf>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            target_partitions: available_parallelism().map_or(1, usize::from),
            batch_size: 8192,
            memory_limit_bytes: None,
            spill_folder: None,
        }
    }
}

/// A session without any catalog yet: register one as [`DEFAULT_CATALOG`].
///
/// SQL in it cannot name files: there are no URL tables, no formats and no
/// factories for external tables, and [`crate::sql::plan()`] lets nothing pass
/// but questions. Under a memory limit joins sort and merge, because a hash
/// join cannot spill.
///
/// # Errors
/// The runtime of DataFusion cannot be built.
pub fn session(options: &SessionOptions) -> Result<SessionContext, DataFusionError> {
    let mut config = SessionConfig::new()
        .with_target_partitions(options.target_partitions.max(1))
        .with_batch_size(options.batch_size.max(1))
        .with_default_catalog_and_schema(DEFAULT_CATALOG, NO_LAYER)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true);
    let sql = &mut config.options_mut().sql_parser;
    // Names are resolved in the syntax tree: see `sql::resolve_names`.
    sql.enable_ident_normalization = false;
    sql.collect_spans = true;
    sql.map_string_types_to_utf8view = false;
    if let Some(limit) = options.memory_limit_bytes {
        let config = config.options_mut();
        config.optimizer.prefer_hash_join = false;
        // Each sort sets this aside for merging what it spilled; under a small
        // limit the default would leave nothing to sort in.
        let share = limit / options.target_partitions.max(1) / 4;
        let reservation = &mut config.execution.sort_spill_reservation_bytes;
        *reservation = share.min(*reservation);
    }

    let files = NamelessFiles::new(options.spill_folder.clone(), SPILL_LIMIT_BYTES);
    let mut runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(
        DiskManagerBuilder::default().with_temp_file_factory(Arc::new(files)),
    );
    if let Some(limit) = options.memory_limit_bytes {
        runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(limit)));
    }

    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime.build_arc()?)
        .with_default_features()
        .with_table_factories(HashMap::new())
        .with_file_formats(Vec::new())
        .build();
    Ok(SessionContext::new_with_state(state))
}
