//! Logs that are over (R6): settled, whole in every view, and gone from Redis. From then on no process asks for them.

use platform::telemetry::error_text;
use tracing::{info, warn};

use super::error::SourceError;
use super::{Prepared, Reconciler};

impl Reconciler {
    /// Notes which logs of a source are over by now. A failure is logged and nothing else: the next reconcile tries again, and
    /// until then these logs are only asked for in vain.
    pub(super) async fn note_over(&self, prepared: &mut Prepared<'_>) {
        let source = prepared.shards.source().to_owned();
        match self.try_note_over(prepared).await {
            Ok(over) if over.is_empty() => {}
            Ok(over) => info!(source, logs = ?over, "these logs are over: every view includes all of them"),
            Err(error) => {
                warn!(source, error = error_text(&error), "cannot note which logs are over; trying again later")
            }
        }
    }

    async fn try_note_over(&self, prepared: &mut Prepared<'_>) -> Result<Vec<String>, SourceError> {
        let Prepared { archive, shards, .. } = prepared;
        let facts = archive.facts();
        if !facts.logs.iter().any(|log| log.settled && !log.over) {
            return Ok(Vec::new());
        }
        let mut cuts = Vec::new();
        for metric in self.catalog.metrics_of(shards.source()) {
            let view = self.storage.batch_view(&metric.name).await?;
            // A metric without a view includes nothing of them.
            let Some(note) = view.as_ref().and_then(|view| view.note()) else { return Ok(Vec::new()) };
            cuts.push(note.cut.clone());
        }
        if cuts.is_empty() {
            return Ok(Vec::new());
        }
        let over = shards.gone(facts.maybe_over(&cuts)).await?;
        if !over.is_empty() {
            archive.change("LOGS OVER", |facts| facts.note_over(&over)).await?;
        }
        Ok(over)
    }
}
