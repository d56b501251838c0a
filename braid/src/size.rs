//! What a deployment needs: cores, memory, disk and network of each layer, what drives them, and which limit comes first.
//!
//! It is arithmetic on what was measured, and nothing else; `docs/sizing.md` says what it claims, and decision 0080 what it does not.
//!
//! - `workload`: what is to be sized;
//! - `coefficients`: what one event, counter, row or request costs, each with its source;
//! - `distinct`: how many different keys there are among so many events; `groups`: counters, buckets and rows that follow;
//! - `layer`: what a layer needs; `layers`: that of each;
//! - `limit`: what does not grow by adding cores.

mod coefficients;
mod distinct;
mod groups;
mod layer;
mod layers;
mod limit;
#[cfg(test)]
mod tests;
mod workload;

use anyhow::Result;
use serde::Serialize;

pub(crate) use self::coefficients::Coefficients;
use self::groups::Groups;
pub(crate) use self::layer::{Layer, Resource};
use self::layers::Load;
pub(crate) use self::limit::Limit;
pub(crate) use self::workload::Workload;

/// As few partitions as a topic is taken to have, and how much of a partition's limit may be used, where the workload does not say how many
/// there are.
const PARTITIONS_MIN: f64 = 4.0;
const PARTITION_USED: f64 = 0.5;

/// What a workload needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Estimate {
    /// The workload, with everything that was not said.
    pub(crate) workload: Workload,
    /// Where the coefficients are from.
    pub(crate) coefficients: String,
    /// How many partitions the topic is taken to have.
    pub(crate) partitions: f64,
    /// How many counters an event changes.
    pub(crate) counters_per_event: f64,
    /// The layers, in the order in which events pass them.
    pub(crate) layers: Vec<Layer>,
    /// All of them together. What one layer sends another one receives, so network is not summed up.
    pub(crate) total: Total,
    /// What does not grow by adding cores, the limit that is reached first before the others.
    pub(crate) limits: Vec<Limit>,
    /// What is not in the estimate, because it was not measured.
    pub(crate) not_measured: Vec<&'static str>,
}

/// What all layers need.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Total {
    /// Processors that are busy all the time.
    pub(crate) cores: f64,
    /// Bytes of memory.
    pub(crate) memory_bytes: f64,
    /// Bytes that are kept.
    pub(crate) disk_bytes: f64,
}

impl Estimate {
    /// Sizes a workload by these coefficients.
    ///
    /// # Errors
    /// If there cannot be such a workload.
    pub(crate) fn of(workload: &Workload, costs: &Coefficients) -> Result<Estimate> {
        workload.check()?;
        let of_a_partition = costs.speed_events_per_second_per_partition.value * PARTITION_USED;
        let needed = || (workload.busiest() / of_a_partition).ceil().max(PARTITIONS_MIN);
        let partitions = workload.partitions.map_or_else(needed, f64::from);
        let load = Load { workload, costs, groups: Groups::of(workload, partitions), partitions };
        let layers = load.layers();
        let sum = |of: fn(&Layer) -> f64| -> f64 { layers.iter().map(of).sum() };
        let total = Total {
            cores: sum(|layer| layer.cores),
            memory_bytes: sum(|layer| layer.memory_bytes),
            disk_bytes: sum(|layer| layer.disk_bytes),
        };
        let missing = [
            (costs.kafka_us_per_record_written.is_none(), "cores of Kafka for records that are written"),
            (costs.segment_bytes_per_row.is_none(), "disk of serving: segments of all subsets of columns"),
        ];
        Ok(Estimate {
            workload: workload.clone(),
            coefficients: costs.source(),
            partitions,
            counters_per_event: load.groups.changed_per_event(),
            limits: load.limits(),
            not_measured: missing.iter().filter(|(is_missing, _)| *is_missing).map(|(_, what)| *what).collect(),
            layers,
            total,
        })
    }
}
