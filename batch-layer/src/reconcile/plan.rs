//! The plan of one metric's reconcile: which days to count from which files, and what the commit replaces. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use platform::store::DataFile;
use shared_logic::catalog::{DefinitionHash, Metric};
use shared_logic::contracts::archive::Facts;
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::time::{DAY_US, HOUR_US, parse_day};
use storage::{Identities, Rebuild, Run};

use super::day::{DayTask, Past};
use super::report::Work;
use super::touched::{Touched, units_of};
use crate::archive_rows::may_hold;

/// Where the partials of a definition lie that are counted already.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Counted {
    /// In the view, up to its cut.
    InView(Offsets),
    /// In files beside the view: a rebuild of which every day is counted.
    Staged(Staged),
    /// Nothing is counted.
    Nothing,
}

/// A rebuild of which every day is counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Staged {
    /// Up to where.
    pub(super) cut: Offsets,
    /// Its files.
    pub(super) files: Vec<DataFile>,
    /// The version of the archive that its days were counted from, or an older one.
    pub(super) archive_version: u64,
    /// The index of the identities of all events that it counts, by day, if that was made besides.
    pub(super) identities: Option<BTreeMap<String, Vec<Run>>>,
    /// The first day that it counts, in days since 1970; `None`: every day.
    pub(super) retired_before: Option<i64>,
    /// What the view has counted of earlier days by the same definition.
    pub(super) carried: Option<Carried>,
}

/// Days of the view that a rebuild cannot count any more, as their rows are retired. They become days of the next view.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Carried {
    /// The view's cut.
    pub(super) cut: Offsets,
    /// The first day that the view holds; `None`: every day.
    pub(super) retired_before: Option<i64>,
}

impl Staged {
    /// Whether the view's rows of that day stay.
    fn carries(&self, day: i64) -> bool {
        self.carried.is_some() && self.retired_before.is_some_and(|before| day < before)
    }
}

impl Counted {
    /// Per partition, the first offset that is not counted.
    pub(super) fn cut(&self) -> Option<&Offsets> {
        match self {
            Counted::InView(cut) => Some(cut),
            Counted::Staged(staged) => Some(&staged.cut),
            Counted::Nothing => None,
        }
    }

    /// The same for one day.
    fn cut_of(&self, day: i64) -> Option<&Offsets> {
        match self {
            Counted::Staged(staged) if staged.carries(day) => staged.carried.as_ref().map(|carried| &carried.cut),
            _ => self.cut(),
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
    /// The first day that the next view holds, in days since 1970; `None`: every day.
    pub(super) retired_before: Option<i64>,
    pub(super) facts: &'a Facts,
    /// The archive's version and files.
    pub(super) archive_version: u64,
    pub(super) archive: Vec<DataFile>,
    /// The cut of the next view.
    pub(super) cut: Offsets,
    /// The units that are recomputed in any case: of events that are counted and lie above the next cut, or that are counted and
    /// were erased since.
    pub(super) again: Touched,
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
    /// The first day that the next view holds, in days since 1970; `None`: every day.
    pub(super) retired_before: Option<i64>,
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
    /// between what is counted and the next cut, or if some of its units are recomputed in any case.
    ///
    /// A day that the next view does not hold is not counted. One that is retired in the archive is only added to.
    pub(super) fn new(basis: Basis<'_>) -> Plan {
        let Basis { metric, definition, counted, view, retired_before, facts, .. } = basis;
        let Basis { archive_version, archive, cut, again, identities, work, .. } = basis;
        let (unit_us, logs) = (unit_us(metric.grain_us), logs(facts));
        let rebuilt = !matches!(counted, Counted::InView(_));
        // What was staged was counted beside the view, so no slice holds what is added to it. Where hours are counted again in any case,
        // their new events are not looked at by themselves.
        let compared = !rebuilt && again.is_empty();
        let (removed, staged, kept) = match &counted {
            Counted::InView(_) => (Vec::new(), Vec::new(), view),
            Counted::Staged(staged) => {
                let (carried, removed): (Vec<DataFile>, Vec<DataFile>) =
                    view.into_iter().partition(|file| day_of_file(file).is_some_and(|day| staged.carries(day)));
                (removed, staged.files.clone(), staged.files.iter().cloned().chain(carried).collect())
            }
            Counted::Nothing => (view, Vec::new(), Vec::new()),
        };
        let (mut kept, mut archive) = (DataFile::by_partition(kept), DataFile::by_partition(archive));
        let mut days: BTreeSet<String> = BTreeSet::new();
        for (day, files) in &archive {
            let number = parse_day(day).unwrap_or(i64::MAX);
            let new = OffsetRange::between(counted.cut_of(number), &cut);
            if files.iter().any(|file| may_hold(file, &new)) {
                days.insert(day.clone());
            }
        }
        days.extend(again.keys().cloned());
        days.retain(|day| parse_day(day).is_none_or(|day| retired_before.is_none_or(|before| day >= before)));
        let task = |day: String| {
            let number = parse_day(&day).unwrap_or(i64::MAX);
            let own = counted.cut_of(number).cloned();
            DayTask {
                metric: metric.name.clone(),
                definition: definition.clone(),
                cut: cut.clone(),
                logs: logs.clone(),
                unit_us,
                units: match own {
                    Some(_) => again.get(&day).cloned().unwrap_or_default(),
                    None => units_of(&day, unit_us),
                },
                counted: own,
                past: Past::of(facts.is_retired(number), identities.is_retired(number)),
                events: archive.remove(&day).unwrap_or_default(),
                identities: identities.runs(&day).to_vec(),
                lasts_from: identities.lasts_from.clone(),
                rows: kept.remove(&day).unwrap_or_default(),
                compared,
                identified: false,
                day,
            }
        };
        let tasks = days.into_iter().map(task).collect();
        Plan { definition, cut, retired_before, archive_version, rebuilt, tasks, removed, staged, work }
    }
}

/// The days of a rebuild that are not counted yet, in order. `archive` are the archive's files; `identified`: whether the index of
/// identities is made besides.
pub(super) fn days_left(
    rebuild: &Rebuild,
    metric: &Metric,
    facts: &Facts,
    archive: Vec<DataFile>,
    identified: bool,
) -> Vec<DayTask> {
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
        past: Past::Held,
        events: archive.remove(name).unwrap_or_default(),
        identities: Vec::new(),
        lasts_from: Offsets::default(),
        rows: Vec::new(),
        compared: false,
        identified,
    })
    .collect()
}

/// The day of a view's file, in days since 1970.
pub(super) fn day_of_file(file: &DataFile) -> Option<i64> {
    parse_day(&file.partition)
}

/// The logs in the order in which the archive first saw them.
fn logs(facts: &Facts) -> Vec<String> {
    facts.logs.iter().map(|log| log.log.clone()).collect()
}

/// The length of the smallest piece of event time that is recomputed as a whole, for buckets of that length: an hour if
/// buckets divide it, else a bucket if it is a number of hours, else a day.
pub(super) fn unit_us(grain_us: i64) -> i64 {
    let units = [HOUR_US, grain_us, DAY_US];
    units.into_iter().find(|unit| unit % grain_us == 0 && unit % HOUR_US == 0).unwrap_or(DAY_US)
}

#[cfg(test)]
mod tests;
