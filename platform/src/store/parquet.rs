//! Frames to Parquet files and back, through any object store.
//!
//! - `encode`: frames to bytes, and how much work is put into it;
//! - `sparse`: the bytes of a file of which only parts are read.

mod encode;
mod sparse;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::Path;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use polars::io::parquet::metadata::{FileMetadata, FileMetadataRef};
use polars::prelude::*;
use uuid::Uuid;

use super::ranges::Ranges;
use super::{DataFile, StoreError};

pub(super) use self::encode::Effort;
pub use self::encode::RowGroups;

/// How many files are read at once.
const CONCURRENT_READS: usize = 16;

/// How much of a file's end is read at first. The description of its columns nearly always fits.
const TAIL: u64 = 64 * 1024;
/// Smaller files are read whole.
const WHOLE: u64 = 256 * 1024;

/// Encodes the frame and writes it under a new, unique name, in the folder of its partition; `before` stands before that folder's name.
pub(super) async fn write(
    store: &Arc<dyn ObjectStore>,
    table: &str,
    before: &str,
    partition: &str,
    frame: DataFrame,
    ranged: &[&str],
    effort: Effort,
) -> Result<DataFile, StoreError> {
    let failed = |source| StoreError::Frame { operation: "encode rows", table: table.to_owned(), source };
    let (rows, ranges) = (frame.height() as u64, Ranges::of(&frame, ranged).map_err(failed)?);
    let bytes = crate::task::blocking(move || encode::encoded(frame, effort)).await.map_err(failed)?;
    put(store, table, &format!("{before}{partition}"), partition, bytes, rows, ranges).await
}

/// Writes row groups as one file, as [`write`] does.
pub(super) async fn write_groups(
    store: &Arc<dyn ObjectStore>,
    table: &str,
    partition: &str,
    groups: RowGroups,
) -> Result<DataFile, StoreError> {
    let failed = |source| StoreError::Frame { operation: "encode rows", table: table.to_owned(), source };
    let (bytes, rows, ranges) = groups.finish().map_err(failed)?;
    put(store, table, partition, partition, bytes, rows, ranges).await
}

async fn put(
    store: &Arc<dyn ObjectStore>,
    table: &str,
    folder: &str,
    partition: &str,
    bytes: Vec<u8>,
    rows: u64,
    ranges: Ranges,
) -> Result<DataFile, StoreError> {
    let path = format!("{folder}/{}.parquet", Uuid::new_v4());
    let size = bytes.len() as i64;
    store.put(&Path::from(path.as_str()), bytes.into()).await.map_err(|source| StoreError::File {
        operation: "write",
        file: path.clone(),
        table: table.to_owned(),
        source: Box::new(source),
    })?;
    Ok(DataFile::new(path, partition.to_owned(), (size, rows), ranges))
}

/// Reads columns of the files into one lazy frame, in the order of the files. A column that a file lacks is null in its
/// rows.
pub(super) async fn read(
    store: &Arc<dyn ObjectStore>,
    table: &str,
    files: &[DataFile],
    columns: &Schema,
) -> Result<LazyFrame, StoreError> {
    let wanted: Arc<HashSet<String>> = Arc::new(columns.iter_names().map(ToString::to_string).collect());
    let fetch = |file: DataFile| {
        let (store, wanted) = (store.clone(), Arc::clone(&wanted));
        async move {
            fetch(&store, &file, &wanted).await.map_err(|source| StoreError::File {
                operation: "read",
                file: file.path,
                table: table.to_owned(),
                source: Box::new(source),
            })
        }
    };
    let bytes: Vec<_> = stream::iter(files.to_vec()).map(fetch).buffered(CONCURRENT_READS).try_collect().await?;
    let columns = columns.clone();
    let decode = move || {
        let frames = bytes.into_iter().map(|(bytes, described)| Ok(decoded(bytes, described, &columns)?.lazy()));
        let frames = frames.collect::<PolarsResult<Vec<LazyFrame>>>()?;
        if frames.is_empty() {
            return Ok(DataFrame::empty_with_schema(&columns).lazy());
        }
        concat(frames, UnionArgs { rechunk: false, ..UnionArgs::default() })
    };
    let rows = crate::task::blocking(decode).await;
    rows.map_err(|source| StoreError::Frame { operation: "decode rows", table: table.to_owned(), source })
}

/// Reads a file as far as those columns need it, and how it is described, if that is known by then.
async fn fetch(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    wanted: &HashSet<String>,
) -> Result<(Bytes, Option<FileMetadataRef>), object_store::Error> {
    let end = fetch_end(store, file).await?;
    if is_small(file) {
        return Ok((end, None));
    }
    // If the description cannot be understood, decoding the file reports why.
    let Ok(description) = described(&end) else { return Ok((end, None)) };
    Ok((fetch_columns(store, file, &description, wanted).await?, Some(description)))
}

/// Whether a file is read whole, whatever is wanted of it.
pub(super) fn is_small(file: &DataFile) -> bool {
    u64::try_from(file.size).unwrap_or_default() <= WHOLE
}

/// Reads a file's end, which describes its columns, or a small file whole.
pub(super) async fn fetch_end(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<Bytes, object_store::Error> {
    let path = Path::from(file.path.as_str());
    if is_small(file) {
        return store.get(&path).await?.bytes().await;
    }
    let size = u64::try_from(file.size).unwrap_or_default();
    let tail = store.get_range(&path, size - TAIL..size).await?;
    // A Parquet file ends with its description, the length of that in four bytes, and four letters.
    let length =
        tail.last_chunk::<8>().and_then(|end| end.first_chunk()).map_or(0, |length| u32::from_le_bytes(*length));
    let description = (u64::from(length) + 8).min(size);
    if description <= TAIL {
        return Ok(tail);
    }
    let missing = store.get_range(&path, size - description..size - TAIL).await?;
    Ok([missing.as_ref(), tail.as_ref()].concat().into())
}

/// Reads the wanted columns of the row groups that are described. What is returned has the size of the file; the bytes of everything
/// else are zero, and take no memory.
pub(super) async fn fetch_columns(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    description: &FileMetadata,
    wanted: &HashSet<String>,
) -> Result<Bytes, object_store::Error> {
    let size = u64::try_from(file.size).unwrap_or_default();
    let ranges = chunks(description, wanted, size);
    let read = store.get_ranges(&Path::from(file.path.as_str()), &ranges).await?;
    let parts = ranges.iter().map(|range| range.start).zip(&read);
    let placed = sparse::placed(size, parts);
    placed.map_err(|source| object_store::Error::Generic { store: "memory", source: Box::new(source) })
}

/// Where the wanted columns lie in a file of that size.
fn chunks(description: &FileMetadata, wanted: &HashSet<String>, size: u64) -> Vec<Range<u64>> {
    let columns = description.row_groups.iter().flat_map(|group| group.parquet_columns());
    let is_wanted = |path: &[PlSmallStr]| path.first().is_some_and(|name| wanted.contains(name.as_str()));
    columns
        .filter(|chunk| is_wanted(&chunk.descriptor().path_in_schema))
        .map(|chunk| chunk.byte_range())
        .filter(|range| range.end <= size)
        .collect()
}

/// How the end of a file describes it.
pub(super) fn described(bytes: &[u8]) -> PolarsResult<FileMetadataRef> {
    ParquetReader::new(std::io::Cursor::new(bytes)).get_metadata().map(Arc::clone)
}

/// Decodes those columns of a file's row groups: all of them, or those of a description. A column that the file lacks is null.
pub(super) fn decoded(
    bytes: impl AsRef<[u8]> + Send + Sync,
    described: Option<FileMetadataRef>,
    columns: &Schema,
) -> PolarsResult<DataFrame> {
    let mut reader = ParquetReader::new(std::io::Cursor::new(bytes));
    if let Some(described) = described {
        reader.set_metadata(described);
    }
    let present = reader.schema()?;
    let wanted = columns.iter_names().filter(|name| present.contains(name.as_str())).map(ToString::to_string).collect();
    let frame = reader.with_columns(Some(wanted)).finish()?;
    let column = |(name, dtype): (&PlSmallStr, &DataType)| match frame.column(name) {
        Ok(column) => column.cast(dtype),
        Err(_) => Ok(Column::full_null(name.clone(), frame.height(), dtype)),
    };
    DataFrame::new(frame.height(), columns.iter().map(column).collect::<PolarsResult<_>>()?)
}
