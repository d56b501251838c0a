//! Retention: whole days that are older than `retain` leave the table, in one commit that notes from which day on it holds every row.
//!
//! An archive gives up a day only after every view of its source has counted it, and after the index of identities names its events:
//! from then on the index alone tells whether a late event is a copy. A view gives up a day whatever it counts; answers say from when
//! on they hold.

use platform::store::{Committed, DataFile};
use polars::prelude::{DataFrame, IntoLazy, Schema, col, lit};
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::archive::{ERASED, ERROR, Facts, TIMESTAMP, record_columns};
use shared_logic::contracts::batch_view::Note;
use shared_logic::log::Offsets;
use shared_logic::time::{DAY_US, day_of, format_day, parse_day};
use storage::{Archive, BatchView};
use tracing::debug;

use super::counted::{self, Counted};
use super::{ATTEMPTS, Pass, Step, TableError};
use crate::reconcile::Reconciler;
use crate::rows::RowsError;

/// Days of an archive that are to go.
struct Retirement {
    /// The first day that stays, in days since 1970.
    first: i64,
    /// Per partition, the offset below which every view has counted.
    below: Offsets,
    /// The files of the days before, without those that hold rows from there on.
    files: Vec<DataFile>,
}

/// The first day to be kept, in days since 1970, if `newest` is the last one that has rows: a day goes once all of it is older than
/// `retain`. Time is taken to have come no further than to the end of the newest day, so a clock that is wrong by years takes nothing.
fn first_kept(now_us: i64, retain_us: i64, newest: i64) -> i64 {
    let end_of_newest = newest.saturating_add(1).saturating_mul(DAY_US);
    day_of(now_us.min(end_of_newest).saturating_sub(retain_us))
}

/// The first day of files to be kept; `None` if there is no file of a day.
fn first_kept_of(files: &[DataFile], retain_us: i64, now_us: i64) -> Option<i64> {
    let newest = files.iter().filter_map(|file| parse_day(&file.partition)).max()?;
    Some(first_kept(now_us, retain_us, newest))
}

/// The files of days before that one.
fn older(files: Vec<DataFile>, first: i64) -> Vec<DataFile> {
    files.into_iter().filter(|file| parse_day(&file.partition).is_some_and(|day| day < first)).collect()
}

/// Takes days that are older than the source's `retain` out of its archive, and forgets identities that no view needs any more.
///
/// # Errors
/// If a table cannot be read or written.
pub(super) async fn of_archive(
    reconciler: &Reconciler,
    source: &Source,
    archive: &mut Archive,
    pass: Pass<'_>,
) -> Result<Option<Step>, TableError> {
    let Some(retain_us) = source.retain_us else { return Ok(None) };
    let mut step = None;
    for attempt in 0..=ATTEMPTS {
        if attempt == ATTEMPTS {
            return Err(TableError::Overtaken);
        }
        archive.refresh().await?;
        let facts = archive.facts();
        let files = archive.files().await?;
        let first = first_kept_of(&files, retain_us, pass.now_us).max(facts.retired_before);
        let (Some(first), true) = (first, facts.keeps_bytes) else { break };
        let old = older(files, first);
        if old.is_empty() {
            break;
        }
        let below = match counted::by_all_views(reconciler, source, &facts).await? {
            Counted::UpTo(below) => below,
            Counted::NotBy(metric) => return Ok(Some(Step::NotCounted { metric })),
        };
        let retirement = planned(archive, &facts, old, first, below).await?;
        if retirement.files.is_empty() {
            break;
        }
        let planned = Step::retired(format_day(first), &retirement.files);
        if pass.dry_run || commit(reconciler, source, archive, retirement).await? {
            step = Some(planned);
            break;
        }
        debug!(table = archive.path(), "another writer committed first; planning the retirement anew");
    }
    if !pass.dry_run {
        forget_identities(reconciler, source, archive).await?;
    }
    Ok(step)
}

/// Which of these files may go: those of which every view has counted every row, and that hold no record of which nobody knows when it
/// arrived.
async fn planned(
    archive: &Archive,
    facts: &Facts,
    old: Vec<DataFile>,
    first: i64,
    below: Offsets,
) -> Result<Retirement, TableError> {
    let (above, mut files) = (counted::archived_above(&below, facts), Vec::new());
    for file in old {
        if !counted::holds(archive, &file, &above).await? && !holds_of_no_time(archive, &file).await? {
            files.push(file);
        }
    }
    Ok(Retirement { first, below, files })
}

/// Whether a file holds invalid records without a timestamp, such as those of imported files. They lie in the first day.
async fn holds_of_no_time(archive: &Archive, file: &DataFile) -> Result<bool, RowsError> {
    if parse_day(&file.partition) != Some(0) {
        return Ok(false);
    }
    let is_read = |name: &str| [ERROR, TIMESTAMP].contains(&name);
    let columns: Schema = record_columns().into_iter().filter(|(name, _)| is_read(name.as_str())).collect();
    for group in archive.row_groups(file, &columns, |_| true).await? {
        let look = |rows: DataFrame| {
            let is_of_no_time = col(ERROR).neq(lit(ERASED)).and(col(TIMESTAMP).is_null());
            Ok(rows.lazy().filter(is_of_no_time).collect()?.height() > 0)
        };
        if group.read(look).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Commits a retirement, once the index names every event that it takes out. Returns false if another writer came first.
async fn commit(
    reconciler: &Reconciler,
    source: &Source,
    archive: &mut Archive,
    retirement: Retirement,
) -> Result<bool, TableError> {
    let Retirement { first, below, files } = retirement;
    let mut facts = archive.facts();
    facts.retire(first, &below);
    if !source.event_id.is_empty() {
        reconciler.index_up_to(&below, archive, source).await?;
        // What was kept counts, and not what this process knows.
        let kept = archive.identities(&source.rules()).await?;
        if facts.retired_beyond(&kept.covered) {
            return Ok(false);
        }
    }
    platform::failpoints::pass("maintain::before_retiring");
    let committed = archive.commit(archive.begin("RETIRE").removing(files), Some(facts)).await?;
    platform::failpoints::pass("maintain::after_retiring");
    Ok(committed != Committed::Conflict)
}

/// Takes the identities of days out of the index that are retired in the archive and that no view holds any more.
async fn forget_identities(reconciler: &Reconciler, source: &Source, archive: &Archive) -> Result<(), TableError> {
    let mut first = archive.facts().retired_before;
    for version in counted::versions_with(reconciler, source) {
        for metric in version.catalog.metrics_of(&source.name) {
            let view = version.storage.batch_view(&metric.name).await?;
            first = first.min(view.as_ref().and_then(|view| view.note()).and_then(|note| note.retired_before));
        }
    }
    let Some(first) = first else { return Ok(()) };
    let (rules, mut index) = (source.rules(), archive.identities(&source.rules()).await?);
    // Where another process has written a list meanwhile, the next pass tries again.
    if index.forget_days_before(first) && archive.keep_identities(&rules, &mut index).await? {
        debug!(table = archive.path(), before = format_day(first), "forgot the identities of days that no view holds");
    }
    Ok(())
}

/// Takes days that are older than the metric's `retain` out of its view. One that is paused stays as it is.
///
/// # Errors
/// If the view cannot be read or written.
pub(super) async fn of_view(metric: &Metric, view: &mut BatchView, pass: Pass<'_>) -> Result<Option<Step>, TableError> {
    let Some(retain_us) = metric.retain_us else { return Ok(None) };
    for _ in 0..ATTEMPTS {
        view.refresh().await?;
        let note = view.note().filter(|note| note.asked.pause.is_none()).map(|note| Note::clone(note));
        let Some(note) = note else { return Ok(None) };
        let files = view.files().await?;
        let Some(first) = first_kept_of(&files, retain_us, pass.now_us).max(note.retired_before) else {
            return Ok(None);
        };
        let old = older(files, first);
        if old.is_empty() {
            return Ok(None);
        }
        let step = Step::retired(format_day(first), &old);
        if pass.dry_run {
            return Ok(Some(step));
        }
        let note = Note { retired_before: Some(first), ..note };
        platform::failpoints::pass("maintain::before_retiring_of_view");
        if view.commit(view.begin("RETIRE").removing(old), Some(note)).await? != Committed::Conflict {
            platform::failpoints::pass("maintain::after_retiring_of_view");
            return Ok(Some(step));
        }
    }
    Err(TableError::Overtaken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_goes_once_all_of_it_is_old_and_no_clock_takes_the_newest_days() {
        let today = 20_000;
        let at = |day: i64, us: i64| day * DAY_US + us;
        assert_eq!(first_kept(at(today, 5), 10 * DAY_US, today), today - 10, "the tenth day before is not over by now");
        assert_eq!(first_kept(at(today, 0), 10 * DAY_US, today), today - 10);
        assert_eq!(first_kept(at(today, 0) - 1, 10 * DAY_US, today), today - 11);
        assert_eq!(first_kept(i64::MAX, 10 * DAY_US, today), today - 9, "a clock far ahead");
        assert_eq!(first_kept(0, 10 * DAY_US, today), -10, "a clock far behind");
    }
}
