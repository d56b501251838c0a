//! What the speed layer had said of the offsets that a reconcile takes over: the empty group key's counters in the slices that hold
//! exactly these offsets.
//!
//! Slices that have ended never change, and are not dropped before the view that takes them over is committed (R8). A shard takes two
//! read-only scripts, or more if it has many such slices.

use shared_logic::catalog::{DefinitionHash, Metric};
use shared_logic::contracts::speed_view::{ChunkRange, Instance, Wanted};
use shared_logic::drift::{self, Incomparable, Said};
use shared_logic::group_key::GroupKey;
use shared_logic::log::OffsetRange;
use shared_logic::measure::MeasureKind;
use shared_logic::time::TimeRange;
use storage::ShardError;

use super::Shards;

/// Of how many slices one script reads counters, so that Redis is free for others in between. Where these hold sketches, of one.
const SLICES_AT_ONCE: usize = 16;

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub(in crate::reconcile) enum NotSaid {
    #[error(transparent)]
    Shard(#[from] ShardError),
    #[error("{0}")]
    Incomparable(Incomparable),
}

impl Shards<'_> {
    /// Reads what speed had counted of a metric at those offsets, in at most `buckets_max` buckets.
    ///
    /// # Errors
    /// If Redis does not answer, or the slices of a shard do not hold exactly these offsets.
    pub(in crate::reconcile) async fn said(
        &mut self,
        metric: &Metric,
        definition: &DefinitionHash,
        ranges: &[OffsetRange],
        buckets_max: usize,
    ) -> Result<Said, NotSaid> {
        let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
        let mut said = Said::new();
        for range in ranges {
            let keys = self.keys(&range.id);
            let shard = self.client.positions(&mut self.redis, &keys).await?;
            let begins = drift::slices(shard.as_ref(), definition, range).map_err(NotSaid::Incomparable)?;
            let Some(shard) = shard else { continue };
            let at_once = if kinds.iter().any(|kind| kind.is_sketch()) { 1 } else { SLICES_AT_ONCE };
            for begins in begins.chunks(at_once) {
                self.add_slices(metric, definition, &kinds, (range, shard.instance, begins), &mut said).await?;
                if said.len() > buckets_max {
                    return Err(NotSaid::Incomparable(Incomparable::TooManyBuckets(buckets_max)));
                }
            }
        }
        Ok(said)
    }

    /// Adds what some slices of a shard hold under the empty group key.
    async fn add_slices(
        &mut self,
        metric: &Metric,
        definition: &DefinitionHash,
        kinds: &[MeasureKind],
        (range, instance, begins): (&OffsetRange, Instance, &[i64]),
        said: &mut Said,
    ) -> Result<(), NotSaid> {
        let (keys, key) = (self.keys(&range.id), GroupKey::new(&[]));
        let chunks = ChunkRange::of(TimeRange::ALL, metric.grain_us, kinds);
        let wanted = |slice: &i64| Wanted { instance, slice: *slice, definition, kinds, key: &key, chunks };
        let wanted: Vec<Wanted<'_>> = begins.iter().map(wanted).collect();
        let reading = self.client.read(&mut self.redis, &keys, &wanted).await?;
        // The slices may be gone by now, and with them their counters.
        let now = reading.as_ref().map(|reading| &reading.state.shard);
        let listed = drift::slices(now, definition, range).map_err(NotSaid::Incomparable)?;
        let Some(reading) = reading else { return Ok(()) };
        if reading.state.shard.instance != instance || !begins.iter().all(|begin| listed.contains(begin)) {
            return Err(NotSaid::Incomparable(Incomparable::NoSliceAtCut(range.id.clone(), range.from)));
        }
        for (bucket, measure, value) in reading.counters.into_iter().flatten() {
            let values = said.entry(bucket * metric.grain_us);
            let values = values.or_insert_with(|| kinds.iter().map(|kind| kind.identity()).collect());
            // Sketches are not compared, and a slice may have many.
            if !kinds[measure].is_sketch() {
                values[measure] = kinds[measure].merge(values[measure].clone(), value);
            }
        }
        Ok(())
    }
}
