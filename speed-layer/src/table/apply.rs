//! Writes the last changes of a micro-batch, and moves the cursor with them (R2).
//!
//! If the reply of a script is lost, the script may have run. The next try then finds the cursor where this micro-batch would move it.

use std::collections::HashMap;

use metrics::{counter, gauge};
use platform::redis::{Connection, is_back_pressure};
use platform::task::{Backoff, blocking};
use platform::telemetry::error_text;
use shared_logic::contracts::table_rows::script::{self, Reply};
use shared_logic::contracts::table_rows::{Held, Slot};
use shared_logic::log::{PartitionId, Position};
use storage::TableRowsError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::source::Shared;
use crate::error::Superseded;
use crate::read::micro_batch::{Handed, MicroBatch};

/// Why a micro-batch was not applied. Nothing was written then, or nothing is there any more.
#[derive(Debug, thiserror::Error)]
enum NotApplied {
    /// What is there is not what was expected.
    #[error("another process has changed the rows, or they are gone")]
    Differs(Slot),
    /// Redis refused for a reason that waiting does not mend.
    #[error(transparent)]
    Rows(#[from] TableRowsError),
    /// The task was stopped while it waited.
    #[error("stopped while waiting for redis")]
    Stopped,
}

/// Applies micro-batches in order; returns when one is not as expected, and whether any was applied by then.
///
/// # Errors
/// [`Superseded`]: another worker keeps the table by another definition.
pub(super) async fn run(
    id: &PartitionId,
    mut held: Held,
    shared: &Shared,
    redis: &mut Connection,
    mut handed: mpsc::Receiver<Handed>,
    stop: &CancellationToken,
) -> Result<bool, Superseded> {
    let mut applied = false;
    loop {
        let handed = tokio::select! {
            handed = handed.recv() => handed,
            () = stop.cancelled() => None,
        };
        let batch = match handed {
            Some(Handed::MicroBatch(batch)) => batch,
            // Nothing is warmed.
            Some(Handed::Warming(_)) => continue,
            None => return Ok(applied),
        };
        // R7: asked after the records were read.
        let still = shared.identity.ask();
        let (from, records) = (batch.from, batch.marks.last().map_or(0, |mark| mark.records));
        let to = batch.marks.last().map_or(Position { offset: from, witness: None }, |mark| mark.to);
        let rows = blocking(move || last_changes(batch)).await;
        let still = tokio::select! {
            still = still.is_still(id.topic()) => still,
            () = stop.cancelled() => return Ok(applied),
        };
        if !still {
            warn!(%id, "the topic was deleted or created again; what was read may not be of this log");
            return Ok(applied);
        }
        if from != held.cursor {
            debug!(%id, from, cursor = held.cursor, "a micro-batch of an earlier position");
            return Ok(applied);
        }
        if shared.goes_on_elsewhere(id) {
            warn!(%id, "the archive has begun another incarnation of the partition; continuing there");
            return Ok(applied);
        }
        if shared.facts.borrow().erased_parts() > held.basis.erasures {
            warn!(%id, "changes of the table were erased; filling its rows again without them");
            return Ok(applied);
        }
        // A position whose witness is not known replaces none that is.
        let to = if to.offset == held.cursor { Position { witness: held.witness, ..to } } else { to };
        match apply(id, &held, to, &rows, shared, redis, stop).await {
            Ok(now) => {
                held = now;
                applied = true;
                report(shared, id, &held, records);
            }
            Err(NotApplied::Stopped) => return Ok(applied),
            Err(NotApplied::Differs(Slot::Rows(now))) if now.basis.definition != held.basis.definition => {
                return Err(Superseded { id: id.clone() });
            }
            Err(error) => {
                let cursor = held.cursor;
                warn!(%id, cursor, error = error_text(&error), "changes were not applied; going on from what redis says");
                return Ok(applied);
            }
        }
    }
}

/// The last change of each key, as scripts take them.
fn last_changes(batch: MicroBatch) -> Vec<Vec<u8>> {
    let mut last: HashMap<&str, &[u8]> = HashMap::with_capacity(batch.changes.len());
    for (key, change) in &batch.changes {
        last.insert(key, change);
    }
    script::rows(last)
}

/// Tries until the rows are written or refused; waits while Redis is full, slow, read-only or away.
async fn apply(
    id: &PartitionId,
    held: &Held,
    to: Position,
    rows: &[Vec<u8>],
    shared: &Shared,
    redis: &mut Connection,
    stop: &CancellationToken,
) -> Result<Held, NotApplied> {
    let (key, mut backoff) = (shared.key(id), Backoff::new(shared.settings.retry_backoff.get()));
    loop {
        platform::failpoints::pass("tables::before_apply");
        let tried = shared.rows.apply(redis, &key, held, to, rows).await;
        platform::failpoints::pass("tables::after_apply");
        match tried {
            Ok(Reply::Done(Slot::Rows(now))) => return Ok(now),
            // An earlier try did run, and its reply was lost.
            Ok(Reply::Differs(Slot::Rows(now)))
                if to.offset > held.cursor
                    && (now.cursor, now.witness) == (to.offset, to.witness)
                    && (now.instance, &now.basis) == (held.instance, &held.basis) =>
            {
                return Ok(now);
            }
            Ok(Reply::Done(slot) | Reply::Differs(slot)) => return Err(NotApplied::Differs(slot)),
            Ok(Reply::Failed(_)) => return Err(NotApplied::Differs(Slot::Missing)),
            Err(TableRowsError::Redis { source, .. }) if is_back_pressure(&source) => {
                counter!("braid_speed_back_pressure_total").increment(1);
                let wait = backoff.wait();
                warn!(%id, error = %source, wait_ms = wait.as_millis(), "redis cannot take a table's changes now; waiting");
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stop.cancelled() => return Err(NotApplied::Stopped),
                }
            }
            Err(refused) => {
                if matches!(refused, TableRowsError::Failed { .. }) {
                    error!(%id, error = error_text(&refused), "redis cannot write the rows of a table");
                }
                return Err(refused.into());
            }
        }
    }
}

fn report(shared: &Shared, id: &PartitionId, held: &Held, records: usize) {
    let labels = [("table", shared.source.name.clone()), ("partition", id.partition.to_string())];
    counter!("braid_table_changes_total", &labels[..1]).increment(records as u64);
    gauge!("braid_table_cursor", &labels).set(held.cursor as f64);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use polars::prelude::DataFrame;

    use super::*;

    #[test]
    fn of_the_changes_of_a_key_the_last_one_is_written() {
        let change = |key: &str, byte: u8| (key.to_owned(), vec![byte]);
        let batch = MicroBatch {
            from: 0,
            marks: Vec::new(),
            events: DataFrame::empty(),
            sightings: Vec::new(),
            lane: Box::default(),
            changes: vec![change("a", 1), change("b", 2), change("a", 3)],
            opened: Instant::now(),
            sealed: Instant::now(),
        };
        let mut expected =
            [script::rows([("a", &[3][..]), ("b", &[2][..])]), script::rows([("b", &[2][..]), ("a", &[3][..])])];
        expected.sort();
        let rows = last_changes(batch);
        assert!(expected.contains(&rows), "{rows:?}");
    }
}
