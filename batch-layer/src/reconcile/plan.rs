//! The plan of one metric's reconcile: which days to recompute from which files, and what the commit replaces. No I/O.

use platform::store::DataFile;
use shared_logic::catalog::{DefinitionHash, Metric};
use shared_logic::complete::own_view;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use shared_logic::log::Offsets;
use shared_logic::time::{DAY_US, HOUR_US, format_day};

use super::recompute::DayTask;
use super::touched::Touched;

/// Everything that a plan follows from, as of one version of the view and one of the archive.
pub(super) struct Basis<'a> {
    pub(super) metric: &'a Metric,
    /// The metric's definition in this catalog.
    pub(super) definition: DefinitionHash,
    /// The note of the newest view, whichever definition that counts.
    pub(super) newest: Option<&'a Note>,
    /// The view's files.
    pub(super) view: Vec<DataFile>,
    pub(super) facts: &'a Facts,
    /// The archive's version and files.
    pub(super) archive_version: u64,
    pub(super) archive: Vec<DataFile>,
    /// The cut of the next view.
    pub(super) cut: Offsets,
    /// The units that events between the cut of the newest view and the next cut touch; if the newest view counts another
    /// definition, those that any event below the next cut touches.
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
}

impl Plan {
    /// Plans a reconcile.
    ///
    /// Only a view of the same definition is carried over. If the newest view counts another one, its cut stands, but all of
    /// its days are replaced.
    pub(super) fn new(basis: Basis<'_>) -> Plan {
        let Basis { metric, definition, newest, view, facts, archive_version, archive, cut, touched } = basis;
        let rebuilt = own_view(newest, &definition).is_none();
        let (mut removed, kept) = if rebuilt { (view, Vec::new()) } else { (Vec::new(), view) };
        let (mut kept, mut archive) = (DataFile::by_partition(kept), DataFile::by_partition(archive));
        let logs: Vec<String> = facts.logs.iter().map(|log| log.log.clone()).collect();
        let mut tasks = Vec::with_capacity(touched.len());
        for (day, units) in touched {
            let day = format_day(day);
            let carried = kept.remove(&day).unwrap_or_default();
            removed.extend(carried.iter().cloned());
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
        Plan { definition, cut, archive_version, rebuilt, tasks, removed }
    }
}

/// The length of the smallest piece of event time that is recomputed as a whole, for buckets of that length: an hour if
/// buckets divide it, else a bucket if it is a number of hours, else a day.
pub(super) fn unit_us(grain_us: i64) -> i64 {
    let units = [HOUR_US, grain_us, DAY_US];
    units.into_iter().find(|unit| unit % grain_us == 0 && unit % HOUR_US == 0).unwrap_or(DAY_US)
}

#[cfg(test)]
mod tests;
