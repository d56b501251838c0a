//! Commits of an archiver: rows and facts in one atomic write.

use std::collections::BTreeMap;

use metrics::{counter, gauge, histogram};
use platform::store::{Committed, DataFile, StoreError};
use polars::prelude::Schema;
use shared_logic::catalog::{KeptBytes, Source};
use shared_logic::contracts::archive::{Facts, Rejects};
use shared_logic::log::PartitionId;
use storage::Archive;
use tokio::time::Instant;
use tracing::debug;

use super::buffer::Buffer;
use crate::archive_rows;
use crate::rows::RowsError;

/// How often rows are committed again on a table that was only tidied up meanwhile.
const ATTEMPTS: u32 = 20;

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

/// Writes the buffer's rows and commits them together with the facts that follow from them. `log` is the topic's id:
/// the rows of each partition belong to its newest incarnation (R12). `ends` is where the partitions ended when Kafka
/// was last asked. On a conflict, neither the table nor `archive` changes.
///
/// If another process has only tidied up the table meanwhile, that is no conflict: the same files are committed on the version that
/// it has left. They are in no older version, because the offsets that they begin at are still the archive's next ones.
pub(crate) async fn rows(
    archive: &mut Archive,
    source: &Source,
    log: &str,
    buffer: Buffer,
    ends: &BTreeMap<i32, i64>,
) -> Result<Committed, RowsError> {
    let started = Instant::now();
    let before = archive.facts();
    let Some(mut facts) = advanced(before.clone(), source, log, &buffer, ends) else { return Ok(Committed::Conflict) };
    let ids: Vec<PartitionId> = buffer.reached.keys().map(|partition| facts.current(log, *partition)).collect();
    let records = buffer.rows();
    let files = write(archive, buffer).await?;
    platform::failpoints::pass("archive::before_commit");
    let mut committed = Committed::Conflict;
    for _ in 0..ATTEMPTS {
        let commit = archive.begin("ARCHIVE").adding(files.clone());
        committed = archive.commit(commit, Some(facts.clone())).await?;
        if committed != Committed::Conflict {
            break;
        }
        let mut newer = archive.clone();
        newer.refresh().await?;
        let Some(rebased) = facts.on_tidied(&before, &newer.facts()) else { break };
        if newer.columns()? != archive.columns()? {
            break;
        }
        debug!(
            table = archive.path(),
            version = newer.version(),
            "committing again, on a table that was tidied up meanwhile"
        );
        (facts, *archive) = (rebased, newer);
    }
    if let Committed::At(version) = committed {
        platform::failpoints::pass("archive::after_commit");
        debug!(table = archive.path(), version, records, "archived");
        counter!("braid_archive_records_total").increment(records as u64);
        let facts = archive.facts();
        for (id, known) in ids.iter().filter_map(|id| Some((id, facts.partition(id)?))) {
            let labels = [("table", archive.path().to_owned()), ("partition", id.partition.to_string())];
            gauge!("braid_archive_next", &labels).set(known.next as f64);
        }
        histogram!("braid_archive_commit_seconds").record(started.elapsed());
    }
    Ok(committed)
}

/// The facts once the buffer's rows are archived; `None` if they are not the ones that follow.
fn advanced(mut facts: Facts, source: &Source, log: &str, buffer: &Buffer, ends: &BTreeMap<i32, i64>) -> Option<Facts> {
    for (partition, (from, to)) in &buffer.reached {
        let id = facts.current(log, *partition);
        if !facts.advance(&id, *from, *to) {
            return None;
        }
        if source.kept_bytes == KeptBytes::Rejected {
            facts.note_columns_only(&id, &source.rules(), *from, *to);
        }
    }
    for (partition, witness) in buffer.witnesses() {
        facts.note_witness(&facts.current(log, partition), witness);
    }
    for (partition, end) in ends {
        facts.see_end(&facts.current(log, *partition), *end);
    }
    for (reason, (count, last)) in &buffer.rejects {
        let rejects = facts.rejects.entry(*reason).or_insert_with(|| Rejects { count: 0, last: last.clone() });
        rejects.count += count;
        rejects.last = last.clone();
    }
    Some(facts)
}

/// Writes the buffer's rows, a file for each day. The files belong to the archive once they are committed, and are soon merged.
pub(crate) async fn write(archive: &Archive, buffer: Buffer) -> Result<Vec<DataFile>, RowsError> {
    buffer.into_files().write(archive).await
}

#[cfg(test)]
mod tests;
