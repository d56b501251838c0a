//! Where files lie: on a disk that all processes of a cluster see, or in a bucket of S3.
//!
//! Client, scheduler and executors find a bucket's settings in their own environment, as all programs for S3 do: `AWS_ENDPOINT`,
//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ALLOW_HTTP` and `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`. So no secret
//! travels through the cluster.
//!
//! - `named_files`: a file that is not there is an error.

mod named_files;

use std::path::Path;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use url::Url;

use self::named_files::NamedFiles;

/// What a query needs besides its plan. `spills` is the folder for what does not fit into memory, that of temporary files by default.
pub(crate) fn runtime(spills: Option<&Path>) -> Result<Arc<RuntimeEnv>> {
    let builder = RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(Stores::default()));
    match spills {
        Some(folder) => builder.with_temp_file_path(folder).build_arc(),
        None => builder.build_arc(),
    }
}

/// The stores that were needed so far.
#[derive(Debug)]
struct Stores {
    made: DefaultObjectStoreRegistry,
}

impl Default for Stores {
    /// That of local files.
    fn default() -> Stores {
        let made = DefaultObjectStoreRegistry::new();
        let local = NamedFiles::new(Arc::new(LocalFileSystem::new()));
        made.register_store(ObjectStoreUrl::local_filesystem().as_ref(), Arc::new(local));
        Stores { made }
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.made.register_store(url, store)
    }

    /// Makes the store of a bucket when it is needed first.
    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let known = self.made.get_store(url);
        if known.is_ok() || url.scheme() != "s3" {
            return known;
        }
        let bucket = AmazonS3Builder::from_env().with_url(url.as_str()).build()?;
        let store: Arc<dyn ObjectStore> = Arc::new(NamedFiles::new(Arc::new(bucket)));
        self.made.register_store(url, Arc::clone(&store));
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_one_store_and_a_folder_another() {
        let stores = Stores::default();
        let get = |url: &str| stores.get_store(&Url::parse(url).expect("a URL")).map(|store| store.to_string());
        assert!(get("s3://bucket-a/").expect("a store").contains("bucket-a"));
        assert!(get("s3://bucket-b/").expect("a store").contains("bucket-b"));
        assert!(get("file:///").expect("a store").contains("Local"));
        assert!(get("ftp://host/").is_err());
        let same = |url: &str| stores.get_store(&Url::parse(url).expect("a URL")).expect("a store");
        assert!(Arc::ptr_eq(&same("s3://bucket-a/x"), &same("s3://bucket-a/y")));
    }
}
