//! Reads one shard: its positions, and the counters of one group key in every slice that counts.
//!
//! The script has to be told the keys of the slices, so the first round names the slices that the shard had the last time.
//! If the reply lists others, another round names those.

use std::collections::HashMap;
use std::sync::Arc;

use shared_logic::contracts::speed_view::{Counters, Reading, ShardKeys};
use shared_logic::log::PartitionId;
use shared_logic::measure::MeasureKind;

use super::finished::SliceId;
use super::slices::{Slice, slices};
use super::{CounterSelection, ShardReading, SpeedError, SpeedView};

/// How many rounds one shard may take: one to learn its slices, one to read them, and others if slices are opened or dropped
/// in between.
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
            let (mut found, missing) = self.find_finished(selection, &keys, slices(&known, from));
            let Some(mut reading) = self.read_slices(selection, &keys, &missing).await? else {
                self.known.remove(&keys);
                return Ok(None);
            };
            // Where a slice ends is what this reply says. A slice that was dropped meanwhile is not listed and does not count.
            let listed: Vec<Slice> = slices(&reading.shard.slices, from).collect();
            for (begin, counters) in missing.into_iter().zip(std::mem::take(&mut reading.counters)) {
                if let Some(slice) = listed.iter().find(|slice| slice.begin == begin) {
                    let counters = Arc::new(counters);
                    self.keep_if_finished(selection, &keys, &reading, *slice, &counters);
                    found.insert(*slice, counters);
                }
            }
            known = reading.shard.slices.clone();
            self.known.set(&keys, &known);
            let counters: Option<Vec<_>> = listed.iter().map(|slice| found.remove(slice)).collect();
            if let Some(counters) = counters {
                return Ok(Some(ShardReading::new(reading, counters)));
            }
        }
        Err(SpeedError::KeptChanging { partition: id.clone(), rounds: ROUNDS })
    }

    /// The counters that the cache has, and the begins of the slices that it does not have.
    fn find_finished(
        &self,
        selection: &CounterSelection<'_>,
        keys: &ShardKeys,
        slices: impl Iterator<Item = Slice>,
    ) -> (CountersBySlice, Vec<i64>) {
        let (mut found, mut missing) = (CountersBySlice::new(), Vec::new());
        for slice in slices {
            let cached = slice.end.and_then(|end| self.finished.get(&slice_id(selection, keys, slice.begin, end)));
            match cached {
                Some(counters) => drop(found.insert(slice, counters)),
                None => missing.push(slice.begin),
            }
        }
        (found, missing)
    }

    /// Reads the positions, and the counters of those slices in one script.
    async fn read_slices(
        &self,
        selection: &CounterSelection<'_>,
        keys: &ShardKeys,
        begins: &[i64],
    ) -> Result<Option<Reading>, SpeedError> {
        let kinds: Vec<MeasureKind> = selection.metric.measures.iter().map(|measure| measure.kind).collect();
        let counters: Vec<String> = begins.iter().map(|begin| keys.counters(*begin, selection.definition)).collect();
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
            self.finished.keep(&slice_id(selection, keys, slice.begin, end), counters);
        }
    }
}

fn slice_id<'a>(selection: &CounterSelection<'a>, keys: &ShardKeys, begin: i64, end: i64) -> SliceId<'a> {
    SliceId { shard: keys.shard(), begin, end, definition: selection.definition, key: selection.key }
}
