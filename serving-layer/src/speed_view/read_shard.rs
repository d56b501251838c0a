//! Reads one shard: its positions, and the counters of one group key in every slice that counts.
//!
//! The script has to be told the keys of the counters, so the first round names the instance and the slices that the shard had
//! the last time. If the reply names others, another round asks for those.

use std::collections::HashMap;
use std::sync::Arc;

use shared_logic::contracts::speed_view::{Counters, Instance, Reading, ShardKeys};
use shared_logic::log::PartitionId;
use shared_logic::measure::MeasureKind;

use super::finished::SliceId;
use super::slices::{Known, Slice, slices};
use super::{CounterSelection, ShardReading, SpeedError, SpeedView};

/// How many rounds one shard may take: one to learn its slices, one to read them, and others if slices are opened or dropped in
/// between, or if the shard is opened again.
const ROUNDS: usize = 5;

/// What is known of the counters of slices, from the cache or from a round.
type CountersBySlice = HashMap<Slice, Arc<Counters>>;

impl SpeedView {
    /// Reads one shard, whose slices count from the offset `from` on; `None` if there is no shard.
    pub(super) async fn read_shard(
        &self,
        selection: &CounterSelection<'_>,
        id: &PartitionId,
        from: i64,
    ) -> Result<Option<ShardReading>, SpeedError> {
        let keys = ShardKeys::new(&self.deployment, &selection.metric.source, id);
        let mut known = self.known.get(&keys);
        for _ in 0..ROUNDS {
            let (mut found, missing) = self.find_finished(selection, &keys, known.as_ref(), from);
            let asked = known.as_ref().map(|known| (known.instance, missing.as_slice()));
            let Some(mut reading) = self.read_slices(selection, &keys, asked).await? else {
                self.known.remove(&keys);
                return Ok(None);
            };
            let counters = std::mem::take(&mut reading.counters);
            // Where a slice ends is what this reply says. A slice that was dropped meanwhile is not listed and does not count.
            let listed: Vec<Slice> = slices(&reading.shard.slices, from).collect();
            if known.is_some_and(|known| known.instance == reading.shard.instance) {
                for (begin, counters) in missing.into_iter().zip(counters) {
                    if let Some(slice) = listed.iter().find(|slice| slice.begin == begin) {
                        let counters = Arc::new(counters);
                        self.keep_if_finished(selection, &keys, &reading, *slice, &counters);
                        found.insert(*slice, counters);
                    }
                }
            } else {
                // What was found belongs to an earlier shard of the partition.
                found.clear();
            }
            let now = Known::of(&reading.shard);
            self.known.set(&keys, &now);
            known = Some(now);
            let counters: Option<Vec<_>> = listed.iter().map(|slice| found.remove(slice)).collect();
            if let Some(counters) = counters {
                return Ok(Some(ShardReading::new(reading, counters)));
            }
        }
        Err(SpeedError::KeptChanging { partition: id.clone(), rounds: ROUNDS })
    }

    /// The counters that the cache has of what is known, and the begins of the slices that it does not have.
    fn find_finished(
        &self,
        selection: &CounterSelection<'_>,
        keys: &ShardKeys,
        known: Option<&Known>,
        from: i64,
    ) -> (CountersBySlice, Vec<i64>) {
        let (mut found, mut missing) = (CountersBySlice::new(), Vec::new());
        let Some(Known { instance, begins }) = known else { return (found, missing) };
        for slice in slices(begins, from) {
            let id = slice.end.map(|end| slice_id(selection, keys, *instance, slice.begin, end));
            match id.and_then(|id| self.finished.get(&id)) {
                Some(counters) => drop(found.insert(slice, counters)),
                None => missing.push(slice.begin),
            }
        }
        (found, missing)
    }

    /// Reads the positions, and the counters of those slices of an instance in one script.
    async fn read_slices(
        &self,
        selection: &CounterSelection<'_>,
        keys: &ShardKeys,
        asked: Option<(Instance, &[i64])>,
    ) -> Result<Option<Reading>, SpeedError> {
        let kinds: Vec<MeasureKind> = selection.metric.measures.iter().map(|measure| measure.kind).collect();
        let slices =
            asked.into_iter().flat_map(|(instance, begins)| begins.iter().map(move |begin| (instance, *begin)));
        let counters: Vec<String> =
            slices.map(|(instance, begin)| keys.counters(instance, begin, selection.definition)).collect();
        let mut redis = self.redis.connection().await?;
        Ok(self.client.read(&mut redis, keys, &counters, selection.key, &kinds).await?)
    }

    /// Keeps the counters of a slice if it has ended and the definition was counted in all of it.
    fn keep_if_finished(
        &self,
        selection: &CounterSelection<'_>,
        keys: &ShardKeys,
        reading: &Reading,
        slice: Slice,
        counters: &Arc<Counters>,
    ) {
        let since = reading.shard.definitions.get(selection.definition);
        if let Some(end) = slice.end.filter(|_| since.is_some_and(|since| *since <= slice.begin)) {
            let id = slice_id(selection, keys, reading.shard.instance, slice.begin, end);
            self.finished.keep(&id, counters);
        }
    }
}

fn slice_id<'a>(
    selection: &CounterSelection<'a>,
    keys: &ShardKeys,
    instance: Instance,
    begin: i64,
    end: i64,
) -> SliceId<'a> {
    SliceId { shard: keys.shard(), instance, begin, end, definition: selection.definition, key: selection.key }
}
