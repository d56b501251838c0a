//! Commits of an archiver: rows and facts in one atomic write. Of several archivers, each commits the rows of its own partitions, on top of
//! whatever the others have committed.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use platform::store::{Committed, DataFile, StoreError};
use polars::prelude::Schema;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{Appended, AppendedTo, Facts};
use storage::{Archive, ORPHAN_AGE};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::buffer::Buffer;
use crate::archive_rows;
use crate::rows::RowsError;

/// How often rows are committed again when others came first.
const ATTEMPTS: u32 = 20;

/// How long after their writing rows may be committed. Whoever was frozen for longer reads them again: files that no version knows are
/// deleted as orphans, and who looks does not ask whether somebody is about to commit them.
const COMMIT_WITHIN: Duration = Duration::from_secs(ORPHAN_AGE.as_secs() / 2);

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
/// On a conflict, `archive` is at the version that was in the way.
pub(crate) async fn rows(
    archive: &mut Archive,
    source: &Source,
    buffer: Buffer,
    ends: &BTreeMap<i32, i64>,
) -> Result<Committed, RowsError> {
    let started = Instant::now();
    let added = buffer.adds(source, ends);
    if archive.facts().append(&added).is_none() {
        return Ok(Committed::Conflict);
    }
    let (records, begun_us) = (buffer.rows(), platform::clock::now_us());
    let files = write(archive, buffer).await?;
    platform::failpoints::pass("archive::before_commit");
    let committed = written(archive, &added, &files, begun_us).await?;
    if let Committed::At(version) = committed {
        platform::failpoints::pass("archive::after_commit");
        debug!(table = archive.path(), version, records, "archived");
        counter!("braid_archive_records_total").increment(records as u64);
        for AppendedTo { id, next, .. } in &added.partitions {
            let labels = [("table", archive.path().to_owned()), ("partition", id.partition.to_string())];
            gauge!("braid_archive_next", &labels).set(*next as f64);
        }
        histogram!("braid_archive_commit_seconds").record(started.elapsed());
    }
    Ok(committed)
}

/// Commits files, the first of which was written at that moment or later, together with what their rows add to the facts.
async fn written(
    archive: &mut Archive,
    added: &Appended,
    files: &[DataFile],
    begun_us: i64,
) -> Result<Committed, RowsError> {
    for _ in 0..ATTEMPTS {
        let Some(facts) = archive.facts().append(added) else { break };
        let waited_us = platform::clock::now_us().saturating_sub(begun_us);
        if u128::try_from(waited_us).is_ok_and(|waited_us| waited_us > COMMIT_WITHIN.as_micros()) {
            warn!(table = archive.path(), "rows waited too long for their commit; reading them again");
            break;
        }
        let commit = archive.begin("ARCHIVE").adding(files.to_vec());
        let committed = archive.commit(commit, Some(facts)).await?;
        if committed != Committed::Conflict {
            return Ok(committed);
        }
        let declared = archive.columns()?;
        archive.refresh().await?;
        if archive.columns()? != declared {
            break;
        }
        debug!(table = archive.path(), version = archive.version(), "committing again, on what others have committed");
    }
    Ok(Committed::Conflict)
}

/// Writes the buffer's rows, a file for each day. The files belong to the archive once they are committed, and are soon merged.
pub(crate) async fn write(archive: &Archive, buffer: Buffer) -> Result<Vec<DataFile>, RowsError> {
    buffer.into_files().write(archive).await
}

#[cfg(test)]
mod tests;
