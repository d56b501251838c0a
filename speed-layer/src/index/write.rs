//! Writes the documents of micro-batches, and puts the progress behind them (I1 to I3).
//!
//! One micro-batch after the other: documents, what of them was refused, progress. Whatever happens in between, or twice, the lane goes on
//! from the progress, and what it repeats is answered by 409.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use platform::failpoints;
use platform::task::blocking;
use shared_logic::contracts::index::{Progress, REFUSED_MAX};
use shared_logic::log::{PartitionId, Position};
use storage::{BulkItem, NotWritten, Pace};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::alone::Alone;
use super::ask::answered;
use super::error::{Interrupted, Lost};
use super::open::OpenLane;
use super::refused::{Notes, RefusedIds};
use super::shared::{COMPARED_FOR, Shared};
use crate::read::micro_batch::{Handed, MicroBatch};

/// How often it is asked how many documents are refused, while some are.
const COUNTED_EVERY: Duration = Duration::from_secs(1);

/// How a lane ended.
pub(super) struct Ended {
    /// Whether it has put a progress.
    pub(super) has_moved: bool,
    /// Why it ended.
    pub(super) why: Interrupted,
}

/// Writes micro-batches in order, until something is not as expected, or it is to stop.
pub(super) async fn run(
    open: OpenLane,
    shared: &Arc<Shared>,
    pace: &mut Pace,
    mut handed: mpsc::Receiver<Handed>,
    stop: &CancellationToken,
) -> Ended {
    let OpenLane { id, from, alone, refused, .. } = open;
    let mut lane = Lane { shared, id, cursor: from.offset, alone, refused, counted: None, pace, stop };
    let mut has_moved = false;
    loop {
        let handed = tokio::select! {
            handed = handed.recv() => handed,
            () = stop.cancelled() => return Ended { has_moved, why: Interrupted::Stopped },
        };
        let taken = match handed {
            Some(Handed::MicroBatch(batch)) => lane.take(batch).await,
            // Nothing is warmed.
            Some(Handed::Warming(_)) => continue,
            None => Err(Interrupted::NotRead),
        };
        match taken {
            Ok(moved) => has_moved |= moved,
            Err(why) => return Ended { has_moved, why },
        }
    }
}

struct Lane<'a> {
    shared: &'a Arc<Shared>,
    id: PartitionId,
    /// Where the next micro-batch begins.
    cursor: i64,
    alone: Alone,
    refused: RefusedIds,
    /// When it was last asked how many documents are refused.
    counted: Option<Instant>,
    pace: &'a mut Pace,
    stop: &'a CancellationToken,
}

impl Lane<'_> {
    /// Writes a micro-batch. Returns whether the progress has moved.
    async fn take(&mut self, batch: MicroBatch) -> Result<bool, Interrupted> {
        let (from, last) = (batch.from, batch.marks.last());
        let to = last.map_or(Position { offset: from, witness: None }, |mark| mark.to);
        if from != self.cursor {
            return Err(Interrupted::OutOfOrder { id: self.id.clone(), from, cursor: self.cursor });
        }
        if to.offset == from {
            return Ok(false);
        }
        // R7: asked after the records were read.
        let still = self.shared.identity.ask();
        let shared = Arc::clone(self.shared);
        let items = blocking(move || shared.changes.items(&batch)).await?;
        let still = tokio::select! {
            still = still.is_still(self.id.topic()) => still,
            () = self.stop.cancelled() => return Err(Interrupted::Stopped),
        };
        if !still {
            return Err(Interrupted::AnotherTopic { id: self.id.clone() });
        }
        if self.shared.goes_on_elsewhere(&self.id) {
            return Err(Interrupted::Elsewhere { id: self.id.clone() });
        }
        if self.shared.may_hold_erased() {
            return Err(self.give_up(Lost::Erased).await?);
        }
        if self.alone.is_doubtful(Instant::now()) {
            self.look_ahead().await?;
        }
        let notes = self.write(&items).await?;
        self.note(&notes).await?;
        self.put(to).await?;
        if !notes.keep.is_empty() {
            self.count_refused().await?;
        }
        Ok(true)
    }

    /// I1: asks whether another worker has gone on meanwhile.
    async fn look_ahead(&mut self) -> Result<(), Interrupted> {
        let Shared { client, index, number, .. } = &**self.shared;
        let asked = Instant::now();
        let ids = [self.id.clone()];
        let progress = answered(self.shared, self.stop, || client.progress(index, *number, &ids)).await?;
        match progress.into_iter().next().flatten() {
            Some(progress) if progress.cursor == self.cursor => {
                self.alone = Alone::since(asked);
                Ok(())
            }
            Some(_) => Err(Interrupted::Overtaken { id: self.id.clone() }),
            None => Err(self.give_up(Lost::Progress { id: self.id.clone() }).await?),
        }
    }

    /// Writes documents until each is written, or refused for good. What is to be noted of the refused ones.
    async fn write(&mut self, items: &[BulkItem]) -> Result<Notes, Interrupted> {
        if items.is_empty() {
            return Ok(Notes::default());
        }
        let shared = self.shared;
        failpoints::pass("index::before_bulk");
        let written = shared.client.write_all(&shared.name, items, self.pace, self.alone.ends(), self.stop).await;
        failpoints::pass("index::after_bulk");
        let written = match written {
            Ok(written) => written,
            Err(NotWritten::NoIndex { .. }) => return Err(self.give_up(Lost::Index).await?),
            Err(NotWritten::Stopped) => return Err(Interrupted::Stopped),
            Err(why) => return Err(why.into()),
        };
        let (refused, label) = (written.refused.len() as u64, || shared.index.clone());
        let documents = items.len() as u64 - refused - written.newer;
        counter!("braid_index_documents_total", "index" => label()).increment(documents);
        counter!("braid_index_newer_total", "index" => label()).increment(written.newer);
        counter!("braid_index_refused_total", "index" => label()).increment(refused);
        Ok(self.refused.after(&self.id, items, &written.refused, platform::clock::now_us()))
    }

    /// I3: notes what was refused, and what is no more, before the cursor moves past it.
    async fn note(&mut self, notes: &Notes) -> Result<(), Interrupted> {
        let Shared { client, index, number, .. } = &**self.shared;
        if !notes.keep.is_empty() {
            answered(self.shared, self.stop, || client.keep_refused(index, *number, &notes.keep)).await?;
        }
        if !notes.forget.is_empty() {
            answered(self.shared, self.stop, || client.forget_refused(index, *number, &notes.forget)).await?;
        }
        self.refused.noted(notes);
        Ok(())
    }

    /// I2: puts the progress, if the build is still there and no other worker is ahead.
    async fn put(&mut self, to: Position) -> Result<(), Interrupted> {
        let shared = self.shared;
        let Shared { client, index, number, .. } = &**shared;
        if !answered(shared, self.stop, || shared.is_there(COMPARED_FOR)).await? {
            return Err(self.give_up(Lost::Index).await?);
        }
        let progress = Progress { cursor: to.offset, witness: to.witness, at_us: platform::clock::now_us() };
        failpoints::pass("index::before_progress");
        let asked = Instant::now();
        let is_ours = answered(shared, self.stop, || client.put_progress(index, *number, &self.id, &progress)).await?;
        failpoints::pass("index::after_progress");
        if !is_ours {
            return Err(Interrupted::Overtaken { id: self.id.clone() });
        }
        (self.cursor, self.alone) = (to.offset, Alone::since(asked));
        let labels =
            [("index", index.clone()), ("build", number.to_string()), ("partition", self.id.partition.to_string())];
        gauge!("braid_index_cursor", &labels).set(to.offset as f64);
        Ok(())
    }

    /// I3: asks now and then how many documents the server has refused of the build, to all lanes together.
    async fn count_refused(&mut self) -> Result<(), Interrupted> {
        let now = Instant::now();
        if self.counted.is_some_and(|counted| now.duration_since(counted) < COUNTED_EVERY) {
            return Ok(());
        }
        self.counted = Some(now);
        let Shared { client, index, number, .. } = &**self.shared;
        let count = answered(self.shared, self.stop, || client.count_refused(index, *number)).await?;
        if count > REFUSED_MAX { Err(Interrupted::TooManyRefused { count }) } else { Ok(()) }
    }

    /// Gives the build up; that is why the lane ends.
    async fn give_up(&self, why: Lost) -> Result<Interrupted, Interrupted> {
        let given_up = answered(self.shared, self.stop, || self.shared.give_up(why.clone())).await?;
        Ok(Interrupted::Lost(given_up))
    }
}
