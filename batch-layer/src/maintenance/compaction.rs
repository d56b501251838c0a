//! Compaction: the files of a day become few.
//!
//! The archiver merges its small files between its own commits, and a reconcile merges those of a day that it adds to (`compact`,
//! `day/output`). What both leave are medium files: an archive of a busy day has some hundred. Here they become large ones, in the order
//! of event time, so that who recounts an hour reads little of one file. Files are merged as in a log-structured tree, so a late event
//! does not make its day be written again.
//!
//! Only files of the source's own rules are merged (R11), and only those of which every view has counted every row: the next
//! reconcile finds new rows in small files. A file holds the rows of those that it takes the place of, so the commit changes no data.
//!
//! - `by_time`: files → files in the order of event time.

mod by_time;

use std::collections::HashSet;

use metrics::counter;
use platform::store::{Committed, DataFile};
use shared_logic::catalog::{Metric, Source};
use storage::{Archive, BatchView, to_merge};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(super) use self::by_time::Target;
use super::counted::{self, Counted};
use super::{ATTEMPTS, Pass, Step, TableError};
use crate::archive_rows;
use crate::reconcile::Reconciler;

/// How large the files of an archive become. At 1,000 events a second, a day of 39 bytes an event has thirteen of them.
pub(super) const TARGET: Target = Target { rows: 8_000_000, bytes: 256 << 20 };
/// A day of a view with fewer small files than this is left alone.
const VIEW_FILES_MIN: usize = 4;

/// Merges files of an archive, the oldest day first.
///
/// # Errors
/// If a table cannot be read or written. What was merged by then is committed.
pub(super) async fn of_archive(
    reconciler: &Reconciler,
    source: &Source,
    archive: &mut Archive,
    pass: Pass<'_>,
    stop: &CancellationToken,
) -> Result<Vec<Step>, TableError> {
    let mut steps = Vec::new();
    archive.refresh().await?;
    let planned = planned(reconciler, source, archive).await?;
    let days = planned.len();
    for (at, (day, files)) in planned.into_iter().enumerate() {
        if stop.is_cancelled() {
            break;
        }
        reconciler.progress().say(format_args!("merging files of {day} of {}: {at} of {days} days", archive.path()));
        let step = Step::merged(&day, &files);
        if pass.dry_run || merge(source, archive, &day, files, TARGET).await? {
            steps.push(step);
        }
    }
    Ok(steps)
}

/// Which files of which days are merged.
async fn planned(
    reconciler: &Reconciler,
    source: &Source,
    archive: &Archive,
) -> Result<Vec<(String, Vec<DataFile>)>, TableError> {
    let (facts, rules) = (archive.facts(), source.rules());
    let Counted::UpTo(below) = counted::by_all_views(reconciler, source, &facts).await? else { return Ok(Vec::new()) };
    let above = counted::archived_above(&below, &facts);
    let mut planned = Vec::new();
    for (day, mut files) in DataFile::by_partition(archive.files().await?) {
        files.retain(|file| file.rows < TARGET.rows / 2 && file.size.unsigned_abs() < TARGET.bytes / 2);
        let mut own = Vec::new();
        for file in files {
            let is_own = archive_rows::rules_of(archive, &facts, &rules, &file)? == rules;
            if is_own && !counted::holds(archive, &file, &above).await? {
                own.push(file);
            }
        }
        own.sort_by_key(|file| file.rows);
        let rows: Vec<u64> = own.iter().map(|file| file.rows).collect();
        own.truncate(to_merge(&rows));
        if own.len() > 1 {
            planned.push((day, own));
        }
    }
    Ok(planned)
}

/// Merges files of a day. Returns false if another writer has taken one of them out since they were planned.
pub(super) async fn merge(
    source: &Source,
    archive: &mut Archive,
    day: &str,
    files: Vec<DataFile>,
    target: Target,
) -> Result<bool, TableError> {
    // Since the day before was merged, the archive may be another version than the one that was planned on.
    if !has_all(archive, &files).await? {
        return Ok(false);
    }
    let added = by_time::merged(archive, source, day, &files, target).await?;
    for _ in 0..ATTEMPTS {
        platform::failpoints::pass("maintain::before_merging");
        let commit = archive.begin("COMPACT").adding(added.clone()).removing(files.clone()).same_rows();
        if archive.commit(commit, None).await? != Committed::Conflict {
            platform::failpoints::pass("maintain::after_merging");
            counter!("braid_archive_files_compacted_total").increment(files.len() as u64);
            return Ok(true);
        }
        archive.refresh().await?;
        if !has_all(archive, &files).await? {
            return Ok(false);
        }
    }
    Err(TableError::Overtaken)
}

/// Whether all of these files are the archive's. As long as they are, the rows that were merged of them are the same.
async fn has_all(archive: &Archive, files: &[DataFile]) -> Result<bool, TableError> {
    let there: HashSet<String> = archive.files().await?.into_iter().map(|file| file.path).collect();
    let gone = files.iter().find(|file| !there.contains(&file.path));
    if let Some(gone) = gone {
        debug!(
            table = archive.path(),
            file = gone.path,
            "another writer has merged or replaced files that were to be merged"
        );
    }
    Ok(gone.is_none())
}

/// Merges small files of a view, if it counts the metric's definition and is not paused: all days in one commit, so that a reconcile
/// conflicts with it once at most.
///
/// # Errors
/// If the view cannot be read or written.
pub(super) async fn of_view(
    reconciler: &Reconciler,
    metric: &Metric,
    view: &mut BatchView,
    pass: Pass<'_>,
) -> Result<Vec<Step>, TableError> {
    let definition = reconciler.catalog.definition(metric);
    // No file has more.
    let rows_max = reconciler.view_rows_at_once(metric);
    for _ in 0..ATTEMPTS {
        view.refresh().await?;
        if view.note().is_none_or(|note| note.definition != definition || note.asked.pause.is_some()) {
            return Ok(Vec::new());
        }
        let mut days = DataFile::by_partition(view.files().await?);
        for files in days.values_mut() {
            files.retain(|file| file.rows < rows_max as u64 / 2);
        }
        days.retain(|_, files| files.len() >= VIEW_FILES_MIN);
        let steps: Vec<Step> = days.iter().map(|(day, files)| Step::merged(day, files)).collect();
        if pass.dry_run || days.is_empty() {
            return Ok(steps);
        }
        let mut commit = view.begin("COMPACT").same_rows();
        for (day, files) in days {
            let added = reconciler.merged(metric, view, &day, &files).await?;
            commit = commit.adding(added).removing(files);
        }
        platform::failpoints::pass("maintain::before_merging_of_view");
        if view.commit(commit, None).await? != Committed::Conflict {
            platform::failpoints::pass("maintain::after_merging_of_view");
            return Ok(steps);
        }
        debug!(table = view.path(), "a reconcile committed first; planning anew");
    }
    Err(TableError::Overtaken)
}

#[cfg(test)]
mod tests;
