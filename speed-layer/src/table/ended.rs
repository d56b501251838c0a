//! The rows of partitions that go on no more: of a topic that was created again, or of a log that lost its tail (R12). A key that was
//! not changed since still has its row there (B1). They are filled once, from the materialised table, when that stands for all that was
//! archived of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use platform::redis::Connection;
use platform::telemetry::error_text;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::error::NotOpen;
use super::refill::{refill, take_away_erased};
use super::source::Shared;
use crate::log::opening::LogNotOpen;

/// How often it is looked whether some of them are not there.
const EVERY: Duration = Duration::from_secs(5);

/// Fills those of them that this worker is to fill, until `stop`: by the numbers of the partitions that it is assigned.
pub(super) async fn run(
    shared: Arc<Shared>,
    mut redis: Connection,
    assigned: watch::Receiver<BTreeSet<i32>>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let partitions = assigned.borrow().clone();
        let round = async {
            if let Err(error) = fill(&shared, &mut redis, &partitions).await {
                let table = &shared.source.name;
                warn!(
                    table,
                    error = error_text(&error),
                    "cannot fill the rows of partitions that have ended; trying again"
                );
            }
        };
        tokio::select! {
            () = round => {}
            () = stop.cancelled() => {}
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn fill(shared: &Shared, redis: &mut Connection, assigned: &BTreeSet<i32>) -> Result<(), NotOpen> {
    let facts = shared.newest_facts().await?;
    let ended = ended(&facts);
    if ended.is_empty() || assigned.is_empty() {
        return Ok(());
    }
    let topic = &shared.source.topic;
    let described = shared.topics.describe(topic).await?.ok_or_else(|| LogNotOpen::NoTopic { topic: topic.clone() })?;
    for (id, next) in ended {
        if !assigned.contains(&(id.partition % described.partitions.max(1))) {
            continue;
        }
        let slot = shared.rows.slot(redis, &shared.key(&id)).await?;
        if slot.rows().is_some_and(|held| held.basis == shared.basis(&facts) && held.cursor == next) {
            continue;
        }
        let table = shared.materialised(&facts).await?;
        let stands_for = table.and_then(|table| table.note()?.next.get(&id));
        if stands_for == Some(next) {
            refill(shared, redis, &facts, &id, slot.rows(), None).await?;
        } else {
            take_away_erased(shared, redis, &facts, &id, slot.rows()).await?;
            debug!(%id, next, ?stands_for, "the table is not materialised up to the end of a partition");
        }
    }
    Ok(())
}

/// The partitions that go on no more, with their archived ends.
fn ended(facts: &Facts) -> Vec<(PartitionId, i64)> {
    facts.partitions().filter(|(id, _)| facts.is_ended(id)).map(|(id, known)| (id, known.next)).collect()
}
