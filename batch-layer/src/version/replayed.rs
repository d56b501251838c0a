//! What a version has counted: the rows of its view and the counters of its slices, all keys of all grouping sets of both.

use std::sync::Arc;

use platform::task::blocking;
use polars::prelude::DataFrame;
use shared_logic::catalog::Metric;
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::contracts::speed_view::script::UnknownReply;
use shared_logic::contracts::speed_view::{Counters, scanned};
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::partial;
use shared_logic::time::parse_day;
use storage::ShardError;

use super::error::VerifyError;
use super::side::{Counted, Side, Stretch};
use super::spill::{Encoded, Row, Spill};
use crate::reconcile::view;

/// How many rows of a frame are written down at a time.
pub(super) const ROWS_AT_ONCE: usize = 50_000;

impl Side {
    /// Reads everything that is counted of a metric. Returns false if slices were dropped meanwhile, or another server took the place of the
    /// one that held them: then it says nothing.
    pub(super) async fn read(
        &mut self,
        metric: &Metric,
        counted: &Counted,
        spill: &mut Spill,
    ) -> Result<bool, VerifyError> {
        self.read_view(metric, counted, spill).await?;
        let mut origin = 0;
        for stretch in &counted.stretches {
            let keys = self.keys(&stretch.id);
            let counters: Vec<String> = match stretch.instance {
                Some(instance) => {
                    let slices = stretch.slices.iter();
                    slices.map(|slice| keys.counters(instance, *slice, &counted.definition)).collect()
                }
                None => Vec::new(),
            };
            let life = self.client.life(&mut self.redis, &keys, &counters).await?;
            for slice in &stretch.slices {
                origin += 1;
                self.read_slice(metric, counted, (stretch, *slice, origin), spill).await?;
            }
            if !self.is_listed(stretch).await? || self.client.life(&mut self.redis, &keys, &counters).await? != life {
                return Ok(false);
            }
        }
        spill.flush().await?;
        Ok(true)
    }

    async fn read_view(&self, metric: &Metric, counted: &Counted, spill: &mut Spill) -> Result<(), VerifyError> {
        let Some(view) = &counted.view else { return Ok(()) };
        let columns = view::columns_in_memory(&self.source, metric);
        for file in view.files().await? {
            if parse_day(&file.partition).is_some_and(|day| day < counted.from_day) {
                continue;
            }
            for group in view.row_groups(&file, &columns, |_| true).await? {
                let read = |mut rows: DataFrame| {
                    rows.rename(BUCKET, partial::BUCKET.into())?;
                    Ok(rows)
                };
                let rows = group.read(read).await?;
                for at in (0..rows.height()).step_by(ROWS_AT_ONCE) {
                    let (part, source, metric) =
                        (rows.slice(at as i64, ROWS_AT_ONCE), self.source.clone(), metric.clone());
                    let from_day = counted.from_day;
                    let encode = move || Encoded::of_frame(&source, &metric, &part, &[], from_day);
                    spill.add(crate::rows::compute("read rows", view.path(), encode).await?).await?;
                }
            }
        }
        Ok(())
    }

    async fn read_slice(
        &mut self,
        metric: &Metric,
        counted: &Counted,
        (stretch, slice, origin): (&Stretch, i64, u32),
        spill: &mut Spill,
    ) -> Result<(), VerifyError> {
        let Some(instance) = stretch.instance else { return Ok(()) };
        let keys = self.keys(&stretch.id);
        let kinds: Arc<[MeasureKind]> = metric.measures.iter().map(|measure| measure.kind).collect();
        let (grain_us, from_day) = (metric.grain_us, counted.from_day);
        let mut scan = self.client.scan(&keys, (instance, slice), &counted.definition);
        while let Some(fields) = scan.next(&mut self.redis).await? {
            let kinds = Arc::clone(&kinds);
            let encoded = blocking(move || {
                let mut encoded = Encoded::default();
                for (name, field) in &fields {
                    let (key, counters) = scanned(name, field, &kinds)?;
                    for (bucket, values) in by_bucket(counters, kinds.len()) {
                        let bucket_us = bucket.saturating_mul(grain_us);
                        let row = Row { key, bucket_us, origin, values, sizes: Vec::new() };
                        encoded.push(&kinds, &row, from_day);
                    }
                }
                Ok::<_, UnknownReply>(encoded)
            });
            let encoded = encoded.await.map_err(|source| ShardError::unreadable(&keys, source))?;
            spill.add(encoded).await?;
        }
        Ok(())
    }

    /// Whether a shard still lists the slices that were read.
    async fn is_listed(&mut self, stretch: &Stretch) -> Result<bool, ShardError> {
        if stretch.slices.is_empty() {
            return Ok(true);
        }
        let keys = self.keys(&stretch.id);
        let shard = self.client.positions(&mut self.redis, &keys).await?;
        Ok(shard.is_some_and(|shard| {
            Some(shard.instance) == stretch.instance && stretch.slices.iter().all(|slice| shard.slices.contains(slice))
        }))
    }
}

/// The values of each bucket, which lie one after the other.
fn by_bucket(counters: Counters, measures: usize) -> impl Iterator<Item = (i64, Vec<Value>)> {
    let mut counters = counters.into_iter().peekable();
    std::iter::from_fn(move || {
        let bucket = counters.peek().map(|(bucket, ..)| *bucket)?;
        let values = counters.by_ref().take(measures.max(1)).map(|(.., value)| value).collect();
        Some((bucket, values))
    })
}
