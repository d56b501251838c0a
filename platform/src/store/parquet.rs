//! Frames to Parquet files and back, through any object store.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use deltalake::Path;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use polars::prelude::*;
use uuid::Uuid;

use super::{DataFile, StoreError, durable};

/// How many files are read at once.
const CONCURRENT_READS: usize = 16;

/// How much of a file's end is read at first. The description of its columns nearly always fits.
const TAIL: u64 = 64 * 1024;
/// Smaller files are read whole.
const WHOLE: u64 = 256 * 1024;
/// How many rows are encoded together. Readers skip such groups by the ranges of their columns, and hold one of them at a time,
/// so they are smaller than usual; their descriptions are still less than a hundredth of a file.
const ROW_GROUP: usize = 64 * 1024;

/// Encodes the frame and writes it under a new, unique name, in the folder of its partition below `folder`.
pub(super) async fn write(
    store: &Arc<dyn ObjectStore>,
    table: &str,
    folder: &str,
    partition: &str,
    frame: DataFrame,
    ranged: &[&str],
) -> Result<DataFile, StoreError> {
    let encode = |source| StoreError::Frame { operation: "encode rows", table: table.to_owned(), source };
    let rows = frame.height() as u64;
    let (ranges, text_ranges) = ranges(&frame, ranged).map_err(encode)?;
    let bytes = crate::task::blocking(move || encoded(frame)).await.map_err(encode)?;
    let path = format!("{folder}{partition}/{}.parquet", Uuid::new_v4());
    let size = bytes.len() as i64;
    store.put(&Path::from(path.as_str()), bytes.into()).await.map_err(|source| StoreError::File {
        operation: "write",
        file: path.clone(),
        table: table.to_owned(),
        source: Box::new(source),
    })?;
    Ok(DataFile { path, partition: partition.to_owned(), size, rows, ranges, text_ranges })
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
        let frames = bytes.into_iter().map(|bytes| Ok(decoded(bytes, &columns)?.lazy()));
        let frames = frames.collect::<PolarsResult<Vec<LazyFrame>>>()?;
        if frames.is_empty() {
            return Ok(DataFrame::empty_with_schema(&columns).lazy());
        }
        concat(frames, UnionArgs { rechunk: false, ..UnionArgs::default() })
    };
    let rows = crate::task::blocking(decode).await;
    rows.map_err(|source| StoreError::Frame { operation: "decode rows", table: table.to_owned(), source })
}

/// Reads a file as far as those columns need it. The bytes of other columns are zero, and take memory only once they
/// are touched.
async fn fetch(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    wanted: &HashSet<String>,
) -> Result<Vec<u8>, object_store::Error> {
    let mut bytes = described(store, file).await?;
    if is_small(file) {
        return Ok(bytes);
    }
    let ranges = chunks(&bytes, wanted);
    fill(store, file, &mut bytes, &ranges).await?;
    Ok(bytes)
}

/// Whether a file is read whole, whatever is wanted of it.
pub(super) fn is_small(file: &DataFile) -> bool {
    u64::try_from(file.size).unwrap_or_default() <= WHOLE
}

/// Reads a small file, or of a larger one the description at its end.
pub(super) async fn described(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<Vec<u8>, object_store::Error> {
    let path = Path::from(file.path.as_str());
    if is_small(file) {
        return Ok(store.get(&path).await?.bytes().await?.into());
    }
    let size = u64::try_from(file.size).unwrap_or_default();
    let mut bytes = vec![0; file.size as usize];
    let tail = store.get_range(&path, size - TAIL..size).await?;
    place(&mut bytes, size - TAIL, &tail);
    // A Parquet file ends with its description, the length of that in four bytes, and four letters.
    let length = bytes[bytes.len() - 8..].first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
    let description = (u64::from(length) + 8).min(size);
    if description > TAIL {
        let missing = store.get_range(&path, size - description..size - TAIL).await?;
        place(&mut bytes, size - description, &missing);
    }
    Ok(bytes)
}

/// Reads those ranges of a file to their places.
pub(super) async fn fill(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    bytes: &mut [u8],
    ranges: &[Range<u64>],
) -> Result<(), object_store::Error> {
    let chunks = store.get_ranges(&Path::from(file.path.as_str()), ranges).await?;
    for (range, chunk) in ranges.iter().zip(chunks) {
        place(bytes, range.start, &chunk);
    }
    Ok(())
}

/// Copies what was read of a file to its place, as far as there is room: the log may be wrong about the size.
fn place(bytes: &mut [u8], at: u64, read: &[u8]) {
    let room = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at..at.saturating_add(read.len())));
    if let Some(room) = room {
        room.copy_from_slice(read);
    }
}

/// Where the wanted columns lie in a file whose description is read. None if the description cannot be understood:
/// decoding the file then reports why.
fn chunks(bytes: &[u8], wanted: &HashSet<String>) -> Vec<Range<u64>> {
    let mut reader = ParquetReader::new(std::io::Cursor::new(bytes));
    let Ok(description) = reader.get_metadata() else { return Vec::new() };
    let groups = description.row_groups.iter().flat_map(|group| group.parquet_columns());
    let is_wanted = |path: &[PlSmallStr]| path.first().is_some_and(|name| wanted.contains(name.as_str()));
    groups
        .filter(|chunk| is_wanted(&chunk.descriptor().path_in_schema))
        .map(|chunk| chunk.byte_range())
        .filter(|range| range.end <= bytes.len() as u64)
        .collect()
}

/// Removes what was last written before that moment and is no longer needed: Parquet files that are not to be kept, and
/// files that a crash has left behind unpublished.
pub(super) async fn remove_orphans(
    store: &Arc<dyn ObjectStore>,
    table: &str,
    keep: &HashSet<String>,
    before_us: i64,
) -> Result<usize, StoreError> {
    let failed = |operation, file: &Path| {
        let file = file.to_string();
        move |source| StoreError::File { operation, file, table: table.to_owned(), source: Box::new(source) }
    };
    let objects: Vec<_> =
        store.list(None).try_collect().await.map_err(failed("list files beside", &Path::default()))?;
    let mut removed = 0;
    for object in objects {
        let path = object.location.to_string();
        // Folders that begin with `_` hold the log and what is kept beside the table.
        let is_data = path.ends_with(".parquet") && !path.starts_with('_');
        let is_unused = is_data && !keep.contains(&path) || object.location.filename().is_some_and(durable::is_staged);
        if is_unused && object.last_modified.timestamp_micros() < before_us {
            store.delete(&object.location).await.map_err(failed("remove", &object.location))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn encoded(mut frame: DataFrame) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let writer = ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None));
    writer.with_row_group_size(Some(ROW_GROUP)).finish(&mut frame)?;
    Ok(bytes)
}

fn decoded(bytes: impl AsRef<[u8]> + Send + Sync, columns: &Schema) -> PolarsResult<DataFrame> {
    selected(ParquetReader::new(std::io::Cursor::new(bytes)), columns)
}

/// Decodes those columns in the types given. A column that the file lacks is null.
pub(super) fn selected<B: AsRef<[u8]> + Send + Sync>(
    mut reader: ParquetReader<std::io::Cursor<B>>,
    columns: &Schema,
) -> PolarsResult<DataFrame> {
    let present = reader.schema()?;
    let wanted = columns.iter_names().filter(|name| present.contains(name.as_str())).map(ToString::to_string).collect();
    let frame = reader.with_columns(Some(wanted)).finish()?;
    let column = |(name, dtype): (&PlSmallStr, &DataType)| match frame.column(name) {
        Ok(column) => column.cast(dtype),
        Err(_) => Ok(Column::full_null(name.clone(), frame.height(), dtype)),
    };
    DataFrame::new(frame.height(), columns.iter().map(column).collect::<PolarsResult<_>>()?)
}

type Ranges = (HashMap<String, (i64, i64)>, HashMap<String, (String, String)>);

fn ranges(frame: &DataFrame, ranged: &[&str]) -> PolarsResult<Ranges> {
    let (mut numbers, mut texts) = (HashMap::new(), HashMap::new());
    for name in ranged {
        let column = frame.column(name)?;
        match column.dtype() {
            DataType::String => {
                let mut values = column.str()?.iter().flatten();
                if let Some(first) = values.next() {
                    let range = values.fold((first, first), |(low, high), value| (low.min(value), high.max(value)));
                    texts.insert((*name).to_owned(), (range.0.to_owned(), range.1.to_owned()));
                }
            }
            _ => {
                let cast = column.cast(&DataType::Int64)?;
                let mut values = cast.i64()?.iter().flatten();
                if let Some(first) = values.next() {
                    let range = values.fold((first, first), |(low, high), value| (low.min(value), high.max(value)));
                    numbers.insert((*name).to_owned(), range);
                }
            }
        }
    }
    Ok((numbers, texts))
}
