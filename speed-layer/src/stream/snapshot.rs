//! When a lane keeps its state (T2, T6). A snapshot saves time at the next start, and nothing depends on one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::settings::Streams;
use platform::store::StoreError;
use platform::task::{blocking, joined};
use platform::telemetry::error_text;
use shared_logic::contracts::stream::Definitions;
use shared_logic::log::PartitionId;
use shared_logic::stream::{Lane, SnapshotError};
use storage::{Archive, SUPERSEDED_AGE, Snapshot};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::source::Shared;

/// A snapshot takes at most one part in so many of a lane's time.
const RARER: u32 = 20;
/// How often snapshots of other definitions are looked for, which takes a list of all lanes' files.
const SUPERSEDED_EVERY: Duration = Duration::from_hours(1);

/// Keeps the snapshots of one lane.
pub struct Snapshots {
    shared: Arc<Shared>,
    archive: Archive,
    id: PartitionId,
    /// The cursor of the last one.
    cursor: i64,
    /// The records since then.
    records: u64,
    at: Instant,
    /// How long the last one has held up the lane.
    took: Duration,
    /// The pieces of the newest one that is kept.
    kept: BTreeSet<String>,
    /// When snapshots of other definitions were looked for last.
    looked_at: Option<Instant>,
    writing: Option<JoinHandle<Option<BTreeSet<String>>>>,
}

impl Snapshots {
    /// Keeps the snapshots of a lane that is opened at `cursor`, with state that was loaded from pieces of the names `kept`: they need not
    /// be written again.
    pub fn new(
        shared: Arc<Shared>,
        archive: Archive,
        id: PartitionId,
        cursor: i64,
        kept: BTreeSet<String>,
    ) -> Snapshots {
        let (at, took) = (Instant::now(), Duration::ZERO);
        Snapshots { shared, archive, id, cursor, records: 0, at, took, kept, looked_at: None, writing: None }
    }

    /// Notes that the lane has taken records.
    pub fn taken(&mut self, records: usize) {
        self.records += records as u64;
    }

    /// Whether it is time for one, of a lane with that cursor.
    pub fn is_due(&self, cursor: i64) -> bool {
        let is_free = self.writing.as_ref().is_none_or(JoinHandle::is_finished);
        is_free && cursor > self.cursor && is_time(&self.shared.settings, self.records, self.at.elapsed(), self.took)
    }

    /// Takes a snapshot and writes it beside the lane's further work. `published` is the smallest offset that is not published, and
    /// `definitions` are those that were published by. If it cannot be taken or written, the next one may be.
    pub async fn take(&mut self, lane: Lane, published: i64, definitions: Definitions) -> Lane {
        if let Some(ended) = self.writing.take() {
            // After a failure nothing is shared with what may be missing.
            self.kept = joined(ended.await).unwrap_or_default();
        }
        let (began, kept) = (Instant::now(), std::mem::take(&mut self.kept));
        let (lane, pieces) = blocking(move || {
            let pieces = lane.snapshot(&kept);
            (lane, pieces)
        })
        .await;
        (self.took, self.at, self.records) = (began.elapsed(), Instant::now(), 0);
        match pieces {
            Ok(pieces) => {
                self.cursor = lane.cursor();
                let snapshot = Snapshot { cursor: lane.cursor(), fronts: lane.fronts(), pieces };
                let looks = self.looked_at.is_none_or(|at| at.elapsed() >= SUPERSEDED_EVERY);
                if looks {
                    self.looked_at = Some(self.at);
                }
                self.writing = Some(tokio::spawn(keep(
                    Arc::clone(&self.shared),
                    self.archive.clone(),
                    self.id.clone(),
                    snapshot,
                    published,
                    looks.then_some(definitions),
                )));
            }
            Err(SnapshotError::Incomplete | SnapshotError::InsideOffset { .. }) => {}
            Err(error) => warn!(id = %self.id, error = error_text(&error), "cannot take a snapshot"),
        }
        lane
    }
}

/// Whether a snapshot is due after so many records and so much time, where the last one held up the lane for `took`.
fn is_time(settings: &Streams, records: u64, since: Duration, took: Duration) -> bool {
    let wanted = since >= settings.snapshot_every.get() || records >= settings.snapshot_records;
    wanted && since >= took * RARER
}

/// Keeps a snapshot and removes older ones. With the definitions that were published by, those of others as well that nobody uses any more,
/// and it is noted that the lane has published (T7). Returns the names of its pieces, if it is kept.
async fn keep(
    shared: Arc<Shared>,
    archive: Archive,
    id: PartitionId,
    snapshot: Snapshot,
    published: i64,
    published_by: Option<Definitions>,
) -> Option<BTreeSet<String>> {
    let kept = async {
        if published_by.is_some() {
            archive.note_published(&shared.deployment.version, &id).await?;
        }
        let is_kept = archive.keep_snapshot(&id, &shared.definitions, &snapshot).await?;
        let mut removed = archive.remove_snapshots(&id, &shared.definitions, published).await?;
        if let Some(published_by) = &published_by {
            let of_others = shared.definitions_in_use();
            let in_use: Vec<&Definitions> = [&shared.definitions, published_by].into_iter().chain(&of_others).collect();
            removed += archive.remove_superseded_snapshots(&id, &in_use, SUPERSEDED_AGE).await?;
        }
        Ok::<_, StoreError>((is_kept, removed))
    };
    match kept.await {
        Ok((is_kept, removed)) => {
            debug!(%id, cursor = snapshot.cursor, is_kept, removed, "a snapshot");
            is_kept.then(|| snapshot.pieces.into_iter().map(|piece| piece.name).collect())
        }
        Err(error) => {
            warn!(%id, error = error_text(&error), "cannot keep a snapshot; the next one may be");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_come_by_time_or_by_records_and_take_little_of_the_time() {
        let settings = Streams::default();
        let (records, every) = (settings.snapshot_records, settings.snapshot_every.get());
        assert!(!is_time(&settings, records - 1, every / 2, Duration::ZERO));
        assert!(is_time(&settings, records, every / 2, Duration::ZERO));
        assert!(is_time(&settings, 0, every, Duration::from_millis(500)));
        assert!(!is_time(&settings, records, every, Duration::from_secs(1)), "one in twenty is too much");
    }
}
