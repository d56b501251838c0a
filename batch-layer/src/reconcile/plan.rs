//! The plan of one metric's reconcile: which days to recompute from which files, and what the commit replaces. No I/O.

use platform::store::DataFile;
use shared_logic::catalog::{DefinitionHash, Metric};
use shared_logic::contracts::archive::Facts;
use shared_logic::log::Offsets;
use shared_logic::time::{DAY_US, HOUR_US, format_day};
use storage::Rebuild;

use super::recompute::DayTask;
use super::touched::Touched;

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
    /// The units that events between what is counted and the next cut touch.
    pub(super) touched: Touched,
}

/// What a reconcile of one metric does: it recomputes the tasks' days, and then commits once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// The definition that the next view counts.
    pub(super) definition: DefinitionHash,
    /// The cut of the next view.
    pub(super) cut: Offsets,
    /// The version of the archive that is recounted.
    pub(super) archive_version: u64,
    /// Whether nothing of the newest view is kept.
    pub(super) rebuilt: bool,
    /// The days to recompute, in order.
    pub(super) tasks: Vec<DayTask>,
    /// The view's files that the commit removes.
    pub(super) removed: Vec<DataFile>,
    /// The staged files that the commit adds as they are.
    pub(super) staged: Vec<DataFile>,
}

impl Plan {
    /// Plans a reconcile.
    ///
    /// Only rows of the same definition are carried over: those of the view, or those that a rebuild has staged. If the view
    /// counts another definition, its cut stands, but all of its files are replaced.
    pub(super) fn new(basis: Basis<'_>) -> Plan {
        let Basis { metric, definition, counted, view, facts, archive_version, archive, cut, touched } = basis;
        let rebuilt = !matches!(counted, Counted::InView(_));
        let (mut removed, kept) = match counted {
            Counted::InView(_) => (Vec::new(), view),
            Counted::Staged(_, staged) => (view, staged),
            Counted::Nothing => (view, Vec::new()),
        };
        let (mut kept, mut archive) = (DataFile::by_partition(kept), DataFile::by_partition(archive));
        let logs = logs(facts);
        let mut tasks = Vec::with_capacity(touched.len());
        for (day, units) in touched {
            let day = format_day(day);
            let carried = kept.remove(&day).unwrap_or_default();
            if !rebuilt {
                removed.extend(carried.iter().cloned());
            }
            tasks.push(DayTask {
                metric: metric.name.clone(),
                definition: definition.clone(),
                cut: cut.clone(),
                logs: logs.clone(),
                units,
                unit_us: unit_us(metric.grain_us),
                events: archive.remove(&day).unwrap_or_default(),
                carried,
                day,
            });
        }
        let staged = if rebuilt { kept.into_values().flatten().collect() } else { Vec::new() };
        Plan { definition, cut, archive_version, rebuilt, tasks, removed, staged }
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
        cut: rebuild.cut.clone(),
        logs: logs(facts),
        units: day.units.clone(),
        unit_us: unit_us(metric.grain_us),
        events: archive.remove(name).unwrap_or_default(),
        carried: Vec::new(),
    })
    .collect()
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
