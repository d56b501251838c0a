//! The index of identities, brought up to a cut, and what it says of older copies.
//!
//! The index is shared by the metrics of a source and lies beside its archive ([`storage::Identities`]). A reconcile needs every
//! event in it that the view counts, so it first extends it up to the view's cut: by what the last reconcile has counted, or,
//! where there is none that fits, by everything. The index may name more than a view counts, as each metric has its own cut; a
//! look-up leaves out what does not lie below that.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use platform::store::{DataFile, StoreError};
use platform::telemetry::error_text;
use polars::prelude::{DataFrame, PolarsResult};
use shared_logic::catalog::{RulesHash, Source};
use shared_logic::contracts::archive::{Facts, LOG, OFFSET, PARTITION};
use shared_logic::dedup::{OlderCopies, Place};
use shared_logic::identity::Identity;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use storage::{Archive, Entries, Identities, Run};
use tracing::{debug, warn};

use super::cut;
use super::erased::Erased;
use super::error::MetricError;
use crate::archive_rows::may_hold;
use crate::archive_rows::scan::{Scan, Wanted};

/// How often the newest list is read again after another process has written one.
const ATTEMPTS: u32 = 20;
/// About how many offsets an index is extended by before it is kept. A process that is killed loses that much.
const STEP: i64 = 16 << 20;
/// How many runs are looked into at a time.
const LOOKS: usize = 4;

/// The index under the source's rules, once it names every event below `cut`; and how many archive rows were read for that.
/// `files` are the archive's, decoded under these rules; a run is made of about `rows_max` events.
///
/// # Errors
/// If the archive or the index cannot be read or written.
pub(super) async fn up_to(
    cut: &Offsets,
    archive: &Archive,
    source: &Source,
    files: &[DataFile],
    rows_max: usize,
) -> Result<(Identities, u64), MetricError> {
    let (rules, facts, mut rows_read) = (source.rules(), archive.facts(), 0);
    for _ in 0..ATTEMPTS {
        let mut index = usable(archive, &rules).await?;
        // What an older archive lacks, an index of a newer one would seem to hold. So it is extended for this process alone.
        let mut is_kept = index.archive_version <= archive.version();
        if index.retired_before > facts.retired_before {
            // It was made of an archive from which days are retired that this process still counts from.
            (index, is_kept) = (index.emptied(), false);
        }
        // Rows that it does not name yet may be retired by now.
        if facts.retired_beyond(&index.covered) {
            index.retire(facts.retired_before);
        }
        if let Some(rows) = forget_erased(&mut index, archive, source, files, rows_max).await? {
            rows_read += rows;
            if is_kept && !archive.keep_identities(&rules, &mut index).await? {
                continue;
            }
        }
        loop {
            let Some(to) = step(&index.covered, cut, &facts) else { return Ok((index, rows_read)) };
            rows_read += extend(&mut index, &to, archive, source, files, rows_max).await?;
            platform::failpoints::pass("reconcile::before_identities");
            if is_kept && !archive.keep_identities(&rules, &mut index).await? {
                break;
            }
            platform::failpoints::pass("reconcile::after_identities");
        }
    }
    Err(MetricError::Overtaken { attempts: ATTEMPTS })
}

/// Whether there is an index under the source's rules that can be used.
///
/// # Errors
/// If the archive or the index cannot be read.
pub(super) async fn is_begun(archive: &Archive, source: &Source) -> Result<bool, StoreError> {
    Ok(usable(archive, &source.rules()).await?.covered.iter().next().is_some())
}

/// Begins the index with the runs that a rebuild has made of all events that it counted, unless there is an index that can be used.
/// Whatever speaks against them, [`up_to`] makes others. `days` are the runs by day, `cut` is up to where they name events, and
/// `archive_version` the version that these were read from.
///
/// # Errors
/// If the archive or the index cannot be read or written.
pub(super) async fn begin_with(
    days: &BTreeMap<String, Vec<Run>>,
    cut: &Offsets,
    archive_version: u64,
    archive: &Archive,
    source: &Source,
) -> Result<(), StoreError> {
    let (rules, facts) = (source.rules(), archive.facts());
    // A rebuild counts no retired days, of which an index has to say that it may lack events.
    if archive.version() < archive_version || facts.retired_before.is_some() {
        return Ok(());
    }
    let mut index = usable(archive, &rules).await?;
    if index.covered.iter().next().is_some() || !archive.has_runs(&rules, days).await? {
        return Ok(());
    }
    cover(&mut index, cut, &facts);
    index.archive_version = archive_version;
    index.days.clone_from(days);
    platform::failpoints::pass("reconcile::before_identities");
    // If another process was faster, its index is used.
    let is_kept = archive.keep_identities(&rules, &mut index).await?;
    debug!(table = archive.path(), is_kept, %rules, "began the index of identities with what was counted");
    Ok(())
}

/// The newest index, if it can be used: it knows no other archive than this, holds nothing that this one has lost, and nothing of it
/// was archived again since then (R11). Otherwise one of nothing.
async fn usable(archive: &Archive, rules: &RulesHash) -> Result<Identities, StoreError> {
    let index = archive.identities(rules).await?;
    let (mut facts, mut version) = (archive.facts(), archive.version());
    if version < index.archive_version {
        // Another reconcile has extended it, with a newer archive than this process has read.
        let mut newer = archive.clone();
        newer.refresh().await?;
        (facts, version) = (newer.facts(), newer.version());
    }
    let is_of_archive = index.archive_version <= version && cut::is_covered(&index.covered, &facts);
    let is_new = index.covered.iter().next().is_none();
    if is_new || is_of_archive && is_held(&index, &facts) && !facts.archived_again_since(index.archive_version, rules) {
        return Ok(index);
    }
    warn!(table = archive.path(), "the index of identities does not fit the archive any more; building it anew");
    Ok(index.emptied())
}

/// Whether the archive has begun and lost each partition as the archive did that the index was made from. An older copy of an archive
/// that was put back grows until its version says nothing any more. But where the log has deleted records meanwhile, it lacks them,
/// and events that no view counts must leave no copies out. What an incarnation has lost that has ended may be learnt later (R12).
fn is_held(index: &Identities, facts: &Facts) -> bool {
    let is_same = |(id, count): (&PartitionId, i64)| {
        facts.is_truncated(id) || index.covered.get(id).is_some_and(|below| held(id, below, facts) == Some(count))
    };
    index.held.iter().all(is_same)
}

/// How many offsets below that one the archive has not lost since it began the partition.
fn held(id: &PartitionId, below: i64, facts: &Facts) -> Option<i64> {
    let known = facts.partition(id)?;
    let lost = known.lost.iter().map(|lost| lost.to.min(below) - lost.from.max(known.begin));
    Some(below - known.begin - lost.filter(|count| *count > 0).sum::<i64>())
}

/// Up to where an index is extended next, so that it reaches the cut after some steps: the partitions that it does not cover so
/// far. `None`: there are none.
fn step(covered: &Offsets, cut: &Offsets, facts: &Facts) -> Option<Offsets> {
    let from = |id: &PartitionId| covered.get(id).or_else(|| facts.partition(id).map(|known| known.begin));
    let behind = cut.iter().filter_map(|(id, to)| Some((id, from(id)?, to))).filter(|(_, from, to)| from < to);
    let behind: Vec<_> = behind.collect();
    let each = (STEP / i64::try_from(behind.len()).unwrap_or(i64::MAX).max(1)).max(1);
    let to = behind.into_iter().map(|(id, from, to)| (id.clone(), to.min(from.saturating_add(each))));
    let to: Offsets = to.collect();
    let any = to.iter().next().is_some();
    any.then_some(to)
}

/// Adds every event up to those offsets. Returns how many archive rows were read.
async fn extend(
    index: &mut Identities,
    to: &Offsets,
    archive: &Archive,
    source: &Source,
    files: &[DataFile],
    rows_max: usize,
) -> Result<u64, StoreError> {
    let (rules, ranges) = (source.rules(), OffsetRange::between(Some(&index.covered), to));
    let mut rows_read = 0;
    for (day, files) in DataFile::by_partition(files.iter().filter(|file| may_hold(file, &ranges)).cloned()) {
        rows_read += add_day(index, &day, &files, &ranges, archive, source, rows_max).await?;
    }
    cover(index, to, &archive.facts());
    index.archive_version = index.archive_version.max(archive.version());
    debug!(table = archive.path(), rows_read, %rules, "extended the index of identities");
    Ok(rows_read)
}

/// Notes that the runs name every event up to those offsets.
fn cover(index: &mut Identities, to: &Offsets, facts: &Facts) {
    for (id, to) in to.iter() {
        if index.lasts_from.get(id).is_none() {
            let from = index.covered.get(id).or_else(|| facts.partition(id).map(|known| known.begin));
            index.lasts_from.set(id.clone(), from.unwrap_or_default());
        }
        index.covered.set(id.clone(), to);
        if let Some(count) = held(id, to, facts) {
            index.held.set(id.clone(), count);
        }
    }
}

/// Adds the events of a day in those ranges. Returns how many archive rows were read.
async fn add_day(
    index: &mut Identities,
    day: &str,
    files: &[DataFile],
    ranges: &[OffsetRange],
    archive: &Archive,
    source: &Source,
    rows_max: usize,
) -> Result<u64, StoreError> {
    let rules = source.rules();
    let is_identity = |name: &String| source.event_id.contains(name) || *name == source.event_time;
    let fields = source.fields.iter().filter(|field| is_identity(&field.name)).collect();
    let (event_id, event_time) = (source.event_id.clone(), source.event_time.clone());
    let identified = move |events: DataFrame| identified(&events, &event_id, &event_time);
    let mut scan = Scan::new(archive, source, files, Wanted { fields, ranges, times: None }, identified)?;
    let (mut runs, mut entries) = (Vec::new(), Entries::default());
    while let Some(more) = scan.next().await? {
        entries.append(more);
        if entries.len() >= rows_max {
            runs.push(archive.write_run(&rules, day, std::mem::take(&mut entries)).await?);
        }
    }
    if !entries.is_empty() {
        runs.push(archive.write_run(&rules, day, entries).await?);
    }
    if !runs.is_empty() {
        runs.extend(index.days.remove(day).unwrap_or_default());
        let merged = archive.merge_runs(&rules, day, runs, rows_max).await;
        let runs = match merged {
            Ok(runs) => runs,
            Err(error) => return Err(given_up(archive, &rules, error).await),
        };
        index.days.insert(day.to_owned(), runs);
    }
    Ok(scan.rows_read)
}

/// Makes the days anew of which events were erased since the index was made, so that it says what the archive does: a copy that
/// comes later is an event of its own. Of retired days it goes on naming what was erased, as views go on counting that. Returns how many
/// archive rows were read; `None`: nothing was erased.
async fn forget_erased(
    index: &mut Identities,
    archive: &Archive,
    source: &Source,
    files: &[DataFile],
    rows_max: usize,
) -> Result<Option<u64>, StoreError> {
    let (facts, before) = (archive.facts(), index.archive_version);
    let newest = facts.erased_since(before).map(|part| part.version).max();
    let Some(newest) = newest.filter(|_| index.covered.iter().next().is_some()) else { return Ok(None) };
    let erased = Erased::since(before, archive, &source.rules()).await?;
    let is_made_anew = |day: &&String| erased.is_of_day(day) && !facts.is_retired_day(day);
    let days: Vec<String> = index.days.keys().filter(is_made_anew).cloned().collect();
    let ranges = OffsetRange::between(None, &index.covered);
    let mut files = DataFile::by_partition(files.iter().filter(|file| may_hold(file, &ranges)).cloned());
    let mut rows_read = 0;
    for day in days {
        index.days.remove(&day);
        let files = files.remove(&day).unwrap_or_default();
        rows_read += add_day(index, &day, &files, &ranges, archive, source, rows_max).await?;
    }
    index.archive_version = newest;
    debug!(table = archive.path(), rows_read, "made the index of identities anew where events were erased");
    Ok(Some(rows_read))
}

/// The entries of events.
fn identified(events: &DataFrame, event_id: &[String], event_time: &str) -> PolarsResult<Entries> {
    let identities = Identity::of_columns(events, event_id, event_time)?;
    let (log, partition) = (events.column(LOG)?.str()?, events.column(PARTITION)?.i32()?);
    let places = log.iter().zip(partition.iter()).zip(events.column(OFFSET)?.i64()?.iter());
    let mut entries = Entries::default();
    for (identity, ((log, partition), offset)) in identities.into_iter().zip(places) {
        entries.push(identity, log.unwrap_or_default(), partition.unwrap_or_default(), offset.unwrap_or_default());
    }
    Ok(entries)
}

/// What an index names of some identities below a cut.
#[derive(Debug, Default)]
pub(super) struct Older {
    /// The first copy of each.
    pub(super) first: Vec<Option<Place>>,
    /// Of the copies in each partition where there are any the first and the last; only the first, where one lies above the cut, or
    /// where an older build has made the run.
    pub(super) copies: OlderCopies,
}

/// Where a file is no run any more, gives the index up, so that the next reconcile builds it anew. Returns the error.
async fn given_up(archive: &Archive, rules: &RulesHash, error: StoreError) -> StoreError {
    if !matches!(error, StoreError::Foreign { .. }) {
        return error;
    }
    warn!(
        table = archive.path(),
        error = error_text(&error),
        "the index of identities is damaged; the next reconcile builds it anew"
    );
    let given_up = async { archive.keep_identities(rules, &mut archive.identities(rules).await?.emptied()).await };
    if let Err(error) = given_up.await {
        warn!(
            table = archive.path(),
            error = error_text(&error),
            "cannot give the index up; trying again with the next reconcile"
        );
    }
    error
}

/// What the runs of the index under those rules name of some identities, which are in order, below a cut; and how many entries were
/// read. `logs` are in the order in which the archive first saw them.
///
/// # Errors
/// If a run cannot be read.
pub(super) async fn older(
    archive: &Archive,
    (rules, runs): (&RulesHash, &[Run]),
    identities: &[Identity],
    below: &Offsets,
    logs: &[String],
) -> Result<(Older, u64), StoreError> {
    let numbers: BTreeMap<&str, u32> = logs.iter().map(String::as_str).zip(0..).collect();
    let mut older = Older { first: vec![None; identities.len()], copies: OlderCopies::default() };
    let mut rows_read = 0;
    let mut looks = Vec::with_capacity(runs.len());
    for runs in runs.chunks(LOOKS) {
        match try_join_all(runs.iter().map(|run| archive.find(run, identities))).await {
            Ok(found) => looks.extend(found),
            Err(error) => return Err(given_up(archive, rules, error).await),
        }
    }
    for found in looks {
        rows_read += found.read;
        for (at, id, offset) in found.places {
            let log = numbers.get(id.log.as_str()).copied().unwrap_or(u32::MAX);
            let place = Place { log, partition: id.partition, offset };
            if below.get(&id).is_some_and(|cut| offset < cut) {
                let first: &mut Option<Place> = &mut older.first[at];
                *first = Some(first.map_or(place, |known| known.min(place)));
                older.copies.note(at, place);
            } else {
                older.copies.note_above(at, place);
            }
        }
    }
    Ok((older, rows_read))
}
