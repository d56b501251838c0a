//! Keeps the archive's files few and under the source's own rules.
//!
//! Each commit of the archiver writes a file per day, and a reconcile reads every file of a day: the small ones of a day are
//! merged, a row group at a time, which bounds the memory that it takes. Small files of other rules are decoded again from their
//! bytes first (R11). No file ever holds rows of different rules, no column is lost, and a file whose bytes were not kept stays as
//! it is. Rows that older builds wrote without a hash get one from their bytes.
//!
//! The archiver does this itself between its own commits, so it rarely conflicts: only commits that change facts alone
//! (`braid close`, `braid lost accept`, a reconcile that settles a log) can come between, and those of other archivers. Then the small files stay until the
//! next time. Facts stay the same, and so do records. A reader of an older version still finds the small files until they are
//! old enough to be removed.

use metrics::counter;
use platform::store::{Commit, Committed, DataFile, RowGroups, StoreError};
use platform::telemetry::error_text;
use polars::prelude::{Schema, SortMultipleOptions, col, lit};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION, RULES};
use storage::{Archive, Schemas};
use tracing::{debug, warn};

use crate::archive_rows::{self, Redecoded, event_time_column, hashes, ranged};
use crate::rows::{self, RowsError};

/// A day with fewer small files than this is left alone.
const FILES_MIN: usize = 16;
/// A file with so many rows, or so many bytes, is not small. Those of an archiver that catches up are not: maintenance merges them.
const ROWS_SMALL: u64 = GROUP_ROWS;
const BYTES_SMALL: i64 = 8 << 20;
/// The most rows and bytes of the files that are merged into one, which is in memory once it is encoded.
const ROWS_MAX: u64 = 1_000_000;
const BYTES_MAX: i64 = 32 << 20;
/// The most rows and bytes of the files that become one row group. So many rows are in memory at once; they take about ten times
/// the bytes of their files.
const GROUP_ROWS: u64 = 131_072;
const GROUP_BYTES: i64 = 4 << 20;

/// Compacts the archive and writes a checkpoint of its log. A failure is logged and nothing else, because the archive works
/// without this, only more slowly.
pub(super) async fn tidy_up(archive: &mut Archive, source: &Source, schemas: &Schemas) {
    let tidied = async {
        compact(archive, source, schemas, FILES_MIN).await?;
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
pub(crate) async fn compact(
    archive: &mut Archive,
    source: &Source,
    schemas: &Schemas,
    files_min: usize,
) -> Result<(), RowsError> {
    let (facts, rules) = (archive.facts(), source.rules());
    let (mut own, mut other) = (Vec::new(), Vec::new());
    let is_small = |file: &DataFile| file.rows < ROWS_SMALL && file.size < BYTES_SMALL;
    for file in archive.files().await?.into_iter().filter(is_small) {
        let is_own = archive_rows::rules_of(archive, &facts, &rules, &file)? == rules;
        if is_own { own.push(file) } else { other.push(file) }
    }
    decode_again(archive, source, schemas, other).await?;
    merge(archive, source, own, files_min).await?;
    let removed = async {
        // Other archivers commit all the time, and a version that is not the newest one removes nothing.
        archive.refresh().await?;
        archive.remove_decoded().await?;
        archive.refresh().await?;
        archive.remove_orphans().await
    };
    if let Err(error) = removed.await {
        warn!(table = archive.path(), error = error_text(&error), "cannot remove old files");
    }
    Ok(())
}

/// Replaces files of other rules with what they are decoded to under the source's, at most [`ROWS_MAX`] rows at a time.
async fn decode_again(
    archive: &mut Archive,
    source: &Source,
    schemas: &Schemas,
    files: Vec<DataFile>,
) -> Result<(), RowsError> {
    let (declared, mut decoded) = (archive.columns()?, 0);
    let event_time = event_time_column(source, Some(&declared));
    for file in files {
        decoded += file.rows;
        if decoded > ROWS_MAX {
            break;
        }
        let Redecoded { days, records, without_bytes } =
            archive_rows::redecode(archive, source, schemas, &file, Some(&declared)).await?;
        if without_bytes > 0 {
            continue;
        }
        let mut replaced = Vec::with_capacity(days.len());
        for (day, frame) in days {
            replaced.push(archive.write(&day, frame, &ranged(&event_time)).await?);
        }
        debug!(table = archive.path(), file = file.path, records, "decoded again, under the source's rules");
        let commit = archive.begin("DECODE").adding(replaced).removing([file]);
        tidied(archive, commit).await?;
    }
    Ok(())
}

/// Merges files of the source's own rules, a day at a time, the oldest first.
async fn merge(
    archive: &mut Archive,
    source: &Source,
    files: Vec<DataFile>,
    files_min: usize,
) -> Result<(), RowsError> {
    let mut days = DataFile::by_partition(files);
    days.retain(|_, files| files.len() >= files_min);
    for (day, mut files) in days {
        files.sort_by_key(|file| file.ranges.get(OFFSET).copied());
        let (mut rows, mut bytes) = (0, 0);
        files.retain(|file| {
            (rows, bytes) = (rows + file.rows, bytes + file.size);
            rows <= ROWS_MAX && bytes <= BYTES_MAX
        });
        // Every column that the table has: some files hold values of fields that the catalog no longer declares.
        let one = merged(archive, source, &archive.columns()?, &files).await?;
        let one = archive.write_groups(&day, one).await?;
        debug!(table = archive.path(), day, files = files.len(), rows = one.rows, "compacting");
        counter!("braid_archive_files_compacted_total").increment(files.len() as u64);
        let commit = archive.begin("COMPACT").adding([one]).removing(files).same_rows();
        tidied(archive, commit).await?;
    }
    Ok(())
}

/// Commits what changes neither records nor facts. If others came first, nothing of it changes, and the next such commit follows on theirs:
/// files that another archiver has merged as well are not the table's any more then, so that conflicts, too.
async fn tidied(archive: &mut Archive, commit: Commit) -> Result<(), StoreError> {
    if archive.commit(commit, None).await? == Committed::Conflict {
        archive.refresh().await?;
    }
    Ok(())
}

/// All rows of the files, encoded a few files at a time.
async fn merged(
    archive: &Archive,
    source: &Source,
    columns: &Schema,
    files: &[DataFile],
) -> Result<RowGroups, RowsError> {
    let (operation, rules) = ("merge small files", source.rules());
    let failed = |source| StoreError::Frame { operation, table: archive.path().to_owned(), source };
    let mut merged = RowGroups::new(columns, &ranged(&event_time_column(source, Some(columns)))).map_err(failed)?;
    for group in groups(files) {
        let place = SortMultipleOptions::default().with_maintain_order(true);
        let rows = archive.read(group, columns).await?.sort([LOG, PARTITION, OFFSET], place);
        let rows = rows.with_column(col(RULES).fill_null(lit(rules.as_str())));
        let add = move || {
            merged.push(hashes::filled(rows.collect()?)?)?;
            Ok(merged)
        };
        merged = rows::compute(operation, archive.path(), add).await?;
    }
    Ok(merged)
}

/// The files, as many at a time as one row group takes, and at least one.
fn groups(files: &[DataFile]) -> Vec<&[DataFile]> {
    let (mut groups, mut begin, mut rows, mut bytes) = (Vec::new(), 0, 0, 0);
    for (at, file) in files.iter().enumerate() {
        (rows, bytes) = (rows + file.rows, bytes + file.size);
        if at > begin && (rows > GROUP_ROWS || bytes > GROUP_BYTES) {
            groups.push(&files[begin..at]);
            (begin, rows, bytes) = (at, file.rows, file.size);
        }
    }
    groups.push(&files[begin..]);
    groups.retain(|group| !group.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use platform::registry::Registry;
    use platform::store::Committed;
    use polars::prelude::DataType;
    use shared_logic::catalog::Catalog;
    use shared_logic::contracts::archive::Facts;
    use shared_logic::decode::Decoder;
    use shared_logic::log::PartitionId;
    use storage::Storage;
    use test_kit::{Dice, first_seed};

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

    #[test]
    fn row_groups_hold_whole_files_in_their_order_and_are_not_too_large() {
        let mut dice = Dice::new(first_seed());
        for _ in 0..500 {
            let file = |rows: u64| DataFile { size: 40 * rows as i64, rows, ..DataFile::default() };
            let files: Vec<DataFile> = (0..dice.below(40)).map(|_| file(dice.below(200_000) as u64)).collect();
            let groups = groups(&files);
            assert_eq!(groups.concat(), files);
            for group in groups {
                let (rows, bytes): (u64, i64) =
                    group.iter().fold((0, 0), |sum, file| (sum.0 + file.rows, sum.1 + file.size));
                assert!(group.len() == 1 || rows <= GROUP_ROWS && bytes <= GROUP_BYTES, "{rows} rows, {bytes} bytes");
            }
        }
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
            facts.keep_bytes(&source.rules(), None);
            facts.begin(&PartitionId::new("log", 0), 0);
        };
        archive.change("BEGIN", begin).await.expect("begun");
        let (commits, mut decoder) = (FILES_MIN as i64 + 4, Decoder::new(source));
        let declared = archive.columns().expect("read");
        for offset in 0..commits {
            let mut buffer = Buffer::new(source, &declared, "log", &BTreeMap::from([(0, offset)]));
            // One of the records is invalid.
            let payload: &[u8] = if offset == 3 { b"broken" } else { br#"{"at": 1000, "k": "a"}"# };
            let (partition, timestamp_us) = (0, Some(1_000_000));
            let record = Incoming { partition, offset, timestamp_us, key: None, payload: Some(payload), headers: None };
            buffer.push(record, &mut decoder);
            let committed = commit::rows(&mut archive, source, buffer, &BTreeMap::new()).await.expect("written");
            assert!(matches!(committed, Committed::At(_)));
        }
        assert_eq!(archive.files().await.expect("listed").len(), commits as usize);
        let facts = archive.facts();

        let schemas = Schemas::new(&storage, "s", &Registry::new(&platform::settings::Registry::default()));
        compact(&mut archive, source, &schemas, FILES_MIN).await.expect("compacted");

        assert_eq!(archive.files().await.expect("listed").len(), 1);
        assert_eq!(offsets(&archive).await, (0..commits).collect::<Vec<_>>());
        let reopened = storage.archive("s").await.expect("read").expect("archived");
        assert_eq!((archive.facts(), reopened.facts()), (facts.clone(), facts));
    }
}
