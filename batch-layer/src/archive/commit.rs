//! Commits of an archiver: rows and facts in one atomic write. Of several archivers, each commits the rows of its own partitions, on top of
//! whatever the others have committed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use platform::store::{Committed, DataFile, StoreError};
use platform::task::Backoff;
use polars::prelude::Schema;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{Appended, AppendedTo, Facts};
use storage::{Archive, ORPHAN_AGE};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::buffer::Buffer;
use crate::archive_rows;
use crate::rows::RowsError;

/// How rows are committed again when others came first. All waits together take less than 5 seconds.
const TRIES: Tries = Tries { most: 20, first_wait: Duration::from_millis(10) };

/// How long after their writing rows may be committed. Whoever was frozen for longer reads them again: files that no version knows are
/// deleted as orphans, and who looks does not ask whether somebody is about to commit them.
const COMMIT_WITHIN: Duration = Duration::from_secs(ORPHAN_AGE.as_secs() / 2);

/// How often something is tried, if others come first.
#[derive(Debug, Clone, Copy)]
struct Tries {
    most: u32,
    /// The wait before the second try; doubled each time up to 32 times that.
    first_wait: Duration,
}

/// Why rows that were read are not committed. Whoever read them starts again from what was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Dropped {
    /// Others have archived what was read of these partitions.
    Overtaken(BTreeSet<i32>),
    /// The log of a partition has ended, or goes on as another incarnation (R12).
    OtherLog,
    /// The table declares other columns than when they were written.
    OtherColumns,
    /// They have waited so long for their commit that their files may be gone.
    WaitedTooLong,
    /// Others committed first, so many times.
    OthersFirst(u32),
}

impl Dropped {
    /// Why these facts cannot take the rows.
    fn by(facts: &Facts, added: &Appended) -> Dropped {
        let others: BTreeSet<i32> = facts.archived_by_others(added).collect();
        if others.is_empty() { Dropped::OtherLog } else { Dropped::Overtaken(others) }
    }

    fn log(&self, table: &str) {
        let then = "dropping that, and starting again from what was committed";
        match self {
            Dropped::Overtaken(others) => {
                warn!(
                    table,
                    ?others,
                    "another archiver writes what this one has read, or the reply to its last commit was lost; {then}"
                );
            }
            Dropped::OtherLog => {
                warn!(
                    table,
                    "the log of what this archiver has read has ended, or goes on as another incarnation; {then}"
                );
            }
            Dropped::OtherColumns => {
                warn!(
                    table,
                    "the archive declares other columns than when this archiver wrote what it has read; {then}"
                );
            }
            Dropped::WaitedTooLong => {
                warn!(
                    table,
                    "what this archiver has read waited too long for its commit, and its files may be gone; {then}"
                );
            }
            Dropped::OthersFirst(attempts) => {
                warn!(
                    table,
                    attempts,
                    "others committed to this archive before each try to commit what this archiver has read; {then}"
                );
            }
        }
    }
}

/// Commits facts without rows. `columns` are those that the table is to declare from now on, if they change.
pub(crate) async fn facts(
    archive: &mut Archive,
    facts: Facts,
    columns: Option<&Schema>,
) -> Result<Committed, StoreError> {
    let mut commit = archive.begin("ARCHIVE FACTS");
    if let Some(columns) = columns {
        commit = commit.schema(columns);
    }
    archive.commit(commit, Some(facts)).await
}

/// The columns that the table has to declare if the source has fields that it does not declare yet, since they were
/// added to the catalog. A field that was removed stays declared, because rows hold it.
pub(crate) fn missing_columns(archive: &Archive, source: &Source) -> Result<Option<Schema>, StoreError> {
    let declared = archive.columns()?;
    let mut columns = declared.clone();
    for (name, dtype) in archive_rows::schema(source, &declared) {
        if !columns.contains(&name) {
            columns.with_column(name, dtype);
        }
    }
    Ok((columns.len() > declared.len()).then_some(columns))
}

/// Writes the buffer's rows and commits them together with the facts that follow from them. `ends` is where the partitions ended when
/// Kafka was last asked.
///
/// Whatever others commit meanwhile is no conflict, as long as it leaves the buffer's own partitions where they were when they were read:
/// the same files are committed on the version that came first. They are in no older version, because the offsets that they begin at are
/// still the archive's next ones. If one of these partitions has moved, nothing is committed, whatever the others hold.
/// On a conflict, `archive` is at the version that was in the way, and the log says why.
pub(crate) async fn rows(
    archive: &mut Archive,
    source: &Source,
    buffer: Buffer,
    ends: &BTreeMap<i32, i64>,
) -> Result<Committed, RowsError> {
    let started = Instant::now();
    let added = buffer.adds(source, ends);
    let facts = archive.facts();
    if facts.append(&added).is_none() {
        Dropped::by(&facts, &added).log(archive.path());
        return Ok(Committed::Conflict);
    }
    let (records, begun_us) = (buffer.rows(), platform::clock::now_us());
    let files = write(archive, buffer).await?;
    platform::failpoints::pass("archive::before_commit");
    let version = match written(archive, &added, &files, begun_us, TRIES).await? {
        Ok(version) => version,
        Err(dropped) => {
            dropped.log(archive.path());
            return Ok(Committed::Conflict);
        }
    };
    platform::failpoints::pass("archive::after_commit");
    debug!(table = archive.path(), version, records, "archived");
    counter!("braid_archive_records_total").increment(records as u64);
    for AppendedTo { id, next, .. } in &added.partitions {
        let labels = [("table", archive.path().to_owned()), ("partition", id.partition.to_string())];
        gauge!("braid_archive_next", &labels).set(*next as f64);
    }
    histogram!("braid_archive_commit_seconds").record(started.elapsed());
    Ok(Committed::At(version))
}

/// Commits files, the first of which was written at that moment or later, together with what their rows add to the facts. Returns which version
/// of the archive has them, or why none does.
async fn written(
    archive: &mut Archive,
    added: &Appended,
    files: &[DataFile],
    begun_us: i64,
    tries: Tries,
) -> Result<Result<u64, Dropped>, RowsError> {
    let mut backoff = Backoff::new(tries.first_wait);
    for attempt in 1..=tries.most {
        let before = archive.facts();
        let Some(facts) = before.append(added) else { return Ok(Err(Dropped::by(&before, added))) };
        let waited_us = platform::clock::now_us().saturating_sub(begun_us);
        if u128::try_from(waited_us).is_ok_and(|waited_us| waited_us > COMMIT_WITHIN.as_micros()) {
            return Ok(Err(Dropped::WaitedTooLong));
        }
        let commit = archive.begin("ARCHIVE").adding(files.to_vec());
        if let Committed::At(version) = archive.commit(commit, Some(facts)).await? {
            return Ok(Ok(version));
        }
        if attempt < tries.most {
            tokio::time::sleep(backoff.wait_apart()).await;
        }
        let declared = archive.columns()?;
        archive.refresh().await?;
        if archive.columns()? != declared {
            return Ok(Err(Dropped::OtherColumns));
        }
        debug!(table = archive.path(), version = archive.version(), "committing again, on what others have committed");
    }
    let facts = archive.facts();
    let is_overtaken = facts.append(added).is_none();
    Ok(Err(if is_overtaken { Dropped::by(&facts, added) } else { Dropped::OthersFirst(tries.most) }))
}

/// Writes the buffer's rows, a file for each day. The files belong to the archive once they are committed, and are soon merged.
pub(crate) async fn write(archive: &Archive, buffer: Buffer) -> Result<Vec<DataFile>, RowsError> {
    buffer.into_files().write(archive).await
}

#[cfg(test)]
mod tests;
