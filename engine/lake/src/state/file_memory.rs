//! What is remembered of files, so that one that did not change is not read again.
//!
//! Nothing here is needed for a right answer: a store that is lost, or that another
//! process writes to, costs one more reading.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sqlx::SqliteConnection;

use super::{State, StateError};
use crate::ingest::{FileMemory, Outline, RememberedFile, Seen, SourceFile, Stamp};

type Row = (String, i64, i64, i64, i64, i64, String, Option<String>);

impl State {
    /// What is remembered of the files of a table, for one way of reading them
    /// ([`ReadOptions::identity`](crate::ingest::ReadOptions::identity)).
    pub async fn file_memory(
        &self,
        project: &str,
        table: &str,
        read_as: &str,
    ) -> Result<FileMemory, StateError> {
        let action = "read what is remembered of files";
        let outlines = self.outlines(project, table, action).await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT path, bytes, modified_ns, changed_ns, inode, seen_ns, content_hash, outline \
             FROM file_memory WHERE project = $1 AND table_name = $2 AND read_as = $3",
        )
        .bind(project)
        .bind(table)
        .bind(read_as)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(action))?;
        let files = rows.into_iter().map(|row| {
            let (path, bytes, modified_ns, changed_ns, inode, at_ns, content_hash, outline) = row;
            let stamp = Stamp {
                size_bytes: bytes.cast_unsigned(),
                modified_ns,
                changed_ns,
                inode: inode.cast_unsigned(),
            };
            let outline = outline.and_then(|outline| outlines.get(&outline).cloned());
            let file = RememberedFile::new(Seen { stamp, at_ns }, content_hash, outline);
            (path, file)
        });
        Ok(files.collect())
    }

    /// The outlines that the files of a table have.
    async fn outlines(
        &self,
        project: &str,
        table: &str,
        action: &'static str,
    ) -> Result<HashMap<String, Arc<Outline>>, StateError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT outline, content FROM file_outlines WHERE outline IN \
             (SELECT outline FROM file_memory WHERE project = $1 AND table_name = $2)",
        )
        .bind(project)
        .bind(table)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(action))?;
        // One that another release wrote is as good as none.
        let known =
            |(hash, text): (String, String)| Some((hash, Arc::new(Outline::from_text(&text)?)));
        Ok(rows.into_iter().filter_map(known).collect())
    }

    /// Remembers files of a table, in place of what was remembered of them. One
    /// transaction.
    pub async fn remember_files(
        &self,
        project: &str,
        table: &str,
        read_as: &str,
        files: &[&SourceFile],
    ) -> Result<(), StateError> {
        let action = "remember files";
        let mut tx = self.begin(action).await?;
        let mut written = HashSet::new();
        for file in files {
            let text = file.outline.as_ref().and_then(|outline| outline.to_text());
            let hash = text.as_ref().map(|text| blake3::hash(text.as_bytes()));
            let hash = hash.map(|hash| hash.to_hex().to_string());
            if let (Some(hash), Some(text)) = (&hash, &text)
                && written.insert(hash.clone())
            {
                self.write_outline(tx.connection(), hash, text).await?;
            }
            let stamp = &file.seen.stamp;
            sqlx::query(
                "INSERT INTO file_memory (project, table_name, path, read_as, bytes, \
                 modified_ns, changed_ns, inode, seen_ns, content_hash, outline) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                 ON CONFLICT (project, table_name, path) DO UPDATE \
                 SET read_as = excluded.read_as, bytes = excluded.bytes, \
                 modified_ns = excluded.modified_ns, changed_ns = excluded.changed_ns, \
                 inode = excluded.inode, seen_ns = excluded.seen_ns, \
                 content_hash = excluded.content_hash, outline = excluded.outline",
            )
            .bind(project)
            .bind(table)
            .bind(&file.found_as)
            .bind(read_as)
            .bind(stamp.size_bytes.cast_signed())
            .bind(stamp.modified_ns)
            .bind(stamp.changed_ns)
            .bind(stamp.inode.cast_signed())
            .bind(file.seen.at_ns)
            .bind(&file.content_hash)
            .bind(hash)
            .execute(tx.connection())
            .await
            .map_err(self.failed(action))?;
        }
        sqlx::query(
            "DELETE FROM file_outlines WHERE outline NOT IN \
             (SELECT outline FROM file_memory WHERE outline IS NOT NULL)",
        )
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }

    async fn write_outline(
        &self,
        connection: &mut SqliteConnection,
        hash: &str,
        text: &str,
    ) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO file_outlines (outline, content) VALUES ($1, $2) \
             ON CONFLICT (outline) DO NOTHING",
        )
        .bind(hash)
        .bind(text)
        .execute(connection)
        .await
        .map_err(self.failed("remember the columns of files"))?;
        Ok(())
    }
}
