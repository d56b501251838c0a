//! A store of which every file is asked for by its name.
//!
//! Where there is no file of a name, DataFusion (55) takes it for the name of a folder and lists that. A folder that is not there is empty, so
//! a query would count nothing of a file that was deleted, or that lies on a disk which the scheduler does not see, and succeed. No table is a
//! folder here, so nothing is ever listed but for that reason. An empty file is passed over as well, and none of Parquet is empty.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What a process needs so that a file is there.
const NEEDED: &str = "a table consists of it, and this process does not see it: scheduler and executors need the bucket, or the same folder \
                      under the same path, that batch-layer writes to";

/// A store that lists nothing.
#[derive(Debug)]
pub(super) struct NamedFiles {
    files: Arc<dyn ObjectStore>,
}

impl NamedFiles {
    pub(super) fn new(files: Arc<dyn ObjectStore>) -> NamedFiles {
        NamedFiles { files }
    }
}

impl Display for NamedFiles {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

fn missing(name: Option<&Path>) -> Error {
    Error::NotFound { path: name.map(ToString::to_string).unwrap_or_default(), source: NEEDED.into() }
}

#[async_trait]
impl ObjectStore for NamedFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.files.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.files.get_opts(location, options).await?;
        if found.meta.size == 0 {
            let source = format!("the file {location} is empty, so it was damaged").into();
            return Err(Error::Generic { store: "braid-cluster", source });
        }
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let missing = missing(prefix);
        stream::once(async move { Err(missing) }).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        Err(missing(prefix))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use datafusion::prelude::SessionContext;
    use url::Url;

    use crate::query::{Column, Kind, Table};
    use crate::session;

    /// Why a query of that file fails.
    async fn failure(file: &Path) -> String {
        let context = SessionContext::new_with_state(session::planner(session::config(2)).expect("a session"));
        let file = Url::from_file_path(file).expect("a path");
        let columns = vec![Column { name: "n".to_owned(), kind: Kind::Int }];
        let table = Table { name: "archive".to_owned(), columns, files: vec![file.to_string()] };
        table.register(&context).expect("registered");
        let counted = context.sql("SELECT count(n) FROM archive").await.expect("planned").collect().await;
        counted.expect_err("it is no file of Parquet").to_string()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_is_not_there_or_is_empty_is_an_error_and_none_without_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let gone = failure(&folder.path().join("gone.parquet")).await;
        assert!(gone.contains("gone.parquet") && gone.contains("does not see it"), "{gone}");
        let empty = folder.path().join("empty.parquet");
        std::fs::write(&empty, "").expect("written");
        let empty = failure(&empty).await;
        assert!(empty.contains("empty.parquet") && empty.contains("is empty"), "{empty}");
    }
}
