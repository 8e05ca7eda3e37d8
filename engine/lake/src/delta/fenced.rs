//! Commits that only the holder of a lease makes.
//!
//! A commit is one new file in a table's log. It is written while the state store's write lock
//! is held and the lease was found to be the newest: to take the lease over, another run needs
//! that lock, so that no commit slips in after it has.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use futures::stream::BoxStream;

use crate::state::State;

/// A store whose entries of a Delta log are written by the holder of a lease only.
#[derive(Debug)]
pub(super) struct FencedStore {
    inner: Arc<dyn ObjectStore>,
    /// A store that was fenced: it refuses to begin once the lease is lost.
    state: State,
}

impl FencedStore {
    /// The local file system, fenced by `state`.
    pub(super) fn local(state: State) -> Self {
        Self {
            inner: Arc::new(LocalFileSystem::new()),
            state,
        }
    }
}

impl fmt::Display for FencedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} behind a lease", self.inner)
    }
}

/// Whether a file is an entry of a table's log: `.../_delta_log/00000000000000000007.json`.
fn is_commit(location: &Path) -> bool {
    let mut parts: Vec<_> = location.parts().collect();
    let file = parts.pop();
    let in_log = parts
        .pop()
        .is_some_and(|folder| folder.as_ref() == "_delta_log");
    in_log && file.is_some_and(|file| file.as_ref().ends_with(".json"))
}

#[async_trait]
impl ObjectStore for FencedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if !is_commit(location) {
            return self.inner.put_opts(location, payload, options).await;
        }
        let turn = self.state.begin("commit to a table").await;
        let turn = turn.map_err(|source| Error::Generic {
            store: "lease",
            source: Box::new(source),
        })?;
        let put = self.inner.put_opts(location, payload, options).await;
        drop(turn);
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_commit() {
        let is = |path: &str| is_commit(&Path::from(path));
        assert!(is("a/gold/wine/_delta_log/00000000000000000007.json"));
        assert!(is("_delta_log/00000000000000000000.json"));
        assert!(!is("a/gold/wine/_delta_log/_last_checkpoint"));
        assert!(!is("a/gold/wine/part-0.parquet"));
        assert!(!is("a/_delta_log/x/part.json"));
    }
}
