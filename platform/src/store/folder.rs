//! A folder of files that belong to no table.
//!
//! Each is put as a whole, and is durable before it has its name.

use std::sync::Arc;

use bytes::Bytes;
use deltalake::{ObjectStoreError, Path};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::{Store, StoreError};

/// A folder below the deployment's root.
#[derive(Debug, Clone)]
pub struct Folder {
    objects: Arc<dyn ObjectStore>,
    /// Where it lies in the medium.
    prefix: Path,
    /// Its path below the deployment's root.
    path: String,
}

impl Store {
    /// The folder at that path below the deployment's root. It need not exist.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`].
    pub fn folder_of_files(&self, path: &str) -> Result<Folder, StoreError> {
        let bad = |why: String| StoreError::BadUrl { url: self.root.to_string(), why };
        let prefix = Path::from_url_path(format!("{}{path}", self.root.path()));
        let prefix = prefix.map_err(|error| bad(error.to_string()))?;
        Ok(Folder { objects: self.medium.objects(), prefix, path: path.to_owned() })
    }
}

impl Folder {
    /// The bytes of a file; `None` if there is none of that name.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let read = async { self.objects.get(&self.place(name)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ObjectStoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", name, error)),
        }
    }

    /// Writes a file unless there is one of that name. Returns whether it was written: of several writers at once, one succeeds. On S3, what
    /// is there already and is the same counts as written, as the reply to an earlier try may have been lost.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put_if_absent(&self, name: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(&self.place(name), bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(ObjectStoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed("write", name, error)),
        }
    }

    /// Writes a file, in place of what there was.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let put = self.objects.put(&self.place(name), bytes.into()).await;
        put.map(drop).map_err(|error| self.failed("write", name, error))
    }

    /// The names of the files that lie right in the folder, in no order.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn names(&self) -> Result<Vec<String>, StoreError> {
        let listed = self.objects.list(Some(&self.prefix)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| self.failed("list files of", "", error))?;
        let prefix: &str = self.prefix.as_ref();
        let name = |location: &Path| {
            let location: &str = location.as_ref();
            let rest = location.strip_prefix(prefix)?.strip_prefix('/')?;
            (!rest.contains('/')).then(|| rest.to_owned())
        };
        Ok(listed.iter().filter_map(|object| name(&object.location)).collect())
    }

    fn place(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn failed(&self, operation: &'static str, name: &str, error: ObjectStoreError) -> StoreError {
        StoreError::File { operation, file: name.to_owned(), table: self.path.clone(), source: Box::new(error) }
    }
}
