//! Reads what both views know about one group key, as of one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shared_logic::catalog::Metric;
use shared_logic::complete::{self, Verdict};
use shared_logic::group_key::GroupKey;
use shared_logic::log::PartitionId;
use shared_logic::merge::SpeedCell;

use super::judge::{Judgement, judge};
use crate::asked::Asked;
use crate::batch_view::View;
use crate::problem::Problem;
use crate::snapshot::{Shards, Snapshot, Unreadable};
use crate::speed_view::{CounterSelection, ShardReading};
use crate::versions::Version;

/// How many newer snapshots a request takes before its answer says that it is incomplete.
const NEWER_SNAPSHOTS: usize = 2;

/// What both views know about one group key.
pub(super) struct Gathered {
    /// The batch view, if it can be used for the catalog's definition.
    pub(super) view: Option<Arc<View>>,
    /// What is missing, and from which offsets on slices count.
    pub(super) verdict: Verdict,
    /// The cells of every slice that counts.
    pub(super) speed: Vec<SpeedCell>,
    /// Nothing that arrived before this moment is missing, if there are no gaps; microseconds since 1970.
    pub(super) as_of_us: Option<i64>,
}

/// Gathers what is known about a group key.
///
/// If the snapshot seems to be too old, newer ones are taken, a bounded number of times: perhaps a reconcile committed a view a
/// moment ago, and the slices below its cut were dropped.
///
/// # Errors
/// If there is no snapshot after `first_within`, or a view cannot be read.
pub(super) async fn gather(
    version: &Version,
    metric: &Metric,
    key: &GroupKey,
    first_within: Duration,
) -> Result<Gathered, Problem> {
    let first = tokio::time::timeout(first_within, version.snapshots.newest()).await;
    let mut snapshot = first.ok().flatten().ok_or_else(Problem::starting)?;
    let mut newer = 0;
    loop {
        match snapshot.unreadable(metric) {
            Some(Unreadable::Loading) => return Err(Problem::loading(&metric.name)),
            Some(Unreadable::Failed(reason)) => return Err(Problem::store(reason)),
            None => {}
        }
        let gathered = read_views(version, &snapshot, metric, key).await?;
        let view = snapshot.view(&metric.name).map(|view| view.version);
        let gaps = &gathered.verdict.gaps;
        if !version.snapshots.may_close(&metric.name, view, gaps) {
            return Ok(gathered);
        }
        if newer == NEWER_SNAPSHOTS {
            version.snapshots.not_closed(&metric.name, view, gaps);
            return Ok(gathered);
        }
        newer += 1;
        snapshot = version.snapshots.newer().await.ok_or_else(Problem::internal)?;
    }
}

/// Reads the shards that a snapshot needs, and judges what they say.
async fn read_views(
    version: &Version,
    snapshot: &Snapshot,
    metric: &Metric,
    key: &GroupKey,
) -> Result<Gathered, Problem> {
    let asked = version.asked(metric);
    let definition = asked.definition;
    let selection = CounterSelection { metric, definition, key };
    let read = version.speed.read(&selection, &needed_slices(snapshot, asked)).await?;
    let Judgement { verdict, as_of_us } = judge(snapshot, asked, &read);
    let counted = read.into_values().flatten().filter(|reading| complete::counts(&reading.shard));
    let speed = counted.flat_map(|reading| cells(metric, &reading)).collect();
    Ok(Gathered { view: snapshot.own_view(asked).cloned(), verdict, speed, as_of_us })
}

/// The partitions whose shards are read, and the offsets from which their slices count: the cut of the view.
fn needed_slices(snapshot: &Snapshot, asked: Asked<'_>) -> BTreeMap<PartitionId, i64> {
    let nothing_read = Shards::new();
    complete::counted_from(&snapshot.of_metric(asked, &nothing_read))
}

/// The counters of a shard as cells.
fn cells(metric: &Metric, shard: &ShardReading) -> Vec<SpeedCell> {
    let counters = shard.counters.iter().flat_map(|counters| counters.iter());
    counters.map(|(bucket, measure, value)| (bucket * metric.grain_us, *measure, value.clone())).collect()
}
