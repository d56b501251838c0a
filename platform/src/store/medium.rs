//! What tables lie in, local disk or an S3 bucket, and all in which the two differ.
//!
//! On disk, a file is durable before it has a name (`durable`), folders have to be created, and a disk that forgets may leave a
//! torn log entry (`torn`). S3 knows no folders and puts a whole object or none, but a reply may be lost on the way
//! (`s3`), and not every server refuses a second put (`probe`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use url::Url;

use super::durable::{self, DurableLocal};
use super::s3::S3;
use super::{StoreError, probe};
use crate::settings;

/// What the tables of a deployment lie in.
#[derive(Debug, Clone)]
pub(super) struct Medium {
    /// Paths begin at the root of the file system, or of the S3 bucket.
    objects: Arc<dyn ObjectStore>,
    kind: Kind,
    /// How an operator knows it.
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disk,
    S3,
}

impl Medium {
    /// What `store.url` names, and the URL of the place in it. A folder is created.
    ///
    /// # Errors
    /// Why it names nothing that can be used.
    pub(super) fn of(settings: &settings::Store) -> Result<(Medium, Url), String> {
        match settings.url.split_once("://") {
            None => Medium::disk(&settings.url),
            Some(("file", path)) => Medium::disk(path),
            Some(("s3", _)) => {
                let url = Url::parse(&settings.url).map_err(|error| error.to_string())?;
                let name = match settings.endpoint.as_str() {
                    "" => settings.url.clone(),
                    endpoint => format!("{url} at {endpoint}"),
                };
                let bucket = url.host_str().ok_or("it names no bucket")?;
                Ok((Medium::s3(Arc::new(S3::new(settings, bucket)?), name), url))
            }
            Some((scheme, _)) => Err(format!("there is no store for {scheme}://")),
        }
    }

    fn disk(path: &str) -> Result<(Medium, Url), String> {
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        durable::create_folder(&path).map_err(|error| error.to_string())?;
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        let url = Url::from_directory_path(&path).map_err(|()| "not an absolute path".to_owned())?;
        // Log entries, checkpoints and data files are all durable.
        let objects = Arc::new(DurableLocal::new());
        Ok((Medium { objects, kind: Kind::Disk, name: path.display().to_string() }, url))
    }

    /// A store of objects that knows no folders.
    pub(super) fn s3(objects: Arc<dyn ObjectStore>, name: String) -> Medium {
        Medium { objects, kind: Kind::S3, name }
    }

    /// Everything in it.
    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    /// The folder that a URL names; `None` on S3.
    pub(super) fn folder(&self, url: &Url) -> Option<PathBuf> {
        url.to_file_path().ok().filter(|_| self.kind == Kind::Disk)
    }

    /// Makes sure that files can be put below that URL.
    pub(super) fn make_room(&self, url: &Url) -> io::Result<()> {
        self.folder(url).map_or(Ok(()), |folder| durable::create_folder(&folder))
    }

    /// Finds out, below that URL, whether of several that put the same object at once exactly one succeeds. Local disk links a file
    /// under its name, which is known to be so.
    pub(super) async fn check(&self, url: &Url) -> Result<(), StoreError> {
        let probed = match self.kind {
            Kind::Disk => Ok(()),
            Kind::S3 => probe::puts_if_absent(&self.objects, url).await,
        };
        probed.map_err(|source| StoreError::Unfit { store: self.name.clone(), source })
    }
}
