//! Keeps the archive's files few and under the source's own rules.
//!
//! Each commit of the archiver writes a file per day, and a reconcile reads every file of a day: the small ones of a day are
//! merged. Small files of other rules are decoded again from their bytes first (R11). No file ever holds rows of different
//! rules, no column is lost, and a file whose bytes were not kept stays as it is. Rows that older builds wrote without a hash get
//! one from their bytes.
//!
//! The archiver does this itself between its own commits, so it rarely conflicts: only commits that change facts alone
//! (`braid close`, `braid lost accept`, a reconcile that settles a log) can come between. Then the small files stay until the
//! next time. Facts stay the same, and so do records. A reader of an older version still finds the small files until they are
//! old enough to be removed.

use metrics::counter;
use platform::store::DataFile;
use platform::telemetry::error_text;
use polars::prelude::{SortMultipleOptions, col, lit};
use shared_logic::catalog::{RulesHash, Source};
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION, RULES};
use storage::Archive;
use tracing::{debug, warn};

use crate::archive_rows::{self, RANGED, Redecoded, hashes};
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
        compact(archive, source, FILES_MIN).await?;
        Ok::<_, RowsError>(archive.checkpoint().await?)
    };
    if let Err(error) = tidied.await {
        warn!(table = archive.path(), error = error_text(&error), "cannot compact the archive; trying again later");
    }
}

/// Decodes and merges small files, and removes files that no version refers to any more. A day with fewer than `files_min` small
/// files is not merged.
///
/// # Errors
/// If the store cannot be read or written. What was done by then is committed.
pub(crate) async fn compact(archive: &mut Archive, source: &Source, files_min: usize) -> Result<(), RowsError> {
    let (facts, rules) = (archive.facts(), source.rules());
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for file in archive.files().await?.into_iter().filter(|file| file.rows < ROWS_SMALL) {
        let is_own = archive_rows::rules_of(archive, &facts, &rules, &file)? == rules;
        if is_own { own.push(file) } else { other.push(file) }
    }
    decode_again(archive, source, other).await?;
    merge(archive, &rules, own, files_min).await?;
    let removed = async {
        archive.remove_decoded().await?;
        archive.remove_orphans().await
    };
    if let Err(error) = removed.await {
        warn!(table = archive.path(), error = error_text(&error), "cannot remove old files");
    }
    Ok(())
}

/// Replaces files of other rules with what they are decoded to under the source's, at most [`ROWS_MAX`] rows at a time.
async fn decode_again(archive: &mut Archive, source: &Source, files: Vec<DataFile>) -> Result<(), RowsError> {
    let (declared, mut decoded) = (archive.columns()?, 0);
    for file in files {
        decoded += file.rows;
        if decoded > ROWS_MAX {
            break;
        }
        let Redecoded { days, records, without_bytes } =
            archive_rows::redecode(archive, source, &file, Some(&declared)).await?;
        if without_bytes > 0 {
            continue;
        }
        let mut replaced = Vec::with_capacity(days.len());
        for (day, frame) in days {
            replaced.push(archive.write(&day, frame, &RANGED).await?);
        }
        debug!(table = archive.path(), file = file.path, records, "decoded again, under the source's rules");
        let commit = archive.begin("DECODE").adding(replaced).removing([file]);
        archive.commit(commit, None).await?;
    }
    Ok(())
}

/// Merges files of the source's own rules, a day at a time.
async fn merge(
    archive: &mut Archive,
    rules: &RulesHash,
    files: Vec<DataFile>,
    files_min: usize,
) -> Result<(), RowsError> {
    let mut days = DataFile::by_partition(files);
    days.retain(|_, files| files.len() >= files_min);
    for (day, mut files) in days {
        let mut rows = 0;
        files.retain(|file| {
            rows += file.rows;
            rows <= ROWS_MAX
        });
        let place = SortMultipleOptions::default().with_maintain_order(true);
        // Every column that the table has: some files hold values of fields that the catalog no longer declares.
        let merged = archive.read(&files, &archive.columns()?).await?.sort([LOG, PARTITION, OFFSET], place);
        let named = merged.with_column(col(RULES).fill_null(lit(rules.as_str())));
        let hashed = move || hashes::filled(named.collect()?);
        let frame = rows::compute("merge small files", archive.path(), hashed).await?;
        let one = archive.write(&day, frame, &RANGED).await?;
        debug!(table = archive.path(), day, files = files.len(), rows = one.rows, "compacting");
        counter!("braid_archive_files_compacted_total").increment(files.len() as u64);
        let commit = archive.begin("COMPACT").adding([one]).removing(files).same_rows();
        archive.commit(commit, None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use platform::store::Committed;
    use polars::prelude::{DataType, Schema};
    use shared_logic::catalog::Catalog;
    use shared_logic::contracts::archive::Facts;
    use shared_logic::log::PartitionId;
    use storage::Storage;

    use super::super::buffer::Buffer;
    use super::super::commit;
    use super::*;
    use crate::archive_rows::record_rows::Incoming;

    async fn offsets(archive: &Archive) -> Vec<i64> {
        let files = archive.files().await.expect("listed");
        let columns: Schema = [(OFFSET.into(), DataType::Int64)].into_iter().collect();
        let rows = archive.read(&files, &columns).await.expect("read");
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
        let begin = |facts: &mut Facts| {
            facts.keep_bytes(&source.rules());
            facts.begin(&PartitionId::new("log", 0), 0);
        };
        archive.change("BEGIN", begin).await.expect("begun");
        let commits = FILES_MIN as i64 + 4;
        for offset in 0..commits {
            let mut buffer = Buffer::new(source, "log", &BTreeMap::from([(0, offset)]));
            // One of the records is invalid.
            let payload: &[u8] = if offset == 3 { b"broken" } else { br#"{"at": 1000, "k": "a"}"# };
            let (partition, timestamp_us) = (0, Some(1_000_000));
            buffer.push(Incoming { partition, offset, timestamp_us, key: None, payload: Some(payload), headers: None });
            let committed = commit::rows(&mut archive, source, "log", buffer, &BTreeMap::new()).await.expect("written");
            assert!(matches!(committed, Committed::At(_)));
        }
        assert_eq!(archive.files().await.expect("listed").len(), commits as usize);
        let facts = archive.facts();

        compact(&mut archive, source, FILES_MIN).await.expect("compacted");

        assert_eq!(archive.files().await.expect("listed").len(), 1);
        assert_eq!(offsets(&archive).await, (0..commits).collect::<Vec<_>>());
        let reopened = storage.archive("s").await.expect("read").expect("archived");
        assert_eq!((archive.facts(), reopened.facts()), (facts.clone(), facts));
    }
}
