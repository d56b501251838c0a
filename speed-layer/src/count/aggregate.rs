//! The first stage of a counting loop: a micro-batch → what it adds to the counters of every metric.

use std::sync::Arc;

use metrics::histogram;
use polars::prelude::{IntoLazy, PolarsResult};
use shared_logic::contracts::speed_view::Addition;
use shared_logic::log::Position;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::error;

use super::compiled::{CompiledMetric, CompiledMetrics};
use super::source::Shared;
use crate::log::identity::PendingIdentity;
use crate::read::micro_batch::MicroBatch;

/// A micro-batch after aggregation.
#[derive(Debug)]
pub struct Aggregated {
    /// The offset of its first record: the cursor that the shard must have.
    pub from: i64,
    /// The first offset after it, and the last record before that: where the shard's cursor goes.
    pub to: Position,
    /// How many records were read, valid or not.
    pub records: usize,
    /// When its first record was read.
    pub opened: std::time::Instant,
    /// When it was sealed.
    pub sealed: std::time::Instant,
    /// What is added to the shard's counters: one addition per definition, or none if there was no event.
    pub additions: Vec<Addition>,
    /// The question for the topic's id, asked after the records were read (R7).
    pub identity: PendingIdentity,
}

/// Aggregates micro-batches in order until either channel is closed or a plan fails. Asks for the topic's id first, so that
/// the answer arrives while the plans run.
pub async fn run(shared: &Shared, mut sealed: mpsc::Receiver<MicroBatch>, aggregated: mpsc::Sender<Aggregated>) {
    loop {
        let batch = tokio::select! {
            batch = sealed.recv() => match batch { Some(batch) => batch, None => return },
            () = aggregated.closed() => return,
        };
        let identity = shared.identity.ask();
        let metrics = Arc::clone(&shared.metrics);
        let started = Instant::now();
        let work = move || metrics.aggregate(&batch).map(|additions| (batch, additions));
        let (batch, additions) = match platform::task::blocking(work).await {
            Ok(done) => done,
            Err(error) => {
                error!(%error, "a plan failed on a micro-batch; reading it again");
                return;
            }
        };
        histogram!("braid_speed_aggregate_seconds").record(started.elapsed());
        let MicroBatch { from, to, records, opened, sealed, .. } = batch;
        if aggregated.send(Aggregated { from, to, records, opened, sealed, additions, identity }).await.is_err() {
            return;
        }
    }
}

impl CompiledMetrics {
    /// Runs every plan on the micro-batch; returns one addition per definition, or none if there is no event.
    ///
    /// # Errors
    /// None that an event can cause: expressions are typed when the catalog is checked.
    pub fn aggregate(&self, batch: &MicroBatch) -> PolarsResult<Vec<Addition>> {
        if batch.events.height() == 0 {
            return Ok(Vec::new());
        }
        let additions = self.metrics.iter().map(|CompiledMetric { metric, definition, plan }| {
            let partials = plan.run(batch.events.clone().lazy())?;
            Ok(Addition::new(definition.clone(), metric, &partials))
        });
        additions.collect()
    }
}
