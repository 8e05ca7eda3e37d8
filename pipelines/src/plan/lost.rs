//! Whether what was made is still there as it was.

use serde_json::Value;
use sluice_lake::TableName;
use sluice_lake::state::AssetKey;

use super::freshness::Lookup;
use super::{Asset, AssetBody};
use crate::run::error::{StageError, blocking};

/// Where a report's outcome has the BLAKE3 of its page.
pub(crate) const PAGE_HASH: &str = "page_hash";

/// Where a report's outcome has the version of the table that it made beside its page.
pub(crate) const BESIDE_KEY: &str = "beside_version";

impl Lookup<'_> {
    /// Why what was made is not there any more as it was. `known`: the version that was made,
    /// and a later one that only changed what is said about the table, if there is one.
    pub(super) async fn lost(
        &self,
        asset: &Asset,
        stored: &AssetKey,
        known: [Option<i64>; 2],
    ) -> Result<Option<String>, StageError> {
        let [version, _] = known;
        if let Some(quarantine) = asset.rows().and_then(|rows| rows.quarantine.as_ref())
            && self
                .catalog
                .lakehouse()
                .latest_version(quarantine)
                .await?
                .is_none()
        {
            return Ok(Some(format!("{quarantine} is gone")));
        }
        match &asset.body {
            AssetBody::Ingest(ingest) => self.lost_table(&ingest.table, known).await,
            AssetBody::Sql(sql) => self.lost_table(&sql.table, known).await,
            AssetBody::Scored(scored) => self.lost_table(&scored.table, known).await,
            AssetBody::Model(model) => {
                let (Some(register), Some(version)) = (&model.register, version) else {
                    return Ok(None);
                };
                let versions = self.registry.versions(register.name.as_str()).await?;
                let there = versions.iter().any(|known| known.version == version);
                Ok((!there).then(|| format!("version {version} is gone from the registry")))
            }
            AssetBody::Tokenizer(_) => self.lost_tokenizer(&asset.name, version).await,
            AssetBody::Unread(_) => Ok(None),
            AssetBody::Report(report) => {
                let hash = stored.outcome.get(PAGE_HASH).and_then(Value::as_str);
                let lakehouse = self.catalog.lakehouse().clone();
                let (pipeline, name) = (report.pipeline.clone(), asset.name.clone());
                let page = blocking(move || Ok(lakehouse.report_hash(&pipeline, &name)?)).await?;
                let lost = match page {
                    None => Some("its page is gone".to_owned()),
                    Some(page) if Some(page.as_str()) == hash => None,
                    Some(_) => Some("something else wrote its page".to_owned()),
                };
                match report.makes() {
                    Some(table) if lost.is_none() => {
                        let made = stored.outcome.get(BESIDE_KEY).and_then(Value::as_i64);
                        let lost = self.lost_table(table, [made, None]).await?;
                        Ok(lost.map(|why| format!("{table}: {why}")))
                    }
                    _ => Ok(lost),
                }
            }
        }
    }

    /// Why what goes by a tokenizer's bare name is not the version that was made.
    async fn lost_tokenizer(
        &self,
        name: &str,
        version: Option<i64>,
    ) -> Result<Option<String>, StageError> {
        let versions = self.registry.versions(name).await?;
        let (last, made) = (
            versions.last().map(|last| last.version),
            version.unwrap_or(0),
        );
        Ok(match last {
            Some(last) if last == made => None,
            Some(last) if last > made => Some(format!(
                "something else registered version {last} (made: {made})"
            )),
            _ => Some(format!("version {made} is gone from the registry")),
        })
    }

    async fn lost_table(
        &self,
        table: &TableName,
        known: [Option<i64>; 2],
    ) -> Result<Option<String>, StageError> {
        let [version, _] = known;
        let latest = self.catalog.lakehouse().latest_version(table).await?;
        let latest = latest.map(|latest| i64::try_from(latest).unwrap_or(i64::MAX));
        Ok(match (latest, version) {
            (None, _) => Some("the table is gone".to_owned()),
            (latest, _) if known.contains(&latest) => None,
            (Some(latest), Some(version)) if self.same_rows(table, version, latest).await? => None,
            (Some(latest), _) => {
                let made = version.map_or_else(String::new, |made| format!(" (made: {made})"));
                Some(format!("something else wrote version {latest}{made}"))
            }
        })
    }

    /// Whether nothing changed in a table after the version `made`, up to `latest`.
    async fn same_rows(
        &self,
        table: &TableName,
        made: i64,
        latest: i64,
    ) -> Result<bool, StageError> {
        let (Ok(made), Ok(latest)) = (u64::try_from(made), u64::try_from(latest)) else {
            return Ok(false);
        };
        let lakehouse = self.catalog.lakehouse();
        Ok(made < latest && lakehouse.data_version(table, latest).await? <= made)
    }

    /// The version at which a table that is left as it is is read: the latest, where what came
    /// after the version `made` are the same rows in other files; those of `made` may be gone.
    pub(crate) async fn version_to_read(
        &self,
        table: &TableName,
        made: i64,
    ) -> Result<u64, StageError> {
        let latest = self.catalog.lakehouse().latest_version(table).await?;
        let latest = latest.and_then(|latest| i64::try_from(latest).ok());
        let read = match latest {
            Some(latest) if self.same_rows(table, made, latest).await? => latest,
            _ => made,
        };
        Ok(u64::try_from(read).unwrap_or_default())
    }
}
