//! One look, the shards that it needs, and the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared_logic::catalog::Metric;
use shared_logic::complete::{self, Verdict};
use shared_logic::contracts::archive::Facts;
use shared_logic::cut;
use shared_logic::group_key::GroupKey;
use shared_logic::log::PartitionId;
use shared_logic::merge::SpeedCell;

use crate::app::App;
use crate::batch_view::View;
use crate::look::{Look, Shards};
use crate::problem::Problem;
use crate::speed_view::{Question, ShardLook};

/// How often a look that turned out to be too old is replaced before the answer says that it is incomplete.
const NEWER_LOOKS: usize = 2;

/// What both layers know of one group key, as of one look.
pub(crate) struct Gathered {
    /// The view, if it counts the catalog's definition.
    pub(crate) view: Option<Arc<View>>,
    /// What is missing, and from which offsets on slices count.
    pub(crate) verdict: Verdict,
    /// The cells of every slice that counts.
    pub(crate) speed: Vec<SpeedCell>,
    /// Nothing that arrived before this is missing, if the answer is complete.
    pub(crate) as_of_us: Option<i64>,
}

/// Gathers what is known of a group key. Where the look seems to be too old, newer ones are taken, a bounded number of
/// times: a reconcile has perhaps committed a view just now, and the slices below its cut were dropped.
///
/// # Errors
/// If there is no look for half of `http.request_timeout`, or the speed view cannot be read.
pub(crate) async fn gather(app: &App, metric: &Metric, key: &GroupKey) -> Result<Gathered, Problem> {
    let first = tokio::time::timeout(app.request_timeout / 2, app.looks.newest()).await;
    let mut look = first.ok().flatten().ok_or_else(Problem::starting)?;
    let mut newer = 0;
    loop {
        if let Some(reason) = look.unreadable(metric) {
            return Err(Problem::store(reason));
        }
        let gathered = see(app, &look, metric, key).await?;
        let version = look.view(&metric.name).map(|view| view.version);
        let gaps = &gathered.verdict.gaps;
        if !app.looks.may_close(&metric.name, version, gaps) {
            return Ok(gathered);
        }
        if newer == NEWER_LOOKS {
            app.looks.not_closed(&metric.name, version, gaps);
            return Ok(gathered);
        }
        newer += 1;
        look = app.looks.newer().await.ok_or_else(Problem::internal)?;
    }
}

/// Reads the shards that a look needs, and judges.
async fn see(app: &App, look: &Look, metric: &Metric, key: &GroupKey) -> Result<Gathered, Problem> {
    let definition = app.definition(metric);
    let nothing_read = Shards::new();
    let before = look.of_metric(metric, definition, &nothing_read);
    let own_cut = complete::own_view(before.view, definition).map(|note| &note.cut);
    let no_facts = Facts::default();
    let facts = before.archive.unwrap_or(&no_facts);
    let need: BTreeMap<PartitionId, i64> = complete::needed_shards(&before)
        .into_iter()
        .filter_map(|id| cut::of_partition(own_cut, &id, facts).map(|from| (id, from)))
        .collect();
    let question = Question { catalog: &app.catalog, metric, definition, key };
    let read = app.speed.read(&question, &need).await?;
    let shards: Shards =
        read.iter().map(|(id, shard)| (id.clone(), shard.as_ref().map(|shard| shard.shard.clone()))).collect();
    let judged = look.of_metric(metric, definition, &shards);
    let verdict = complete::judge(&judged);
    let as_of_us = as_of(&judged, &read);
    let speed = read.into_values().flatten().flat_map(|shard| cells(metric, &shard)).collect();
    Ok(Gathered { view: look.own_view(&metric.name, definition).cloned(), verdict, speed, as_of_us })
}

/// The counters of a shard's slices that count, as cells.
fn cells(metric: &Metric, shard: &ShardLook) -> Vec<SpeedCell> {
    let counters = shard.counters.iter().flat_map(|counters| counters.iter());
    counters.map(|(bucket, measure, value)| (bucket * metric.grain_us, *measure, value.clone())).collect()
}

/// The oldest, over the partitions, of the latest moment whose end of the log is counted; never later than the topic was
/// looked at. `None` where it is not known of one of them.
pub(crate) fn as_of(look: &complete::Look<'_>, read: &BTreeMap<PartitionId, Option<ShardLook>>) -> Option<i64> {
    let mut oldest = look.topic?.at_us;
    for id in complete::needed_shards(look) {
        let shard = read.get(&id).and_then(Option::as_ref);
        // A log that has ended gets no later moment than the last one; what was archived of it is all that there is.
        let ended = look.archive.filter(|facts| facts.is_closed(&id.log)).and_then(|facts| facts.partition(&id));
        if let (Some(ended), Some(shard)) = (ended, shard)
            && shard.shard.cursor >= ended.next
        {
            continue;
        }
        oldest = oldest.min(shard?.as_of_us?);
    }
    Some(oldest)
}
