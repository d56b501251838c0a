//! The check of the streams over a source, as a part of its reconcile ([`check`](crate::stream)).
//!
//! Kafka is asked before anything is reconciled, so that the archives of the streams have time to pass what it says. A check that is not
//! possible fails no reconcile: its rows say why. Lanes that several versions share are checked by the one that hosts them (K8), and by the
//! verification of another one, for which nobody has relied on them so far.

use metrics::counter;
use platform::telemetry::error_text;
use shared_logic::catalog::Source;
use shared_logic::contracts::reconciliation::Reconciliation;
use shared_logic::version::LaneUnit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Reconciler;
use crate::stream::{self, Asked, Checker};

/// What Kafka says of how far lanes are published, or why it says nothing.
pub(crate) struct AskedLanes {
    unit: LaneUnit,
    began: Instant,
    answer: Result<Asked, String>,
}

impl Reconciler {
    /// Asks how far the streams over a source are published whose check belongs to this version.
    pub(crate) async fn ask_streams(&self, source: &Source) -> Vec<AskedLanes> {
        self.ask_lanes(source, self.versions.checks_lanes(&self.whole.deployment.version, &source.name)).await
    }

    /// Asks how far these lanes over a source are published.
    pub(crate) async fn ask_lanes(&self, source: &Source, units: Vec<LaneUnit>) -> Vec<AskedLanes> {
        let mut asked = Vec::new();
        for unit in units {
            let began = Instant::now();
            let answer = match stream::ask(&self.kafka, &unit.catalog, source).await {
                Ok(Ok(asked)) => Ok(asked),
                Ok(Err(missing)) => Err(format!("the topic {} does not exist", missing.0)),
                Err(error) => Err(error_text(&error)),
            };
            asked.push(AskedLanes { unit, began, answer });
        }
        asked
    }

    /// Checks the streams over a source, and keeps what was found. Returns that.
    pub(crate) async fn check_streams(
        &self,
        source: &Source,
        asked: Vec<AskedLanes>,
        stop: &CancellationToken,
    ) -> Vec<Reconciliation> {
        let mut all = Vec::new();
        for AskedLanes { unit, began, answer } in asked {
            // Streams lie where their host has them, which may be another version.
            let storage = self.storage.of(&unit.catalog.deployment);
            let checker = Checker {
                catalog: &unit.catalog,
                storage: &storage,
                reconcile: &self.settings,
                streams: &self.streams,
                registry: &self.registry,
            };
            let not_possible = |why: &str| stream::not_possible(&unit.catalog, source, began, why);
            let rows = match answer {
                Ok(asked) => match checker.check(source, &asked, stop).await {
                    Ok(rows) => rows,
                    Err(error) => not_possible(&error_text(&error)),
                },
                Err(why) => not_possible(&why),
            };
            self.keep_checks(source, &rows).await;
            all.extend(rows);
        }
        all
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
