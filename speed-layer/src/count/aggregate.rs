//! The first stage of a counting loop: a micro-batch → what it adds to the counters of every metric.
//!
//! What takes a processor's time runs beside the same of other partitions, and beside reading. So it includes the search for
//! copies.

use std::sync::Arc;
use std::time::Duration;

use metrics::histogram;
use platform::settings::Speed;
use shared_logic::contracts::speed_view::Addition;
use shared_logic::dedup::RecentIdentities;
use shared_logic::log::Position;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tracing::error;

use super::copies;
use super::parts::{Part, Parts};
use super::source::Shared;
use crate::log::identity::PendingIdentity;
use crate::read::micro_batch::Handed;

/// The memory that a counter takes on its way: its name and its values as they are added, as they were read, and as they are
/// written.
const COUNTER_BYTES: u64 = 320;

/// A part of a micro-batch after aggregation; as a rule all of it.
#[derive(Debug)]
pub struct Aggregated {
    /// The offset of its first record: the cursor that the shard must have.
    pub from: i64,
    /// The first offset after it, and the last record before that: where the shard's cursor goes.
    pub to: Position,
    /// How many records were read, valid or not.
    pub records: usize,
    /// When the micro-batch's first record was read.
    pub opened: std::time::Instant,
    /// When the micro-batch was sealed.
    pub sealed: std::time::Instant,
    /// How long it was aggregated.
    pub took: Duration,
    /// What is added to the shard's counters: at most one addition per definition.
    pub additions: Vec<Addition>,
    /// The question for the topic's id, asked after the records were read (R7).
    pub identity: PendingIdentity,
    /// Its place among those that are under way, given back once it is applied.
    pub place: OwnedSemaphorePermit,
}

/// How many parts of micro-batches may be under way in all loops of a source, so that `speed.in_flight` is enough for them;
/// at least one.
pub fn places(settings: &Speed) -> usize {
    let counters = (settings.max_counters as u64).saturating_mul(COUNTER_BYTES);
    let places = settings.in_flight.bytes() / settings.max_bytes.bytes().saturating_add(counters);
    usize::try_from(places).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}

/// Aggregates micro-batches in order until either channel is closed or a plan fails. `window` knows no event yet. Asks for the
/// topic's id first, so that the answer arrives while the plan runs.
pub async fn run(
    shared: &Shared,
    mut window: RecentIdentities,
    mut reader: mpsc::Receiver<Handed>,
    aggregated: mpsc::Sender<Aggregated>,
) {
    loop {
        let handed = tokio::select! {
            handed = reader.recv() => match handed { Some(handed) => handed, None => return },
            () = aggregated.closed() => return,
        };
        let batch = match handed {
            Handed::MicroBatch(batch) => batch,
            Handed::Warming(sightings) => {
                let warmed = move || {
                    window.judge(&sightings);
                    window
                };
                window = platform::task::blocking(warmed).await;
                continue;
            }
        };
        let (opened, sealed) = (batch.opened, batch.sealed);
        let (metrics, started) = (Arc::clone(&shared.metrics), Instant::now());
        let looked_at = move || {
            let parts = copies::left_out(&mut window, batch).and_then(|batch| Parts::new(metrics, batch));
            (window, parts)
        };
        let (judged, parts) = platform::task::blocking(looked_at).await;
        window = judged;
        let mut left = match parts {
            Ok(parts) => parts,
            Err(error) => {
                error!(%error, "a plan failed on a micro-batch; reading it again");
                return;
            }
        };
        let (mut took, mut told) = (started.elapsed(), Duration::ZERO);
        while !left.is_done() {
            let identity = shared.identity.ask();
            let Some((room, place)) = room(shared, &aggregated).await else { return };
            let (max_counters, started) = (shared.settings.max_counters, Instant::now());
            let (rest, part) = platform::task::blocking(move || left.count(max_counters)).await;
            left = rest;
            took += started.elapsed();
            let Part { from, to, records, additions } = part;
            let of_part = took - told;
            told = took;
            room.send(Aggregated { from, to, records, opened, sealed, took: of_part, additions, identity, place });
        }
        histogram!("braid_speed_aggregate_seconds").record(took);
    }
}

/// Waits until the second stage has taken what was aggregated last, and until there is a place. Nothing if that stage has
/// ended.
async fn room<'a>(
    shared: &Shared,
    aggregated: &'a mpsc::Sender<Aggregated>,
) -> Option<(mpsc::Permit<'a, Aggregated>, OwnedSemaphorePermit)> {
    let room = aggregated.reserve().await.ok()?;
    tokio::select! {
        place = Arc::clone(&shared.places).acquire_owned() => Some((room, place.ok()?)),
        () = aggregated.closed() => None,
    }
}

#[cfg(test)]
mod tests {
    use platform::settings::Size;

    use super::*;

    #[test]
    fn there_are_places_for_as_much_memory_as_is_set() {
        let of = |in_flight| places(&Speed { in_flight, ..Speed::default() });
        assert_eq!(of(Speed::default().in_flight), 4);
        assert_eq!(of(Size::from_mib(56)), 2);
        assert_eq!(of(Size::from_mib(1)), 1, "one can always go on");
        let endless = Speed { max_bytes: Size::from_bytes(u64::MAX), ..Speed::default() };
        assert_eq!(places(&endless), 1);
    }
}
