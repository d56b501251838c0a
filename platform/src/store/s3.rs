//! An S3 bucket as an object store in which a put-if-absent says who won, even if its reply was lost.
//!
//! The client repeats a request whose connection broke or that the server failed to answer. If the first try of a put-if-absent
//! was done and only its reply was lost, the second one is refused: by an object that is its own. A put that timed out is not
//! repeated, and may have been done as well. So a put-if-absent that fails looks at what is there: the same bytes are its own, and
//! other ones are another writer's. Log entries hold a random name each (see `commit`), so those of two writers are never the same.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, RetryConfig,
};

use crate::settings;

/// The waits between two tries of a request: random ones, of which each may be twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The most tries of a request, besides the setting `store.retry_for`.
const MOST_TRIES: usize = 100;
/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How often a put-if-absent is tried that the server refused although there is nothing: Amazon does that while others put or
/// delete the same object.
const PUTS: u32 = 5;

/// The objects of an S3 bucket. Paths begin at its root.
#[derive(Debug)]
pub(super) struct S3<S = AmazonS3> {
    inner: S,
}

impl S3 {
    /// The S3 bucket of that name. No request is sent yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(super) fn new(settings: &settings::Store, name: &str) -> Result<S3, String> {
        let client = ClientOptions::new()
            .with_allow_http(settings.allow_http)
            .with_connect_timeout(CONNECT_WITHIN)
            .with_timeout(settings.request_timeout.get());
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: FIRST_WAIT, max_backoff: LONGEST_WAIT, base: 2.0 },
            max_retries: MOST_TRIES,
            retry_timeout: settings.retry_for.get(),
        };
        let (access_key, secret_key) = (settings.access_key.reveal(), settings.secret_key.reveal());
        // Without a key in the settings, it comes from where Amazon's own programs look for it. With one, nothing does: half of
        // the credentials could be of another key.
        let builder = if access_key.is_empty() { AmazonS3Builder::from_env() } else { AmazonS3Builder::new() };
        let mut builder = builder
            .with_client_options(client)
            .with_retry(retry)
            .with_bucket_name(name)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_virtual_hosted_style_request(!settings.path_style);
        let named = [
            (AmazonS3ConfigKey::Endpoint, settings.endpoint.as_str()),
            (AmazonS3ConfigKey::S3Endpoint, settings.endpoint.as_str()),
            (AmazonS3ConfigKey::Region, settings.region.as_str()),
            (AmazonS3ConfigKey::AccessKeyId, access_key),
            (AmazonS3ConfigKey::SecretAccessKey, secret_key),
        ];
        for (key, value) in named.into_iter().filter(|(_, value)| !value.is_empty()) {
            builder = builder.with_config(key, value);
        }
        for (name, value) in settings.options.iter() {
            let key = name.parse::<AmazonS3ConfigKey>();
            let key = key.map_err(|_| format!("store.options has an unknown option {name:?}"))?;
            builder = builder.with_config(key, value);
        }
        Ok(S3 { inner: builder.build().map_err(|error| error.to_string())? })
    }
}

impl<S: ObjectStore> S3<S> {
    /// One of any store, for tests of what a failed put-if-absent does.
    #[cfg(test)]
    pub(super) fn of(inner: S) -> S3<S> {
        S3 { inner }
    }

    /// Puts an object unless there is one.
    async fn put_if_absent(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let mut tries = 1;
        loop {
            let failed = match self.inner.put_opts(location, payload.clone(), options.clone()).await {
                Ok(put) => return Ok(put),
                Err(failed) => failed,
            };
            match self.stored(location).await? {
                Some((bytes, put)) if bytes == Bytes::from(payload.clone()) => return Ok(put),
                Some(_) => {
                    return Err(Error::AlreadyExists { path: location.to_string(), source: Box::new(failed) });
                }
                // It says that there is one, and there is none: another writer's put is under way, or failed.
                None if matches!(failed, Error::AlreadyExists { .. }) && tries < PUTS => {
                    tokio::time::sleep(FIRST_WAIT * tries).await;
                    tries += 1;
                }
                // It was not done, or is not done yet. Whoever repeats it finds out.
                None => return Err(unanswered(failed)),
            }
        }
    }

    /// An object's bytes, and what its put would have returned; `None` if there is none.
    async fn stored(&self, location: &Path) -> Result<Option<(Bytes, PutResult)>> {
        match self.inner.get_opts(location, GetOptions::default()).await {
            Ok(read) => {
                let put = PutResult { e_tag: read.meta.e_tag.clone(), version: read.meta.version.clone() };
                Ok(Some((read.bytes().await?, put)))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A put that was refused although there is nothing is no put that lost to another one.
fn unanswered(failed: Error) -> Error {
    match failed {
        Error::AlreadyExists { source, .. } => Error::Generic { store: "S3", source },
        other => other,
    }
}

impl<S: ObjectStore> fmt::Display for S3<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.inner)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for S3<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Create => self.put_if_absent(location, payload, options).await,
            _ => self.inner.put_opts(location, payload, options).await,
        }
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

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
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
