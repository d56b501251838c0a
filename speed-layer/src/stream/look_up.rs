//! Looks up what the events of a lane name, before these are decided (B4). A lane waits here for as long as a table cannot be looked into, and
//! says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::counter;
use platform::task::Backoff;
use platform::telemetry::error_text;
use polars::prelude::{DataFrame, PolarsResult};
use shared_logic::stream::LookedUp;
use tracing::{info, warn};

use super::source::Shared;
use super::stopped::WaitNote;
use crate::table::lookup::Lookups;

/// Waiting longer than this for a table is worth a warning.
const PATIENCE: Duration = Duration::from_secs(1);

/// The lookups of one lane.
pub struct LooksUp {
    lookups: Lookups,
    shared: Arc<Shared>,
    partition: i32,
}

impl LooksUp {
    /// Those of the lane of a partition, which begins now; `None`: its streams look nothing up.
    pub fn of(shared: &Arc<Shared>, partition: i32) -> Option<LooksUp> {
        let lookups = Lookups::new(Arc::clone(shared.looked_into.as_ref()?));
        Some(LooksUp { lookups, shared: Arc::clone(shared), partition })
    }

    /// What each of the plan's lookups finds for these events. It waits until that can be known: for Redis, and for the tables.
    ///
    /// # Errors
    /// If the events lack a field: a mistake of the caller.
    pub async fn find(&mut self, events: &DataFrame) -> PolarsResult<Vec<LookedUp>> {
        let mut backoff = Backoff::new(self.shared.settings.retry_backoff.get());
        let (began, partition) = (Instant::now(), self.partition);
        let mut note = WaitNote::new(Arc::clone(&self.shared), partition);
        loop {
            let not_yet = match self.lookups.find(events).await? {
                Ok(found) => {
                    note.is_over().await;
                    return Ok(found);
                }
                Err(not_yet) => not_yet,
            };
            counter!("braid_lookup_waits_total", "table" => not_yet.table.clone()).increment(1);
            let (wait, source, text) = (backoff.wait(), &self.shared.source.name, error_text(&not_yet));
            if began.elapsed() < PATIENCE {
                info!(source, partition, "a lane {text}");
            } else {
                warn!(source, partition, wait_ms = wait.as_millis(), "a lane {text}");
            }
            note.still(text).await;
            tokio::time::sleep(wait).await;
        }
    }
}
