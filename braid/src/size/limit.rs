//! What does not grow by adding cores: how much of each such thing a workload needs.

use serde::Serialize;

use super::groups::Groups;
use super::layers::Load;
use super::workload::{Workload, seconds};

/// Each limit, and what goes beyond it, in the order of [`Load::used`].
const LIMITS: [(&str, &str); 4] = [
    (
        "one core of one Redis, which runs one command at a time",
        "shards on several Redis servers, or fewer metrics and columns",
    ),
    ("one archiver of the source", "several archivers, or the source divided into several"),
    ("the partitions, each of which one loop counts", "more partitions"),
    (
        "one reconcile, which ends before the next begins",
        "fewer metrics of the source, or reconciles on more cores than were measured",
    ),
];
/// How often the rate at which a limit is reached is corrected. What an event costs changes little with the rate, so a few times are enough.
const CORRECTIONS: usize = 12;

/// Something of which there is one, or as many as there are partitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Limit {
    /// What it is.
    pub(crate) what: &'static str,
    /// How much of it the workload needs; above 1 it is not enough.
    pub(crate) used: f64,
    /// Up to how many events per second on average it is enough, if nothing else changes.
    pub(crate) events_per_second: f64,
    /// What goes beyond it.
    pub(crate) beyond: &'static str,
}

impl Limit {
    /// Whether the workload needs more than there is.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.used > 1.0
    }
}

impl Load<'_> {
    /// All limits, the one that is reached first before the others.
    pub(super) fn limits(&self) -> Vec<Limit> {
        let limit = |(at, ((what, beyond), used)): (usize, ((&'static str, &'static str), f64))| Limit {
            what,
            used,
            events_per_second: self.reached(at),
            beyond,
        };
        let mut limits: Vec<Limit> = LIMITS.into_iter().zip(self.used()).enumerate().map(limit).collect();
        limits.sort_by(|one, other| other.used.total_cmp(&one.used));
        limits
    }

    /// How much of each limit is used.
    fn used(&self) -> [f64; LIMITS.len()] {
        let (busiest, costs) = (self.workload.busiest(), self.costs);
        let available_s = seconds(self.workload.reconcile_every) * costs.reconcile_cores.value;
        [
            busiest * self.redis_us_per_event() / 1e6,
            busiest / costs.archive_rows_per_second.value,
            busiest / (self.partitions * costs.speed_events_per_second_per_partition.value),
            self.reconcile_s() / available_s,
        ]
    }

    /// At how many events per second on average all of a limit is used.
    fn reached(&self, limit: usize) -> f64 {
        let mut rate = self.workload.events_per_second;
        for _ in 0..CORRECTIONS {
            let workload = Workload { events_per_second: rate, ..self.workload.clone() };
            let groups = Groups::of(&workload, self.partitions);
            let load = Load { workload: &workload, costs: self.costs, groups, partitions: self.partitions };
            rate /= load.used()[limit];
        }
        rate
    }
}
