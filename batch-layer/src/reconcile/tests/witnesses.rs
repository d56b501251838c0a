//! How a slice is confirmed: by what the archive holds of the record before it (R12).

use std::io::Cursor;
use std::ops::Range;

use platform::store::Committed;
use polars::prelude::{DataFrame, ParquetReader, SerReader};
use shared_logic::catalog::KeptBytes;
use shared_logic::contracts::archive::{HASH, RAW, record_columns};

use super::super::slices::{self, Slices};
use super::bench::{Bench, after_the_second, id};
use crate::archive::compact;
use crate::archive_rows::witnesses::Records;
use crate::archive_rows::{event_time_column, ranged};
use crate::rows::{self, RowsError};

/// Whether a slice is confirmed that begins after a second record that says so much of `n`. The archived one says 1.
async fn is_confirmed(bench: &Bench, n: i64) -> bool {
    let slices = Slices::from([(id(), vec![after_the_second(n)])]);
    let confirmed = slices::confirmed(&bench.archive, &slices, None, &mut Records::new()).await.expect("read");
    confirmed[&id()].contains(&2)
}

/// All that the archive holds of records, except their fields.
async fn archived_rows(bench: &Bench) -> Result<DataFrame, RowsError> {
    let files = bench.archive.files().await?;
    let rows = bench.archive.read(&files, &record_columns().into_iter().collect()).await?;
    rows::compute("read", bench.archive.path(), move || rows.collect()).await
}

/// The hash of every archived record.
async fn hashes(bench: &Bench) -> Vec<Option<i32>> {
    let rows = archived_rows(bench).await.expect("read");
    rows.column(HASH).expect("a column").i32().expect("32 bits").iter().collect()
}

/// Makes the bytes of records unreadable in every file of the archive.
async fn spoil_bytes(bench: &Bench) {
    let deployment = bench.folder.path().join(&bench.reconciler.catalog.deployment.name);
    for file in bench.archive.files().await.expect("listed") {
        let path = deployment.join(bench.archive.path()).join(&file.path);
        let mut bytes = std::fs::read(&path).expect("read");
        for range in chunks_of_raw(&bytes) {
            bytes[range].fill(0);
        }
        std::fs::write(&path, bytes).expect("written");
    }
}

/// Where a Parquet file holds the column [`RAW`].
fn chunks_of_raw(file: &[u8]) -> Vec<Range<usize>> {
    let mut reader = ParquetReader::new(Cursor::new(file));
    let description = reader.get_metadata().expect("a Parquet file");
    let chunks = description.row_groups.iter().flat_map(|group| group.parquet_columns());
    let of_raw = chunks.filter(|chunk| chunk.descriptor().path_in_schema[0].as_str() == RAW);
    let ranges = of_raw.map(|chunk| chunk.byte_range()).map(|range| range.start as usize..range.end as usize);
    ranges.collect()
}

/// Replaces the archive's files with those that an archiver would have written that knew no hashes.
async fn as_of_an_older_build(bench: &mut Bench) {
    let mut columns = bench.archive.columns().expect("read");
    columns.shift_remove(HASH).expect("a column");
    let event_time = event_time_column(bench.source(), Some(&columns));
    for file in bench.archive.files().await.expect("listed") {
        let rows = bench.archive.read(std::slice::from_ref(&file), &columns).await.expect("read");
        let frame = rows::compute("read", bench.archive.path(), move || rows.collect()).await.expect("decoded");
        let older = bench.archive.write(&file.partition, frame, &ranged(&event_time)).await.expect("written");
        let commit = bench.archive.begin("REWRITE").adding([older]).removing([file]).same_rows();
        let committed = bench.archive.commit(commit, None).await.expect("tried");
        assert!(matches!(committed, Committed::At(_)), "there is no other writer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_is_confirmed_without_the_bytes_of_any_record() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 3]).await;
    spoil_bytes(&bench).await;
    assert!(archived_rows(&bench).await.is_err(), "their bytes cannot be read");
    assert!(is_confirmed(&bench, 1).await);
    assert!(!is_confirmed(&bench, 5).await, "another record at the same offset, with the same timestamp");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_an_older_build_archived_are_compared_by_their_bytes_until_compaction_adds_hashes() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 3]).await;
    let before = hashes(&bench).await;
    as_of_an_older_build(&mut bench).await;
    assert_eq!(hashes(&bench).await, [None::<i32>; 3]);
    assert!(is_confirmed(&bench, 1).await);
    assert!(!is_confirmed(&bench, 5).await);

    let (source, schemas) = (bench.source().clone(), bench.schemas());
    compact::compact(&mut bench.archive, &source, &schemas, 1).await.expect("compacted");
    assert_eq!(hashes(&bench).await, before);
    spoil_bytes(&bench).await;
    assert!(is_confirmed(&bench, 1).await);
    assert!(!is_confirmed(&bench, 5).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_archived_without_their_bytes_are_told_apart_by_their_hashes() {
    let mut bench = Bench::new().await;
    let source = bench.reconciler.catalog.sources.get_mut("s").expect("declared");
    source.kept_bytes = KeptBytes::Rejected;
    bench.archived(&[1, 2, 3]).await;
    let raw = archived_rows(&bench).await.expect("read").column(RAW).expect("a column").null_count();
    assert_eq!(raw, 3, "no bytes are kept");
    assert!(is_confirmed(&bench, 1).await);
    assert!(!is_confirmed(&bench, 5).await);

    as_of_an_older_build(&mut bench).await;
    assert!(is_confirmed(&bench, 1).await);
    assert!(is_confirmed(&bench, 5).await, "only its time can be compared");
}
