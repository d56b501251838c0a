//! Of a large file, only what the wanted columns need is fetched.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use test_kit::Dice;

use super::*;
use crate::store::{parquet, row_groups};

const KIB: u64 = 1024;

type Result<T> = std::result::Result<T, object_store::Error>;

/// A store that counts the bytes that are read of it.
#[derive(Debug, Default)]
struct Counting {
    inner: InMemory,
    read: AtomicU64,
}

impl Counting {
    /// How many bytes were read since this was last asked.
    fn read(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }

    fn add(&self, range: &Range<u64>) {
        self.read.fetch_add(range.end - range.start, Ordering::Relaxed);
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "counting {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let read = self.inner.get_opts(location, options).await?;
        self.add(&read.range);
        Ok(read)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().for_each(|range| self.add(range));
        self.inner.get_ranges(location, ranges).await
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

/// A frame with so many columns of integers, `n0` and on, and in `raw` so many bytes in each row that do not compress.
fn frame_with_bytes(rows: usize, integers: usize, bytes: usize) -> DataFrame {
    let mut dice = Dice::new(1);
    let mut raw = BinaryChunkedBuilder::new("raw".into(), rows);
    for _ in 0..rows {
        let payload: Vec<u8> = (0..bytes / 8).flat_map(|_| dice.throw().to_le_bytes()).collect();
        raw.append_option(Some(payload.as_slice()));
    }
    let mut columns: Vec<Column> = Vec::with_capacity(integers + 1);
    columns.push(raw.finish().into_series().into());
    for column in 0..integers as i64 {
        let values: Vec<i64> = (0..rows as i64).map(|row| row * 1_000 + column).collect();
        columns.push(Column::new(format!("n{column}").into(), values));
    }
    DataFrame::new(rows, columns).expect("columns of one length")
}

/// Writes the frame as a file of a new store.
async fn written(frame: &DataFrame) -> (Arc<Counting>, DataFile) {
    let counting = Arc::new(Counting::default());
    let store: Arc<dyn ObjectStore> = counting.clone();
    let file = parquet::write(&store, "t", "", "2026-01-01", frame.clone(), &["n0"], parquet::Effort::Thorough)
        .await
        .expect("written");
    (counting, file)
}

/// Reads columns of the file, and says how many bytes that took.
async fn read(counting: &Arc<Counting>, file: &DataFile, columns: &Schema) -> (DataFrame, u64) {
    counting.read();
    let store: Arc<dyn ObjectStore> = counting.clone();
    let rows = parquet::read(&store, "t", std::slice::from_ref(file), columns).await.expect("read");
    (rows.collect().expect("decoded"), counting.read())
}

/// The types of those columns of the frame.
fn schema(frame: &DataFrame, names: &[&str]) -> Schema {
    let dtype = |name: &str| frame.column(name).expect("a column").dtype().clone();
    names.iter().map(|name| Field::new((*name).into(), dtype(name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_not_asked_for_are_not_fetched() {
    let frame = frame_with_bytes(2_000, 3, 1024);
    let (counting, file) = written(&frame).await;
    let size = file.size as u64;
    assert!(size > 1024 * KIB, "the bytes were compressed to {size}");

    let mut wanted = schema(&frame, &["n0", "n2"]);
    wanted.with_column("absent".into(), DataType::String);
    let (rows, fetched) = read(&counting, &file, &wanted).await;
    assert!(fetched < size / 8, "{fetched} of {size} bytes were fetched for two columns of integers");
    assert_eq!(rows.height(), 2_000);
    for name in ["n0", "n2"] {
        assert_eq!(rows.column(name).expect("read"), frame.column(name).expect("written"), "{name}");
    }
    assert_eq!(rows.column("absent").expect("read").null_count(), 2_000);

    let (rows, fetched) = read(&counting, &file, &schema(&frame, &["raw", "n1"])).await;
    assert!(fetched > 1024 * KIB, "only {fetched} bytes were fetched");
    assert_eq!(rows, frame.select(["raw", "n1"]).expect("both"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_does_not_fit_into_the_first_look_is_fetched_whole() {
    let frame = frame_with_bytes(64, 1_500, 128 * 1024);
    let (counting, file) = written(&frame).await;
    let size = file.size as u64;
    let path = Path::from(file.path.as_str());
    let end = counting.get_range(&path, size - 8..size).await.expect("read");
    let description = u64::from(u32::from_le_bytes(*end.first_chunk().expect("8 bytes")));
    assert!(description > 64 * KIB, "the description has {description} bytes");

    let (rows, fetched) = read(&counting, &file, &schema(&frame, &["n0", "n1499"])).await;
    assert_eq!(rows, frame.select(["n0", "n1499"]).expect("both"));
    assert!((description..size / 4).contains(&fetched), "{fetched} of {size} bytes were fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_is_fetched_whole() {
    let frame = frame_with_bytes(100, 3, 1024);
    let (counting, file) = written(&frame).await;
    let size = file.size as u64;
    assert!(size < 256 * KIB, "it has {size} bytes");
    let (rows, fetched) = read(&counting, &file, &schema(&frame, &["n1"])).await;
    assert_eq!((rows, fetched), (frame.select(["n1"]).expect("there"), size));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_a_row_group_at_a_time() {
    // As many rows as are written in two groups.
    let rows = 2 * 64 * 1024;
    let frame = frame_with_bytes(rows, 2, 8);
    let (counting, file) = written(&frame).await;
    let mut wanted = schema(&frame, &["n1"]);
    wanted.with_column("absent".into(), DataType::String);
    let (_, of_all) = read(&counting, &file, &wanted).await;
    let store: Arc<dyn ObjectStore> = counting.clone();
    let groups = row_groups::of_file(store, "t", &file, &wanted, |_| true).await.expect("described");
    counting.read();
    let mut parts = Vec::new();
    for group in groups {
        let part = group.read(Ok).await.expect("read");
        let of_group = counting.read();
        assert_eq!(part.height(), rows / 2);
        assert!(of_group < of_all * 3 / 5, "{of_group} bytes were fetched for one of two groups, {of_all} for both");
        parts.push(part);
    }
    assert_eq!(parts.len(), 2);
    let read = parts[0].vstack(&parts[1]).expect("the same columns");
    assert_eq!(read.column("n1").expect("read"), frame.column("n1").expect("written"));
    assert_eq!(read.column("absent").expect("read").null_count(), rows);

    let (_elsewhere, other) = written(&frame_with_bytes(3, 1, 8)).await;
    let elsewhere = row_groups::of_file(counting, "t", &other, &wanted, |_| true).await;
    assert!(elsewhere.is_err(), "it is in another store");
}
