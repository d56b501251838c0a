//! The check of the streams over a source, as a part of its reconcile ([`check`](crate::stream)).
//!
//! Kafka is asked before anything is reconciled, so that the archives of the streams have time to pass what it says. A check that is not
//! possible fails no reconcile: its rows say why.

use metrics::counter;
use platform::telemetry::error_text;
use shared_logic::catalog::Source;
use shared_logic::contracts::reconciliation::Reconciliation;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Reconciler;
use crate::stream::{self, Asked, Checker};

/// What Kafka says of the streams over a source, or why it says nothing.
type Answer = Result<Asked, String>;

impl Reconciler {
    /// Asks how far the streams over a source are published; `None` if there are none.
    pub(super) async fn ask_streams(&self, source: &Source) -> Option<(Instant, Answer)> {
        self.whole.streams_of(&source.name).next()?;
        let began = Instant::now();
        let answer = match stream::ask(&self.kafka, &self.whole, source).await {
            Ok(Ok(asked)) => Ok(asked),
            Ok(Err(missing)) => Err(format!("the topic {} does not exist", missing.0)),
            Err(error) => Err(error_text(&error)),
        };
        Some((began, answer))
    }

    /// Checks the streams over a source, and keeps what was found.
    pub(super) async fn check_streams(
        &self,
        source: &Source,
        asked: Option<(Instant, Answer)>,
        stop: &CancellationToken,
    ) {
        let Some((began, answer)) = asked else { return };
        let checker = Checker {
            catalog: &self.whole,
            storage: &self.storage,
            reconcile: &self.settings,
            streams: &self.streams,
            registry: &self.registry,
        };
        let not_possible = |why: &str| stream::not_possible(&self.whole, source, began, why);
        let rows = match answer {
            Ok(asked) => match checker.check(source, &asked, stop).await {
                Ok(rows) => rows,
                Err(error) => not_possible(&error_text(&error)),
            },
            Err(why) => not_possible(&why),
        };
        self.keep_checks(source, &rows).await;
    }

    /// Keeps the rows of a check. A failure is logged and nothing else: the check has no rows then.
    async fn keep_checks(&self, source: &Source, rows: &[Reconciliation]) {
        if rows.is_empty() {
            return;
        }
        let kept = async {
            let mut table = self.storage.create_reconciliations().await?;
            table.keep(&source.name, rows, self.checkpoint_every).await
        };
        if let Err(error) = kept.await {
            counter!("braid_drift_rows_lost_total", "source" => source.name.clone()).increment(rows.len() as u64);
            warn!(source = source.name, error = error_text(&error), "cannot keep what the check of streams has found");
        }
    }
}
