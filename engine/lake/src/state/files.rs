//! The ledger: the files whose rows each table holds.

use sqlx::SqliteConnection;

use super::{CommitRecord, State, StateError};

/// A file in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFile {
    /// The file, as it stands in the column `_file`.
    pub path: String,
    /// BLAKE3 of its bytes when it was read, in hexadecimal.
    pub content_hash: String,
    /// Its size when it was read.
    pub bytes: u64,
    /// Its data rows, when they were counted.
    pub rows: Option<i64>,
    /// The table's Delta version that holds them since.
    pub version: i64,
}

impl State {
    /// The files whose rows a table holds, by path.
    pub async fn ledger(&self, project: &str, table: &str) -> Result<Vec<LedgerFile>, StateError> {
        let rows: Vec<(String, String, i64, Option<i64>, i64)> = sqlx::query_as(
            "SELECT path, content_hash, bytes, rows, version FROM files \
             WHERE project = $1 AND table_name = $2 ORDER BY path",
        )
        .bind(project)
        .bind(table)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the file ledger"))?;
        Ok(rows
            .into_iter()
            .map(|(path, content_hash, bytes, rows, version)| LedgerFile {
                path,
                content_hash,
                bytes: u64::try_from(bytes).unwrap_or_default(),
                rows,
                version,
            })
            .collect())
    }

    /// Records how many rows each file gave: `(path, rows)`.
    pub async fn count_rows(
        &self,
        project: &str,
        table: &str,
        rows: &[(String, i64)],
    ) -> Result<(), StateError> {
        let action = "record the rows of files";
        let mut tx = self.begin(action).await?;
        for (path, rows) in rows {
            sqlx::query(
                "UPDATE files SET rows = $1 WHERE project = $2 AND table_name = $3 AND path = $4",
            )
            .bind(rows)
            .bind(project)
            .bind(table)
            .bind(path)
            .execute(tx.connection())
            .await
            .map_err(self.failed(action))?;
        }
        self.commit(tx, action).await
    }

    /// Brings the ledger of a table to what it is after a commit.
    pub(super) async fn apply_files(
        &self,
        connection: &mut SqliteConnection,
        record: &CommitRecord,
        version: i64,
    ) -> Result<(), StateError> {
        let action = "record files";
        if record.overwrite {
            sqlx::query("DELETE FROM files WHERE project = $1 AND table_name = $2")
                .bind(&record.project)
                .bind(&record.asset)
                .execute(&mut *connection)
                .await
                .map_err(self.failed(action))?;
        }
        for file in &record.files {
            sqlx::query(
                "INSERT INTO files (project, table_name, path, content_hash, bytes, version) \
                 VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (project, table_name, path) DO UPDATE \
                 SET content_hash = excluded.content_hash, bytes = excluded.bytes, \
                 rows = NULL, version = excluded.version",
            )
            .bind(&record.project)
            .bind(&record.asset)
            .bind(&file.path)
            .bind(&file.hash)
            .bind(i64::try_from(file.bytes).unwrap_or(i64::MAX))
            .bind(version)
            .execute(&mut *connection)
            .await
            .map_err(self.failed(action))?;
        }
        Ok(())
    }
}
