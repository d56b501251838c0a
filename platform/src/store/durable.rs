//! Local disk as an object store in which a file is durable before it counts.
//!
//! `object_store` never syncs: after a power cut, a file of its local store may be empty, half or gone, although later
//! ones are there. Here a file is written under a temporary name beside its target, synced, published under its name,
//! and then its folder is synced. So a file whose put succeeded is there after a power cut, and a file that is there is
//! whole. The temporary names begin with a dot and no number, so no reader takes them for data or for log entries;
//! [`is_staged`] recognises those that a crash has left behind.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use uuid::Uuid;

/// How the names of files begin that are not published yet.
const STAGED: &str = ".staged-";

/// Whether a file of that name was never published: it is being written, or a crash has left it behind.
pub(super) fn is_staged(name: &str) -> bool {
    name.starts_with(STAGED)
}

/// Creates a folder and those above it, so that they are still there after a power cut.
pub(super) fn create_folder(folder: &FilePath) -> io::Result<()> {
    let Some(parent) = folder.parent().filter(|_| !folder.is_dir()) else { return Ok(()) };
    create_folder(parent)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // Synced even if another process has just created the folder, because it may not have synced it yet.
        _ => sync_folder(parent),
    }
}

fn sync_folder(folder: &FilePath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Local disk, every put of which is durable. Paths begin at the root of the file system.
#[derive(Debug, Clone)]
pub(super) struct DurableLocal {
    inner: LocalFileSystem,
}

impl DurableLocal {
    pub(super) fn new() -> DurableLocal {
        DurableLocal { inner: LocalFileSystem::new() }
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "durable {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let publish = match (&options.mode, options.attributes.is_empty()) {
            (PutMode::Create, true) => Some(Publish::IfAbsent),
            (PutMode::Overwrite, true) => Some(Publish::Replace),
            _ => None,
        };
        let Some(publish) = publish else {
            // Local disk has neither attributes nor conditional updates, and says so.
            return self.inner.put_opts(location, payload, options).await;
        };
        let target = self.inner.path_to_filesystem(location)?;
        let put = move || {
            let staged = Staged::beside(target)?;
            staged.write_at(0, &payload)?;
            staged.publish(publish)
        };
        blocking(put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if !options.attributes.is_empty() {
            return self.inner.put_multipart_opts(location, options).await;
        }
        let target = self.inner.path_to_filesystem(location)?;
        let staged = blocking(move || Staged::beside(target)).await?;
        Ok(Box::new(Upload { staged: Arc::new(staged), written: 0 }))
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

/// How a staged file gets its name.
#[derive(Debug, Clone, Copy)]
enum Publish {
    /// Unless there is a file of that name.
    IfAbsent,
    /// In place of a file of that name.
    Replace,
}

/// A file that is not published yet. Its temporary name goes when this is dropped.
#[derive(Debug)]
struct Staged {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// Creates an empty one beside the target, and the target's folder where it is missing.
    fn beside(target: PathBuf) -> Result<Staged, DiskError> {
        let path = target.with_file_name(format!("{STAGED}{}", Uuid::new_v4()));
        let created = match (File::create_new(&path), target.parent()) {
            (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
                create_folder(folder).and_then(|()| File::create_new(&path))
            }
            (created, _) => created,
        };
        match created {
            Ok(file) => Ok(Staged { file, path, target }),
            Err(source) => Err(DiskError { operation: "create", path, source }),
        }
    }

    fn write_at(&self, mut at: u64, payload: &PutPayload) -> Result<(), DiskError> {
        for part in payload {
            self.file.write_all_at(part, at).map_err(|source| self.failed("write", source))?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Makes the content durable, then gives the file its name, then makes the name durable.
    fn publish(&self, how: Publish) -> Result<PutResult, DiskError> {
        self.file.sync_all().map_err(|source| self.failed("sync", source))?;
        let published = match how {
            Publish::IfAbsent => std::fs::hard_link(&self.path, &self.target),
            Publish::Replace => std::fs::rename(&self.path, &self.target),
        };
        published.map_err(|source| self.failed("publish", source))?;
        let folder = self.target.parent().unwrap_or(FilePath::new("/"));
        sync_folder(folder).map_err(|source| self.failed("sync the folder of", source))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> DiskError {
        DiskError { operation, path: self.target.clone(), source }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It is not there after a rename, and what cannot be removed now goes with the orphans.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A file that is put in parts, one after the other.
#[derive(Debug)]
struct Upload {
    staged: Arc<Staged>,
    /// Bytes of the parts so far.
    written: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let (staged, at) = (Arc::clone(&self.staged), self.written);
        self.written += part.content_length() as u64;
        Box::pin(blocking(move || staged.write_at(at, &part)))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = Arc::clone(&self.staged);
        blocking(move || staged.publish(Publish::Replace)).await
    }

    async fn abort(&mut self) -> Result<()> {
        // The file goes with the upload.
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, DiskError> + Send + 'static) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", .path.display())]
struct DiskError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl From<DiskError> for object_store::Error {
    fn from(error: DiskError) -> object_store::Error {
        match error.source.kind() {
            io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists {
                path: error.path.display().to_string(),
                source: Box::new(error.source),
            },
            _ => object_store::Error::Generic { store: "local disk", source: Box::new(error) },
        }
    }
}
