//! A store in memory by whose clock objects are written, and that can be kept waiting before a put.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use url::Url;

use super::*;

type Result<T> = std::result::Result<T, object_store::Error>;

/// What happens before the object of that path is put the next time.
type BeforePut = (Path, BoxFuture<'static, ()>);

pub(super) struct Clocked {
    inner: InMemory,
    now_us: fn() -> i64,
    written: Arc<Mutex<HashMap<Path, i64>>>,
    before_put: Mutex<Option<BeforePut>>,
}

impl Clocked {
    pub(super) fn new(now_us: fn() -> i64) -> Arc<Clocked> {
        Arc::new(Clocked { inner: InMemory::new(), now_us, written: Arc::default(), before_put: Mutex::default() })
    }

    /// Lets something happen between a writer's decision to put an object and the put.
    pub(super) fn before_put(&self, path: &str, happens: BoxFuture<'static, ()>) {
        *self.before_put.lock().expect("not poisoned") = Some((Path::from(path), happens));
    }

    /// Tables in this store.
    pub(super) fn store(self: &Arc<Clocked>, retention: Retention) -> Store {
        let root = Url::parse("memory:///braid/").expect("a URL");
        let medium = Medium::s3(self.clone(), self.to_string());
        Store { root, medium, retention, now_us: self.now_us }
    }

    fn note(&self, location: &Path) {
        self.written.lock().expect("not poisoned").insert(location.clone(), (self.now_us)());
    }

    fn happening_before(&self, location: &Path) -> Option<BoxFuture<'static, ()>> {
        let mut before_put = self.before_put.lock().expect("not poisoned");
        let (_, happens) = before_put.take_if(|(path, _)| *path == *location)?;
        Some(happens)
    }
}

/// The object as written at that moment.
fn written_at(mut object: ObjectMeta, at_us: i64) -> ObjectMeta {
    let later_us = at_us - object.last_modified.timestamp_micros();
    let span = Duration::from_micros(later_us.unsigned_abs());
    object.last_modified = if later_us < 0 { object.last_modified - span } else { object.last_modified + span };
    object
}

impl fmt::Debug for Clocked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "clocked {:?}", self.inner)
    }
}

impl fmt::Display for Clocked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "clocked {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Clocked {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if let Some(happens) = self.happening_before(location) {
            happens.await;
        }
        let put = self.inner.put_opts(location, payload, options).await?;
        self.note(location);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.note(location);
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let written = Arc::clone(&self.written);
        let dated = move |object: ObjectMeta| {
            let at_us = written.lock().expect("not poisoned").get(&object.location).copied();
            match at_us {
                Some(at_us) => written_at(object, at_us),
                None => object,
            }
        };
        self.inner.list(prefix).map_ok(dated).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
