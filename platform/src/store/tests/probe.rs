//! Stores in which two writers could commit one version of a table are refused; one that is busy is asked again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use test_kit::{Fault, S3Server};
use url::Url;

use super::place::settings_of;
use super::*;
use crate::settings::{Secret, Span};
use crate::store::s3::S3;

type Result<T> = std::result::Result<T, object_store::Error>;

/// What a store does with a put-if-absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Puts {
    /// It puts the object if there is none, in one step.
    IfAbsent,
    /// It puts the object.
    Always,
    /// It looks whether there is one, and puts it a moment later.
    AfterALook,
    /// It puts the object, and says that there was one.
    AndRefuses,
}

#[derive(Debug)]
struct Careless {
    inner: InMemory,
    puts: Puts,
    /// How many puts it refuses before, though there is nothing.
    busy: AtomicU32,
}

impl Careless {
    fn new(puts: Puts, busy: u32) -> Careless {
        Careless { inner: InMemory::new(), puts, busy: AtomicU32::new(busy) }
    }
}

impl fmt::Display for Careless {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "careless {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_there = self.inner.head(location).await.is_ok();
        let refused = || Error::AlreadyExists { path: location.to_string(), source: "it is there".into() };
        let one_less = |left: u32| left.checked_sub(1);
        if self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return Err(refused());
        }
        let always = PutOptions { mode: PutMode::Overwrite, ..options.clone() };
        match self.puts {
            Puts::IfAbsent => self.inner.put_opts(location, payload, options).await,
            Puts::Always => self.inner.put_opts(location, payload, always).await,
            Puts::AfterALook if is_there => Err(refused()),
            Puts::AfterALook => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.inner.put_opts(location, payload, always).await
            }
            Puts::AndRefuses => {
                self.inner.put_opts(location, payload, always).await?;
                if is_there { Err(refused()) } else { Ok(PutResult { e_tag: None, version: None }) }
            }
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

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// What is found out about a store that puts so, read with or without a client that recognises its own puts; and what is left
/// behind in it.
async fn found(puts: Puts, recognises: bool) -> (std::result::Result<(), StoreError>, usize) {
    let careless = Arc::new(Careless::new(puts, 0));
    let objects: Arc<dyn ObjectStore> =
        if recognises { Arc::new(S3::of(Arc::clone(&careless))) } else { careless.clone() };
    let medium = Medium::s3(objects, "s3://lake at home".to_owned());
    let found = medium.check(&Url::parse("s3://lake/tables/braid/").expect("a URL")).await;
    let left: Vec<ObjectMeta> = careless.list(None).try_collect().await.expect("listed");
    (found, left.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lets_two_writers_win_is_refused_by_its_name_with_what_it_did() {
    for recognises in [false, true] {
        assert!(matches!(found(Puts::IfAbsent, recognises).await, (Ok(()), 0)));
        for (puts, reason) in [
            (Puts::Always, "replaced an object"),
            (Puts::AfterALook, "of 8 writers that put one object"),
            (Puts::AndRefuses, "refused the put of an object that it holds"),
        ] {
            let (found, left) = found(puts, recognises).await;
            let text = crate::telemetry::error_text(&found.expect_err("refused"));
            // One that recognises its own object takes a refused put that was done for its own.
            let reason = if recognises && puts == Puts::AndRefuses { "replaced an object" } else { reason };
            assert!(text.contains("s3://lake at home") && text.contains(reason), "{puts:?}: {text}");
            assert_eq!(left, 0, "{puts:?}: what was put is deleted");
        }
    }
}

#[tokio::test]
async fn a_put_that_is_refused_though_there_is_nothing_is_tried_again_and_is_no_conflict() {
    for (busy, succeeds) in [(2, true), (u32::MAX, false)] {
        let objects = S3::of(Careless::new(Puts::IfAbsent, busy));
        let put = objects.put_opts(&Path::from("object"), "own".into(), PutOptions::from(PutMode::Create)).await;
        assert_eq!(put.is_ok(), succeeds, "{put:?}");
        assert!(!matches!(put, Err(Error::AlreadyExists { .. })), "no other writer has won: {put:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_tables_is_fit_and_nothing_is_left_in_them() {
    for place in Place::each().await {
        let store = place.store("braid");
        store.check().await.expect("fit");
        assert!(store.open("a/b").await.expect("read").is_none());
        if let Place::S3(server) = &place {
            let left = std::fs::read_dir(server.tables().join("braid")).map(Iterator::count);
            assert_eq!(left.expect("a folder"), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_tried_says_where_to_look() {
    let server = S3Server::start().await.expect("a server");
    let of_server = settings::Store { retry_for: Span::from_millis(300), ..settings_of(&server) };
    let other_keys = settings::Store { secret_key: Secret::from("another"), ..of_server.clone() };
    let refused = Store::new(&other_keys, "braid").expect("a store").check().await.expect_err("no such key");
    let text = crate::telemetry::error_text(&refused);
    assert!(text.contains("s3://lake/tables at http://127.0.0.1") && text.contains("docs/operations.md"), "{text}");

    server.befall(1, Fault::Outage);
    let store = Store::new(&of_server, "braid").expect("a store");
    store.check().await.expect_err("nothing answers");
    server.heal();
    store.check().await.expect("fit");
}
