//! A lane: the state of all streams over one partition.

use std::ops::Range;
use std::sync::Arc;

use polars::prelude::PolarsError;

use super::{Fronts, LanePlan, OutputPosition, Piece, Records, SnapshotError};
use crate::dedup::Sighting;
use crate::log::PartitionId;

/// The state of all streams over one partition.
#[derive(Debug)]
pub struct Lane {
    plan: Arc<LanePlan>,
}

/// How much a lane may hold (T10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most events that are given and not decided.
    pub pending_events: usize,
    /// The most memory of the state of all streams together, in bytes.
    pub state_bytes: usize,
}

/// Whether a lane has something left to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All that was given is decided.
    Idle,
    /// There is more: step on.
    More,
}

/// Something to write, in the order in which it was decided. Positions of one stream ascend without a hole.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Which of [`LanePlan::streams`].
    pub stream: usize,
    /// Where it stands among all that the stream writes.
    pub position: OutputPosition,
    /// What it is.
    pub kind: DecidedKind,
    /// The key of its record. That of a late event are the original bytes.
    pub key: Option<Vec<u8>>,
    /// An output's JSON, or the original bytes of a late event.
    pub payload: Vec<u8>,
    /// `output_time`, or the event's time, in microseconds.
    pub time_us: i64,
}

/// What a lane has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecidedKind {
    /// An output of the stream.
    Output,
    /// An event that came too late, for the side output (T9).
    Late {
        /// Of a window stream: from the start of the first window that the event missed to the end of the last one.
        missed: Option<Range<i64>>,
    },
}

/// Why a lane does not take records. Its state is as before.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Other records come next.
    #[error("records from offset {from} were given where {expected} comes next")]
    NotNext {
        /// The offset behind all that was given.
        expected: i64,
        /// Where the records begin.
        from: i64,
    },
    /// A column is missing or has another type, or lists differ in length: a mistake of the caller.
    #[error("the records from offset {from} cannot be evaluated")]
    Evaluate {
        /// Where the records begin.
        from: i64,
        /// What is wrong with them.
        source: PolarsError,
    },
    /// [`Limits::pending_events`] is reached: step first.
    #[error("{pending} events wait to be decided")]
    Pending {
        /// How many.
        pending: usize,
    },
    /// [`Limits::state_bytes`] is reached.
    #[error("the state takes {bytes} bytes, of which stream `{stream}` has the most")]
    Full {
        /// The stream with the most.
        stream: String,
        /// The bytes of all streams.
        bytes: usize,
    },
}

impl Lane {
    /// A lane without state, whose next record is the one at `at`.
    pub fn new(plan: Arc<LanePlan>, id: PartitionId, generation: &str, at: i64, limits: Limits) -> Lane {
        unimplemented!()
    }

    /// Takes events before the cursor into the deduplication window, and nowhere else. For use before anything is given.
    pub fn warm(&mut self, sightings: &[Sighting]) {
        unimplemented!()
    }

    /// T8, of a re-keyed source: before a lane that begins at `at` is warmed, tells it the fronts at `published`. It takes from
    /// them what was known at `at`: upstream partitions that were not seen since. Of any other source it changes nothing.
    pub fn begin_warming(&mut self, fronts: &Fronts) {
        unimplemented!()
    }

    /// Takes records, which are those behind the last ones.
    ///
    /// # Errors
    /// If these are not the next ones, or a limit is reached. Then the lane is as before.
    pub fn give(&mut self, records: Records) -> Result<(), LaneError> {
        unimplemented!()
    }

    /// T10: decides what was given, until about `outputs_max` more outputs are in `out`.
    pub fn step(&mut self, outputs_max: usize, out: &mut Vec<Decided>) -> Progress {
        unimplemented!()
    }

    /// The first offset that is not wholly decided.
    pub fn cursor(&self) -> i64 {
        unimplemented!()
    }

    /// The first position of a stream that is not decided.
    pub fn position(&self, stream: usize) -> OutputPosition {
        unimplemented!()
    }

    /// The fronts at the cursor: before the first record that is not wholly decided.
    pub fn fronts(&self) -> Fronts {
        unimplemented!()
    }

    /// T8: at `published`, takes the fronts written there, and drops what they had closed.
    pub fn take_fronts(&mut self, fronts: &Fronts) {
        unimplemented!()
    }

    /// T8: says whether what is decided from now on is decided from an incomplete past. Outputs are marked so.
    pub fn set_incomplete(&mut self, incomplete: bool) {
        unimplemented!()
    }

    /// See [`LanePlan::horizon_us`].
    pub fn horizon_us(&self, fronts: &Fronts) -> Option<i64> {
        self.plan.horizon_us(fronts)
    }

    /// The memory of each stream's state in bytes, estimated.
    pub fn bytes(&self) -> Vec<usize> {
        unimplemented!()
    }

    /// T2: the state at the cursor.
    ///
    /// # Errors
    /// Inside of an offset, or where the past is incomplete.
    pub fn snapshot(&self) -> Result<Vec<Piece>, SnapshotError> {
        unimplemented!()
    }

    /// T2: a lane with the state of a snapshot at `at`, where the fronts were these. Its deduplication window is empty:
    /// [`Lane::warm`] it with the events before.
    ///
    /// # Errors
    /// If a piece is missing or damaged.
    pub fn load(
        plan: Arc<LanePlan>,
        id: PartitionId,
        generation: &str,
        at: i64,
        fronts: &Fronts,
        pieces: &[Piece],
        limits: Limits,
    ) -> Result<Lane, SnapshotError> {
        unimplemented!()
    }
}
