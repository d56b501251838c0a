//! The drift that a reconcile measures: what speed had said of the offsets that it takes over, compared with what it found there
//! ([`drift`](mod@shared_logic::drift)), and a row that keeps it.
//!
//! Nothing of this is needed for a count. Whatever fails here is written into the row or the log, and the reconcile goes on. What speed
//! had said is read just before the commit: until then, no slice of these offsets is dropped.

use std::time::Duration;

use metrics::counter;
use platform::telemetry::error_text;
use shared_logic::catalog::{DefinitionHash, Metric, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::reconciliation::{Drift, MovedRange, PARTITIONS_MAX, Reconciliation};
use shared_logic::drift::{self, Found, Incomparable};
use shared_logic::log::OffsetRange;
use shared_logic::time::day_of;
use storage::{BatchView, Reconciliations};
use tokio::time::Instant;
use tracing::{info, warn};

use super::compared_buckets::BUCKETS_MAX;
use super::day::{DayDone, DayTask, Past};
use super::plan::{Counted, Plan};
use super::report::Changed;
use super::shards::{NotSaid, Shards};
use super::{Prepared, Reconciler};

/// How long the shards of a source may take to say what they had counted. The commit waits for that.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// What was measured before a commit.
pub(super) struct Measured {
    definition: DefinitionHash,
    ranges: Vec<OffsetRange>,
    compared: Result<Drift, Incomparable>,
}

impl Reconciler {
    /// Compares what speed had said of the offsets that a plan adds with what was found there.
    pub(super) async fn measured(
        &self,
        metric: &Metric,
        counted: &Counted,
        (plan, done): (&Plan, &[DayDone]),
        archive: &Facts,
        shards: &mut Shards<'_>,
    ) -> Measured {
        let definition = plan.definition.clone();
        let Counted::InView(own) = counted else {
            return Measured { definition, ranges: Vec::new(), compared: Err(Incomparable::Rebuilt) };
        };
        let ranges = drift::moved(own, &plan.cut, archive);
        let compared = self.compared(metric, &ranges, (plan, done), archive, shards).await;
        Measured { definition, ranges, compared }
    }

    async fn compared(
        &self,
        metric: &Metric,
        ranges: &[OffsetRange],
        (plan, done): (&Plan, &[DayDone]),
        archive: &Facts,
        shards: &mut Shards<'_>,
    ) -> Result<Drift, Incomparable> {
        let source = &self.catalog.sources[&metric.source];
        let (rules, window) =
            (source.decoding_rules(), if source.event_id.is_empty() { 0 } else { source.dedup_window });
        ranges.iter().try_for_each(|range| drift::archived(range, window, &rules, archive))?;
        plan.tasks.iter().zip(done).try_for_each(|(task, day)| is_whole(task, day))?;
        // No two days have a bucket in common.
        if done.iter().map(|day| day.found.buckets()).sum::<usize>() > BUCKETS_MAX {
            return Err(Incomparable::TooManyBuckets(BUCKETS_MAX));
        }
        let kinds: Vec<_> = metric.measures.iter().map(|measure| measure.kind).collect();
        let mut found = Found::default();
        done.iter().for_each(|day| found.add(&kinds, day.found.clone()));
        let said = shards.said(metric, &plan.definition, ranges, BUCKETS_MAX);
        let mut said = match tokio::time::timeout(READ_WITHIN, said).await {
            Ok(Ok(said)) => said,
            Ok(Err(NotSaid::Incomparable(why))) => return Err(why),
            Ok(Err(NotSaid::Shard(error))) => return Err(Incomparable::NotMeasured(error_text(&error))),
            Err(_) => return Err(Incomparable::NotMeasured(format!("no answer within {READ_WITHIN:?}"))),
        };
        // The view does not hold these days, whatever speed had counted there.
        said.retain(|bucket_us, _| plan.retired_before.is_none_or(|before| day_of(*bucket_us) >= before));
        Ok(drift::compare(metric, &said, &found))
    }

    /// Opens the table that keeps what is measured of the drift, unless no metric of the source is reconciled. It may be older than the
    /// newest version by the time that it is used: a commit that comes too late is made again.
    pub(super) async fn open_reconciliations(&self, source: &Source) -> Option<Reconciliations> {
        self.catalog.metrics_of(&source.name).next()?;
        // If it cannot be read, whoever keeps something says so.
        self.storage.reconciliations().await.ok().flatten()
    }

    /// Keeps the rows of the reconciles of a source that were committed so far. A failure is logged and nothing else: these reconciles
    /// have no row then.
    pub(super) async fn keep_reconciliations(&self, prepared: &mut Prepared<'_>) {
        let (source, rows) = (prepared.shards.source(), std::mem::take(&mut prepared.reconciliations));
        if rows.is_empty() {
            return;
        }
        platform::failpoints::pass("reconcile::before_reconciliations");
        let kept = async {
            let mut table = match prepared.rows.take() {
                Some(table) => table,
                None => self.storage.create_reconciliations().await?,
            };
            table.keep(source, &rows, self.checkpoint_every).await
        };
        if let Err(error) = kept.await {
            counter!("braid_drift_rows_lost_total", "source" => source.to_owned()).increment(rows.len() as u64);
            warn!(source, rows = rows.len(), error = error_text(&error), "cannot keep what was measured of the drift");
        }
    }
}

/// Whether everything is found of the new events of a day that there is to be found.
fn is_whole(task: &DayTask, day: &DayDone) -> Result<(), Incomparable> {
    if !task.units.is_empty() {
        return Err(Incomparable::Erased);
    }
    // Of a source without an event id there are no copies to be known, and nothing is looked up.
    match task.past {
        Past::Identified | Past::Unknown if day.work.looked_up + day.work.unproven > 0 => {
            Err(Incomparable::Retired(task.day.clone()))
        }
        _ => Ok(()),
    }
}

impl Measured {
    /// The row of the reconcile that has made `view` what it is; writes it to telemetry and, if something is unexplained, to the log.
    pub(super) fn row(self, metric: &Metric, view: &BatchView, changed: &Changed, began: Instant) -> Reconciliation {
        let Measured { definition, ranges, compared } = self;
        record(&metric.name, &compared);
        let offsets = ranges.iter().map(|range| range.to.abs_diff(range.from)).sum();
        let (drift, why) = match compared {
            Ok(drift) => (Some(drift), None),
            Err(why) => (None, Some(why)),
        };
        Reconciliation {
            metric: metric.name.clone(),
            definition,
            view_version: changed.version,
            reconciled_at_us: view.note().map_or(0, |note| note.committed_at_us),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            offsets,
            partitions: ranges.len() as u64,
            ranges: ranges.iter().take(PARTITIONS_MAX).map(MovedRange::from).collect(),
            rows_read: changed.work.rows_read,
            rows_added: changed.work.added,
            hours_recomputed: changed.work.recomputed,
            comparable: drift.is_some(),
            reason: why.as_ref().map(|why| why.name().to_owned()),
            detail: why.as_ref().map(ToString::to_string),
            drift,
            stream_check: None,
            index_check: None,
        }
    }
}

/// Writes a comparison to telemetry and to the log.
fn record(metric: &str, compared: &Result<Drift, Incomparable>) {
    let count = |name: &'static str, by: u64| counter!(name, "metric" => metric.to_owned()).increment(by);
    let outcome = compared.as_ref().map_or_else(Incomparable::name, |_| "compared");
    counter!("braid_drift_reconciles_total", "metric" => metric.to_owned(), "outcome" => outcome).increment(1);
    match compared {
        Ok(drift) => {
            let Drift { buckets, differing, duplicates, unexplained, measures } = drift;
            count("braid_drift_buckets_total", *buckets);
            count("braid_drift_buckets_differing_total", *differing);
            count("braid_drift_duplicates_total", *duplicates);
            count("braid_drift_buckets_unexplained_total", *unexplained);
            count("braid_drift_overflows_total", measures.iter().map(|measure| measure.overflowed_buckets).sum());
            if *differing > 0 {
                info!(metric, buckets, differing, duplicates, unexplained, "speed and batch differ");
            }
            if *unexplained > 0 {
                warn!(
                    metric,
                    unexplained,
                    "speed had counted what its rules do not explain; answers from here on are those of batch"
                );
            }
        }
        Err(why) => info!(metric, reason = why.name(), %why, "speed and batch cannot be compared"),
    }
}
