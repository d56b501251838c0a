//! The plan of one metric's reconcile: which days to count from which files, and what the commit replaces. No I/O.

use std::collections::BTreeSet;

use platform::store::DataFile;
use shared_logic::catalog::{DefinitionHash, Metric};
use shared_logic::contracts::archive::Facts;
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::time::{DAY_US, HOUR_US, parse_day};
use storage::{Identities, Rebuild};

use super::day::DayTask;
use super::report::Work;
use super::touched::Touched;
use crate::archive_rows::may_hold;

/// Where the partials of a definition lie that are counted already.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Counted {
    /// In the view, up to its cut.
    InView(Offsets),
    /// In files beside the view, up to that cut: a rebuild of which every day is counted.
    Staged(Offsets, Vec<DataFile>),
    /// Nothing is counted.
    Nothing,
}

impl Counted {
    /// Per partition, the first offset that is not counted.
    pub(super) fn cut(&self) -> Option<&Offsets> {
        match self {
            Counted::InView(cut) | Counted::Staged(cut, _) => Some(cut),
            Counted::Nothing => None,
        }
    }
}

/// Everything that a plan follows from, as of one version of the view and one of the archive.
pub(super) struct Basis<'a> {
    pub(super) metric: &'a Metric,
    /// The metric's definition in this catalog.
    pub(super) definition: DefinitionHash,
    /// What of it is counted already.
    pub(super) counted: Counted,
    /// The view's files, whichever definition that counts.
    pub(super) view: Vec<DataFile>,
    pub(super) facts: &'a Facts,
    /// The archive's version and files.
    pub(super) archive_version: u64,
    pub(super) archive: Vec<DataFile>,
    /// The cut of the next view.
    pub(super) cut: Offsets,
    /// The units of events that are counted and lie above the next cut.
    pub(super) above: Touched,
    /// The index of identities, complete below what is counted.
    pub(super) identities: &'a Identities,
    /// What finding all this out took.
    pub(super) work: Work,
}

/// What a reconcile of one metric does: it counts the tasks' days, and then commits once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// The definition that the next view counts.
    pub(super) definition: DefinitionHash,
    /// The cut of the next view.
    pub(super) cut: Offsets,
    /// The version of the archive that is counted.
    pub(super) archive_version: u64,
    /// Whether nothing of the newest view is kept.
    pub(super) rebuilt: bool,
    /// The days to count, in order.
    pub(super) tasks: Vec<DayTask>,
    /// The view's files that the commit removes, whatever the tasks do.
    pub(super) removed: Vec<DataFile>,
    /// The staged files, which the commit adds unless a task replaces them.
    pub(super) staged: Vec<DataFile>,
    /// What planning took.
    pub(super) work: Work,
}

impl Plan {
    /// Plans a reconcile.
    ///
    /// Only rows of the same definition are kept: those of the view, or those that a rebuild has staged. If the view counts
    /// another definition, its cut stands, but all of its files are replaced. A day is counted if a file of it may hold events
    /// between what is counted and the next cut, or if it holds counted ones above the cut.
    pub(super) fn new(basis: Basis<'_>) -> Plan {
        let Basis { metric, definition, counted, view, facts, archive_version, archive, cut, above, identities, work } =
            basis;
        let (unit_us, logs, own) = (unit_us(metric.grain_us), logs(facts), counted.cut().cloned());
        let rebuilt = !matches!(counted, Counted::InView(_));
        // What was staged was counted beside the view, so no slice holds what is added to it.
        let compared = !rebuilt;
        let (removed, staged, kept) = match counted {
            Counted::InView(_) => (Vec::new(), Vec::new(), view),
            Counted::Staged(_, staged) => (view, staged.clone(), staged),
            Counted::Nothing => (view, Vec::new(), Vec::new()),
        };
        let (mut kept, mut archive) = (DataFile::by_partition(kept), DataFile::by_partition(archive));
        let new = OffsetRange::between(own.as_ref(), &cut);
        let may_hold_new = archive.iter().filter(|(_, files)| files.iter().any(|file| may_hold(file, &new)));
        let mut days: BTreeSet<String> = may_hold_new.map(|(day, _)| day.clone()).collect();
        days.extend(above.keys().cloned());
        let task = |day: String| DayTask {
            metric: metric.name.clone(),
            definition: definition.clone(),
            counted: own.clone(),
            cut: cut.clone(),
            logs: logs.clone(),
            unit_us,
            units: match own {
                Some(_) => above.get(&day).cloned().unwrap_or_default(),
                None => units_of(&day, unit_us),
            },
            events: archive.remove(&day).unwrap_or_default(),
            identities: identities.runs(&day).to_vec(),
            rows: kept.remove(&day).unwrap_or_default(),
            compared,
            day,
        };
        let tasks = days.into_iter().map(task).collect();
        Plan { definition, cut, archive_version, rebuilt, tasks, removed, staged, work }
    }
}

/// The days of a rebuild that are not counted yet, in order. `archive` are the archive's files.
pub(super) fn days_left(rebuild: &Rebuild, metric: &Metric, facts: &Facts, archive: Vec<DataFile>) -> Vec<DayTask> {
    let mut archive = DataFile::by_partition(archive);
    let left = rebuild.days.iter().filter(|(_, day)| day.counted.is_none());
    left.map(|(name, day)| DayTask {
        metric: metric.name.clone(),
        definition: rebuild.definition.clone(),
        day: name.clone(),
        counted: None,
        cut: rebuild.cut.clone(),
        logs: logs(facts),
        unit_us: unit_us(metric.grain_us),
        units: day.units.clone(),
        events: archive.remove(name).unwrap_or_default(),
        identities: Vec::new(),
        rows: Vec::new(),
        compared: false,
    })
    .collect()
}

/// The logs in the order in which the archive first saw them.
fn logs(facts: &Facts) -> Vec<String> {
    facts.logs.iter().map(|log| log.log.clone()).collect()
}

/// The units of a day. The days of the archive that are none hold invalid records only.
fn units_of(day: &str, unit_us: i64) -> BTreeSet<i64> {
    let start = parse_day(day).map(|day| day * DAY_US);
    let starts = start.map(|start| (start..start + DAY_US).step_by(usize::try_from(unit_us).unwrap_or(usize::MAX)));
    starts.into_iter().flatten().collect()
}

/// The length of the smallest piece of event time that is recomputed as a whole, for buckets of that length: an hour if
/// buckets divide it, else a bucket if it is a number of hours, else a day.
pub(super) fn unit_us(grain_us: i64) -> i64 {
    let units = [HOUR_US, grain_us, DAY_US];
    units.into_iter().find(|unit| unit % grain_us == 0 && unit % HOUR_US == 0).unwrap_or(DAY_US)
}

#[cfg(test)]
mod tests;
