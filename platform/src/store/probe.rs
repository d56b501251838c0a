//! Tries out whether a store can hold tables: whether of several writers that put one object, exactly one succeeds.
//!
//! A commit is a put of the next number unless it exists. A server that ignores `If-None-Match: *`, or that looks first and puts
//! later, lets two writers commit the same number, and one of them loses its rows without a word. So each process that writes
//! tries it when it starts. What it puts is deleted again; a process that is killed meanwhile leaves one object `_probe-…` behind,
//! which no reader looks at.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use url::Url;
use uuid::Uuid;

/// How many writers put one object at once.
const AT_ONCE: u8 = 8;
/// How often they do. A server that looks first and puts later may be lucky once.
const ROUNDS: usize = 3;
/// Bytes of the object: enough for puts to overlap.
const SIZE: usize = 4 * 1024;

/// Why a store cannot hold tables.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It does not refuse a put.
    #[error(
        "it replaced an object although the put said `If-None-Match: *`, so two writers could commit one version of a table; use \
         Amazon S3, SeaweedFS 4.29 or newer, RustFS, or a folder on local disk"
    )]
    Replaced,
    /// It refuses all but one put only if they come one after the other.
    #[error(
        "of {AT_ONCE} writers that put one object with `If-None-Match: *` at once, {won} were told that theirs is there, where \
         exactly one may be, so two writers could commit one version of a table; use Amazon S3, SeaweedFS 4.29 or newer, RustFS, \
         or a folder on local disk"
    )]
    Several {
        /// How many succeeded.
        won: usize,
    },
    /// It holds the object of a writer that was refused.
    #[error(
        "it refused the put of an object that it holds, and told another writer that its own is there; use another store"
    )]
    Another,
    /// It could not be tried.
    #[error(
        "it failed to {operation} an object; check its address, the S3 bucket's name, the keys and their permissions \
         (docs/operations.md, \"An S3 bucket as the store\")"
    )]
    Failed {
        /// The operation, as a verb.
        operation: &'static str,
        /// The cause.
        source: Box<Error>,
    },
}

/// Puts objects into that folder, and finds out what became of them.
pub(super) async fn puts_if_absent(objects: &Arc<dyn ObjectStore>, folder: &Url) -> Result<(), Unfit> {
    let folder = Path::from_url_path(folder.path()).map_err(|error| failed("name")(error.into()))?;
    // Each with an object of its own. All of them are ended, so that nothing is left behind.
    let rounds = (0..ROUNDS).map(|_| round(objects, folder.clone().join(format!("_probe-{}", Uuid::new_v4()))));
    join_all(rounds).await.into_iter().collect()
}

async fn round(objects: &Arc<dyn ObjectStore>, path: Path) -> Result<(), Unfit> {
    let found = tried(objects, &path).await;
    let gone = deleted(objects, &path).await;
    found.and(gone)
}

async fn tried(objects: &Arc<dyn ObjectStore>, path: &Path) -> Result<(), Unfit> {
    one_after_the_other(objects, path).await?;
    deleted(objects, path).await?;
    at_once(objects, path).await
}

async fn one_after_the_other(objects: &Arc<dyn ObjectStore>, path: &Path) -> Result<(), Unfit> {
    let (first, second) = (put(objects, path, 0).await?, put(objects, path, 1).await?);
    match (first, second) {
        (true, false) => holds(objects, path, 0).await,
        (true, true) => Err(Unfit::Replaced),
        (false, _) => Err(Unfit::Another),
    }
}

async fn at_once(objects: &Arc<dyn ObjectStore>, path: &Path) -> Result<(), Unfit> {
    let won = try_join_all((0..AT_ONCE).map(|writer| put(objects, path, writer))).await?;
    let won: Vec<u8> = (0..AT_ONCE).zip(won).filter_map(|(writer, won)| won.then_some(writer)).collect();
    match won.as_slice() {
        [winner] => holds(objects, path, *winner).await,
        won => Err(Unfit::Several { won: won.len() }),
    }
}

/// Puts the object of a writer, and returns whether the store says that it did.
async fn put(objects: &Arc<dyn ObjectStore>, path: &Path, writer: u8) -> Result<bool, Unfit> {
    match objects.put_opts(path, object_of(writer).into(), PutOptions::from(PutMode::Create)).await {
        Ok(_) => Ok(true),
        Err(Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(failed("put")(error)),
    }
}

/// The object is that writer's.
async fn holds(objects: &Arc<dyn ObjectStore>, path: &Path, writer: u8) -> Result<(), Unfit> {
    let read = async { objects.get(path).await?.bytes().await };
    match read.await.map_err(failed("read"))? == object_of(writer) {
        true => Ok(()),
        false => Err(Unfit::Another),
    }
}

async fn deleted(objects: &Arc<dyn ObjectStore>, path: &Path) -> Result<(), Unfit> {
    match objects.delete(path).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(failed("delete")(error)),
    }
}

/// Each writer's is another one, so that it is known whose is there.
fn object_of(writer: u8) -> Bytes {
    Bytes::from(vec![writer; SIZE])
}

fn failed(operation: &'static str) -> impl Fn(Error) -> Unfit {
    move |source| Unfit::Failed { operation, source: Box::new(source) }
}
