//! Files of others in an S3 bucket, which are read and never written.
//!
//! An object has the same content for as long as its ETag is the same. So each request asks for the ETag that the file had when it was
//! found, and what comes is used only if it names that ETag, too: not every server looks at such a condition.

use std::fmt;
use std::future::ready;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use url::Url;

use super::s3::S3;
use crate::settings;

/// The most files that one prefix may stand for.
const FILES_MAX: usize = 10_000;
/// How many of them are looked at at once.
const AT_ONCE: usize = 16;
/// How many first bytes of a file are read when it is found.
const BEGIN_BYTES: u64 = 16;

/// Why a file in an S3 bucket could not be found or read.
#[derive(Debug, thiserror::Error)]
pub enum S3FileError {
    /// The address has no bucket. It is not printed, as it may hold a key.
    #[error(
        "the address of a file on S3 is s3://bucket/path, and a bucket's name has letters, digits, dots and hyphens alone; keys belong \
         to store.access_key and store.secret_key"
    )]
    NoBucket,
    /// The address names no file that can be read with these settings.
    #[error("{url} cannot be read: {why}")]
    BadUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A request failed.
    #[error("cannot {operation} {url}")]
    Failed {
        /// The operation, as a verb.
        operation: &'static str,
        /// The address.
        url: String,
        /// The cause.
        source: Box<Error>,
    },
    /// Nothing would tell whether the content changes.
    #[error(
        "the S3 server names no strong ETag of {url}, by which a file that changes is known: copy it to local disk"
    )]
    NoETag {
        /// The address.
        url: String,
    },
    /// The file has another content by now.
    #[error("{url} was replaced while it was read: try again once nothing writes to it")]
    Replaced {
        /// The address.
        url: String,
    },
}

/// A file in an S3 bucket, with the content that it had when it was found.
#[derive(Clone)]
pub struct S3File {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    url: String,
    bytes: u64,
    e_tag: String,
    begin: Bytes,
}

impl S3File {
    /// The file at an address, `s3://bucket/path`, whatever letters the path has; or all files below a prefix, which ends in `/`, in the
    /// order of their names. Below a prefix, files without a byte are left out, and those with a name or a folder that begins with `_` or
    /// `.`: other programs keep notes there. The server and the keys are those of the store's settings.
    ///
    /// # Errors
    /// If the address is none, nothing lies there, or too much, or S3 cannot be reached.
    pub async fn find(settings: &settings::Store, url: &str) -> Result<Vec<S3File>, S3FileError> {
        let (bucket, key) = parts(url)?;
        let bad = |why: String| S3FileError::BadUrl { url: url.to_owned(), why };
        if is_host_of_another(settings, bucket) {
            let why = "store.endpoint is the host of the store's own bucket (store.path_style is false)";
            return Err(bad(why.to_owned()));
        }
        let path = Path::parse(key).map_err(|error| bad(error.to_string()))?;
        // A path that begins with a slash would be read as one that does not.
        if path.is_root() || path.as_ref() != key.strip_suffix('/').unwrap_or(key) {
            return Err(bad("it names no file, and no prefix of files".to_owned()));
        }
        let objects: Arc<dyn ObjectStore> = Arc::new(S3::new(settings, bucket).map_err(bad)?);
        let paths = if key.ends_with('/') { below(&objects, url, &path).await? } else { vec![path] };
        let found = stream::iter(paths).map(|path| {
            let url = format!("s3://{bucket}/{path}");
            S3File::at(Arc::clone(&objects), url, path)
        });
        found.buffered(AT_ONCE).try_collect().await
    }

    /// The file at that path, which is called `url` in errors.
    pub(super) async fn at(objects: Arc<dyn ObjectStore>, url: String, path: Path) -> Result<S3File, S3FileError> {
        let meta = objects.head(&path).await.map_err(|error| failed("find", &url, error))?;
        // A weak one may stand for several contents.
        let Some(e_tag) = meta.e_tag.filter(|tag| !tag.starts_with("W/")) else {
            return Err(S3FileError::NoETag { url });
        };
        let mut file = S3File { objects, path, url, bytes: meta.size, e_tag, begin: Bytes::new() };
        if file.bytes > 0 {
            file.begin = file.read(0..file.bytes.min(BEGIN_BYTES)).await?;
        }
        Ok(file)
    }

    /// Its address, `s3://bucket/path`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its first 16 bytes, or all that it has: they tell what it is.
    pub fn begin(&self) -> &[u8] {
        &self.begin
    }

    /// The bytes of a range that lies within the file and is not empty.
    ///
    /// # Errors
    /// [`S3FileError::Replaced`], or if the request fails for longer than the store's settings allow.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, S3FileError> {
        let (range, if_match) = (Some(GetRange::Bounded(range)), Some(self.e_tag.clone()));
        let options = GetOptions { range, if_match, ..GetOptions::default() };
        let read = async {
            let read = self.objects.get_opts(&self.path, options).await?;
            let is_same = read.meta.e_tag.as_ref() == Some(&self.e_tag) && read.meta.size == self.bytes;
            Ok::<_, Error>(if is_same { Some(read.bytes().await?) } else { None })
        };
        match read.await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) | Err(Error::Precondition { .. }) => Err(S3FileError::Replaced { url: self.url.clone() }),
            Err(error) => Err(failed("read", &self.url, error)),
        }
    }
}

/// Without the client, which has the keys.
impl fmt::Debug for S3File {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let S3File { url, bytes, e_tag, .. } = self;
        write!(formatter, "{url} of {bytes} bytes, {e_tag}")
    }
}

/// The bucket and the path of an address.
fn parts(url: &str) -> Result<(&str, &str), S3FileError> {
    let address = url.strip_prefix("s3://").ok_or(S3FileError::NoBucket)?;
    let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    if bucket.is_empty() || !bucket.chars().all(is_of_name) {
        return Err(S3FileError::NoBucket);
    }
    Ok((bucket, key))
}

/// Whether requests would go to another bucket, whatever they name: without it in the path, the endpoint alone says which one it is.
fn is_host_of_another(settings: &settings::Store, bucket: &str) -> bool {
    let store = Url::parse(&settings.url).ok().filter(|url| url.scheme() == "s3");
    let own = store.as_ref().and_then(|url| url.host_str());
    !settings.path_style && !settings.endpoint.is_empty() && own.is_some_and(|own| own != bucket)
}

/// The files below a prefix.
async fn below(objects: &Arc<dyn ObjectStore>, url: &str, prefix: &Path) -> Result<Vec<Path>, S3FileError> {
    let is_hidden = |path: &Path| {
        let mut parts = path.prefix_match(prefix).into_iter().flatten();
        parts.any(|part| part.as_ref().starts_with(['_', '.']))
    };
    let listed = objects.list(Some(prefix)).try_filter_map(|meta| {
        let is_file = meta.size > 0 && !is_hidden(&meta.location);
        ready(Ok(is_file.then_some(meta.location)))
    });
    let paths = listed.take(FILES_MAX + 1).try_collect::<Vec<Path>>().await;
    let mut paths = paths.map_err(|error| failed("list", url, error))?;
    let why = match paths.len() {
        0 => "no file lies below it".to_owned(),
        files if files > FILES_MAX => {
            format!("more than {FILES_MAX} files lie below it: name longer prefixes, one by one")
        }
        _ => {
            paths.sort();
            return Ok(paths);
        }
    };
    Err(S3FileError::BadUrl { url: url.to_owned(), why })
}

fn failed(operation: &'static str, url: &str, source: Error) -> S3FileError {
    S3FileError::Failed { operation, url: url.to_owned(), source: Box::new(source) }
}
