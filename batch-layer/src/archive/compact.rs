//! Merges the small files of a day into one: each commit writes a file per day, and a reconcile reads every file of a day.
//!
//! The archiver does this itself between its own commits, so it rarely conflicts: only commits that change facts alone
//! (`braid close`, `braid lost accept`, a reconcile that settles a log) can come between. Then the small files stay until the
//! next time. Rows and facts stay the same. A reader of an older version still finds the small files until they are old enough to be removed.

use metrics::counter;
use platform::store::DataFile;
use platform::telemetry::error_text;
use polars::prelude::SortMultipleOptions;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION};
use storage::Archive;
use tracing::{debug, warn};

use super::buffer;
use crate::rows::{self, RowsError};

/// A day with fewer small files than this is left alone.
const FILES_MIN: usize = 16;
/// A file with more rows than this is not small.
const ROWS_SMALL: u64 = 250_000;
/// The most rows that are merged at once, which bounds the memory that it takes.
const ROWS_MAX: u64 = 1_000_000;

/// Compacts the archive and writes a checkpoint of its log. A failure is logged and nothing else, because the archive works
/// without this, only more slowly.
pub(super) async fn tidy_up(archive: &mut Archive, source: &Source) {
    let tidied = async {
        compact(archive, source).await?;
        Ok::<_, RowsError>(archive.checkpoint().await?)
    };
    if let Err(error) = tidied.await {
        warn!(table = archive.path(), error = error_text(&error), "cannot compact the archive; trying again later");
    }
}

/// Merges small files, a day at a time, and removes files that no version refers to any more.
///
/// # Errors
/// If the store cannot be read or written. The days that were merged by then are committed.
async fn compact(archive: &mut Archive, source: &Source) -> Result<(), RowsError> {
    let small = archive.files().await?.into_iter().filter(|file| file.rows < ROWS_SMALL);
    let mut days = DataFile::by_partition(small);
    days.retain(|_, files| files.len() >= FILES_MIN);
    for (day, mut files) in days {
        let mut rows = 0;
        files.retain(|file| {
            rows += file.rows;
            rows <= ROWS_MAX
        });
        let place = SortMultipleOptions::default().with_maintain_order(true);
        let merged = archive.read(&files, &buffer::schema(source)).await?.sort([LOG, PARTITION, OFFSET], place);
        let frame = rows::compute("merge small files", archive.path(), move || merged.collect()).await?;
        let one = archive.write(&day, frame, &[LOG, PARTITION, OFFSET]).await?;
        debug!(table = archive.path(), day, files = files.len(), rows = one.rows, "compacting");
        counter!("braid_archive_files_compacted_total").increment(files.len() as u64);
        let commit = archive.begin("COMPACT").adding([one]).removing(files).same_rows();
        archive.commit(commit, None).await?;
    }
    if let Err(error) = archive.remove_orphans().await {
        warn!(table = archive.path(), error = error_text(&error), "cannot remove old files");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use platform::store::Committed;
    use shared_logic::catalog::Catalog;
    use shared_logic::log::PartitionId;
    use storage::Storage;

    use super::super::buffer::{Buffer, Incoming};
    use super::super::commit;
    use super::*;

    async fn offsets(archive: &Archive, source: &Source) -> Vec<i64> {
        let files = archive.files().await.expect("listed");
        let rows = archive.read(&files, &buffer::schema(source)).await.expect("read");
        let rows = tokio::task::spawn_blocking(move || rows.collect()).await.expect("no panic").expect("decoded");
        let mut offsets: Vec<i64> =
            rows.column(OFFSET).expect("there").i64().expect("integers").iter().flatten().collect();
        offsets.sort_unstable();
        offsets
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn small_files_become_one_and_no_row_or_fact_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = platform::settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
        let storage = Storage::new(&settings, &catalog.deployment).expect("a store");
        let source = &catalog.sources["s"];
        let mut archive = crate::archive::create(&storage, source).await.expect("created");
        archive.change("BEGIN", |facts| facts.begin(&PartitionId::new("log", 0), 0)).await.expect("begun");
        let commits = FILES_MIN as i64 + 4;
        for offset in 0..commits {
            let mut buffer = Buffer::new(source, "log", &BTreeMap::from([(0, offset)]));
            // One of the records is invalid.
            let payload: &[u8] = if offset == 3 { b"broken" } else { br#"{"at": 1000, "k": "a"}"# };
            let (partition, timestamp_ms) = (0, Some(1_000));
            buffer.push(Incoming { partition, offset, timestamp_ms, key: None, payload: Some(payload), headers: None });
            let committed = commit::rows(&mut archive, "log", buffer, &BTreeMap::new()).await.expect("written");
            assert!(matches!(committed, Committed::At(_)));
        }
        assert_eq!(archive.files().await.expect("listed").len(), commits as usize);
        let facts = archive.facts();

        compact(&mut archive, source).await.expect("compacted");

        assert_eq!(archive.files().await.expect("listed").len(), 1);
        assert_eq!(offsets(&archive, source).await, (0..commits).collect::<Vec<_>>());
        let reopened = storage.archive("s").await.expect("read").expect("archived");
        assert_eq!((archive.facts(), reopened.facts()), (facts.clone(), facts));
    }
}
