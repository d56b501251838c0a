//! A lane: the state of all streams over one partition.
//!
//! It takes one offset after the other. Streams take an event by the watermark before it. Then the event moves the front, and what is
//! due is closed, in bounded steps (T10): a lane may stand inside of an offset for many steps. Its cursor and fronts are those
//! before that offset until everything that the offset causes is decided.
//!
//! - `snapshots`: its state as pieces, and back (T2).

mod snapshots;

use std::collections::VecDeque;
use std::sync::Arc;

use polars::prelude::PolarsError;

use super::budget::Budget;
use super::operator::Operator;
use super::output::{Decided, Outputs};
use super::plan::Compiled;
use super::rows::Rows;
use super::{Fronts, Horizon, LanePlan, OutputPosition, Records};
use crate::dedup::{RecentIdentities, Sighting};
use crate::log::PartitionId;

/// More than a lane may ever hold: what is on the shelves of its detectors is found by 32 bits.
const STATE_BYTES_MAX: usize = 16 << 30;

/// The state of all streams over one partition.
#[derive(Debug)]
pub struct Lane {
    plan: Arc<LanePlan>,
    limits: Limits,
    streams: Vec<StreamState>,
    recent: RecentIdentities,
    /// The fronts at the cursor.
    fronts: Fronts,
    cursor: i64,
    /// What was given and is not wholly decided.
    given: VecDeque<Rows>,
    /// The next row and the next mark of the first of `given`.
    row: usize,
    mark: usize,
    /// The offset behind all that was given.
    given_to: i64,
    inside: Option<Inside>,
}

/// A stream in one partition.
#[derive(Debug)]
struct StreamState {
    operator: Operator,
    next: OutputPosition,
    /// What the ids of its outputs begin with: `<stream>/<generation>/<log>/<partition>/`.
    id_prefix: String,
    late: u64,
    /// The first event that it takes.
    begin: i64,
    /// T8: whether its past is incomplete.
    incomplete: bool,
}

/// An offset whose record has moved the front, so that something may be due.
#[derive(Debug)]
struct Inside {
    offset: i64,
    /// The front behind it.
    front_us: Option<i64>,
    /// What the fronts will be: those of a mark. An event's row is the current one.
    fronts: Option<Fronts>,
    /// The first stream that is not done.
    stream: usize,
}

/// How much a lane may hold (T10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most events that are given and not decided.
    pub pending_events: usize,
    /// The most memory of the state of all streams together, in bytes; more than 16 GiB are taken for 16 GiB.
    pub state_bytes: usize,
    /// About the most bytes of the outputs that one step decides.
    pub step_bytes: usize,
}

/// Whether a lane has something left to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All that was given is decided.
    Idle,
    /// There is more: step on.
    More,
}

/// What happened to a stream's events since its lane began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that came too late for something (T9).
    pub late: u64,
    /// Events that a detector has forgotten because their keys had too many.
    pub dropped: u64,
    /// Keys with an open window, open sessions, or keys with a history, as of now.
    pub open: usize,
    /// Windows or sessions that are open, as of now: outputs to come. If the log ends, they are never written.
    pub unwritten: usize,
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
    #[error(
        "the state takes {bytes} bytes, more than it may, and stream `{stream}` has the most of it: raise streams.state, or give the stream \
         shorter windows, gaps or histories, or a `where` that leaves more out"
    )]
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
        let stream = |stream: usize| StreamState {
            operator: Operator::new(&plan.compiled[stream].operator),
            next: OutputPosition::before(at),
            id_prefix: format!("{}/{generation}/{id}/", plan.streams()[stream].name),
            late: 0,
            begin: i64::MIN,
            incomplete: false,
        };
        Lane {
            streams: (0..plan.compiled.len()).map(stream).collect(),
            recent: RecentIdentities::new(plan.dedup_window),
            fronts: Fronts::new(plan.rekeyed),
            limits: Limits { state_bytes: limits.state_bytes.min(STATE_BYTES_MAX), ..limits },
            plan,
            cursor: at,
            given: VecDeque::new(),
            row: 0,
            mark: 0,
            given_to: at,
            inside: None,
        }
    }

    /// Takes events before the cursor into the deduplication window, and nowhere else. For use before anything is given.
    pub fn warm(&mut self, sightings: &[Sighting]) {
        self.recent.judge(sightings);
    }

    /// T8: tells a lane without state that is to be warmed the fronts at `published`. Of a re-keyed source it takes from them which
    /// upstream partitions were idle at its cursor.
    ///
    /// Gives whether that is known. If it is not, too much has changed since: some event may be taken that was late, and the past is
    /// incomplete.
    pub fn begin_warming(&mut self, fronts: &Fronts) -> bool {
        let (known, is_known) = fronts.known_at(self.cursor);
        self.fronts = known;
        is_known
    }

    /// Takes records, which are those behind the last ones.
    ///
    /// # Errors
    /// If these are not the next ones, or a limit is reached. Then the lane is as before.
    pub fn give(&mut self, records: Records) -> Result<(), LaneError> {
        let (from, to) = (records.from, records.to);
        if from != self.given_to {
            return Err(LaneError::NotNext { expected: self.given_to, from });
        }
        let pending = self.pending();
        if pending > 0 && pending + records.offsets.len() > self.limits.pending_events {
            return Err(LaneError::Pending { pending });
        }
        self.has_room()?;
        let rows = self.plan.rows.rows(records, &mut self.recent);
        self.given.push_back(rows.map_err(|source| LaneError::Evaluate { from, source })?);
        self.given_to = to;
        Ok(())
    }

    /// Whether the state has not reached [`Limits::state_bytes`].
    ///
    /// # Errors
    /// [`LaneError::Full`] if it has.
    pub fn has_room(&self) -> Result<(), LaneError> {
        let of_streams = self.bytes();
        let bytes: usize = of_streams.iter().sum();
        if bytes <= self.limits.state_bytes {
            return Ok(());
        }
        let most = self.plan.streams().iter().zip(of_streams).max_by_key(|(_, bytes)| *bytes);
        Err(LaneError::Full { stream: most.map(|(stream, _)| stream.name.clone()).unwrap_or_default(), bytes })
    }

    /// How many events are given and not decided.
    pub fn pending(&self) -> usize {
        self.given.iter().map(|rows| rows.offsets.len()).sum::<usize>() - self.row
    }

    /// T10: decides what was given, until about `outputs_max` outputs, or [`Limits::step_bytes`] of them, are added to `out`. There may
    /// be as many more as one event of a detector makes. A step that begins inside of an offset ends with it at the latest, so that it is
    /// known where everything is decided that the offset causes.
    pub fn step(&mut self, outputs_max: usize, out: &mut Vec<Decided>) -> Progress {
        let mut budget = Budget::of_outputs(outputs_max, self.limits.step_bytes);
        let begins_inside = self.inside.is_some();
        while !budget.is_spent() {
            if !self.advance(&mut budget, out) {
                return Progress::Idle;
            }
            if begins_inside && self.inside.is_none() {
                break;
            }
        }
        if self.given.is_empty() { Progress::Idle } else { Progress::More }
    }

    /// Goes on by one event, mark or part of what is due. Says whether there was one.
    fn advance(&mut self, budget: &mut Budget, out: &mut Vec<Decided>) -> bool {
        if let Some(inside) = self.inside.take() {
            self.close(inside, budget, out);
            return true;
        }
        let Some(rows) = self.given.front() else { return false };
        budget.look();
        let (event, mark) = (rows.offsets.get(self.row), rows.marks.get(self.mark));
        match (event.copied(), mark.map(|mark| mark.offset)) {
            (Some(event), mark) if mark.is_none_or(|mark| event < mark) => self.event(event, budget, out),
            (_, Some(mark)) => self.mark(mark),
            _ => {
                self.cursor = rows.to;
                self.given.pop_front();
                (self.row, self.mark) = (0, 0);
            }
        }
        true
    }

    /// Has the streams take the event in the current row.
    fn event(&mut self, offset: i64, budget: &mut Budget, out: &mut Vec<Decided>) {
        let (Some(rows), row) = (self.given.front(), self.row) else { return };
        if rows.copies[row] {
            self.finish(offset);
            return;
        }
        let (front_us, before) = (self.fronts.front_us(), out.len());
        for (at, (stream, plan)) in self.streams.iter_mut().zip(&self.plan.compiled).enumerate() {
            if offset >= stream.begin && rows.holds(plan.condition, row) {
                let mut outputs = outputs(out, at, offset, &mut stream.next, &stream.id_prefix, stream.incomplete);
                let watermark_us = plan.watermark_us(front_us);
                let is_late = stream.operator.event(rows, row, watermark_us, budget, &mut outputs);
                stream.late += u64::from(is_late);
            }
        }
        out[before..].iter().for_each(|decided| budget.output(decided.bytes()));
        let behind_us = self.fronts.after_event(rows.upstream(row), rows.reached_us[row]);
        if behind_us == front_us {
            self.finish(offset);
        } else {
            self.inside = Some(Inside { offset, front_us: behind_us, fronts: None, stream: 0 });
        }
    }

    /// Takes the current mark.
    fn mark(&mut self, offset: i64) {
        let Some(record) = self.given.front().and_then(|rows| rows.marks.get(self.mark)) else { return };
        let mut fronts = self.fronts.clone();
        fronts.mark(offset, record.record_time_us, &record.mark);
        self.inside = Some(Inside { offset, front_us: fronts.front_us(), fronts: Some(fronts), stream: 0 });
    }

    /// Closes what is due behind an offset.
    fn close(&mut self, mut inside: Inside, budget: &mut Budget, out: &mut Vec<Decided>) {
        while let Some((stream, plan)) = self.streams.get_mut(inside.stream).zip(self.plan.compiled.get(inside.stream))
        {
            let StreamState { operator, next, id_prefix, incomplete, .. } = stream;
            let mut outputs = outputs(out, inside.stream, inside.offset, next, id_prefix, *incomplete);
            if !operator.close(plan.watermark_us(inside.front_us), budget, &mut outputs) {
                self.inside = Some(inside);
                return;
            }
            inside.stream += 1;
        }
        match inside.fronts {
            Some(fronts) => {
                self.fronts = fronts;
                self.mark += 1;
                self.cursor = inside.offset + 1;
            }
            None => self.finish(inside.offset),
        }
    }

    /// Ends the current row, after which the cursor is behind its offset.
    fn finish(&mut self, offset: i64) {
        if let Some(rows) = self.given.front()
            && !rows.copies[self.row]
        {
            self.fronts.event(offset, rows.upstream(self.row), rows.reached_us[self.row]);
        }
        self.row += 1;
        self.cursor = offset + 1;
    }

    /// The first offset that is not wholly decided.
    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    /// The first position of a stream that is not decided.
    pub fn position(&self, stream: usize) -> OutputPosition {
        self.streams[stream].next.max(OutputPosition::before(self.cursor))
    }

    /// The fronts at the cursor: before the first record that is not wholly decided.
    pub fn fronts(&self) -> Fronts {
        self.fronts.clone()
    }

    /// T8: at `published`, takes the fronts written there, and drops what they had closed. For use between two offsets: when all that
    /// was given is decided. Then the state is that of a lane that has read everything, if [`Lane::begin_warming`] knew how to begin
    /// and everything was given that was needed.
    pub fn take_fronts(&mut self, fronts: &Fronts) {
        self.fronts = fronts.clone();
        for (stream, plan) in self.streams.iter_mut().zip(&self.plan.compiled) {
            stream.operator.drop_closed(plan.watermark_us(fronts.front_us()));
        }
    }

    /// T8: says where the past of each stream begins. One that remembers everything takes no event before, and forgets what it remembers
    /// if it is not there yet: so its state follows from where it began, and not from where the lane began to read. For use before
    /// anything is given.
    pub fn set_begins(&mut self, begins: &[i64]) {
        let plans = self.plan.streams().iter().zip(&self.plan.compiled);
        for ((state, (stream, compiled)), begin) in self.streams.iter_mut().zip(plans).zip(begins) {
            if stream.remembers_all {
                state.begin = *begin;
                if *begin >= self.cursor {
                    state.operator = Operator::new(&compiled.operator);
                }
            }
        }
    }

    /// T8: says whether what a stream decides from now on is decided from an incomplete past. Its outputs are marked so.
    pub fn set_incomplete(&mut self, stream: usize, incomplete: bool) {
        self.streams[stream].incomplete = incomplete;
    }

    /// T8, *need*: how far back events matter to each stream, by what it remembers at the cursor. That is no farther than
    /// [`LanePlan::horizons`] says.
    pub fn horizons(&self) -> Vec<Horizon> {
        let horizon = |(state, plan): (&StreamState, &Compiled)| {
            plan.horizon(&self.fronts, |watermark_us| state.operator.horizon(watermark_us))
        };
        self.streams.iter().zip(&self.plan.compiled).map(horizon).collect()
    }

    /// The memory of each stream's state in bytes, estimated.
    pub fn bytes(&self) -> Vec<usize> {
        self.streams.iter().map(|stream| stream.operator.bytes()).collect()
    }

    /// What happened to each stream's events.
    pub fn tallies(&self) -> Vec<Tally> {
        let tally = |stream: &StreamState| Tally {
            late: stream.late,
            dropped: stream.operator.dropped(),
            open: stream.operator.open(),
            unwritten: stream.operator.unwritten(),
        };
        self.streams.iter().map(tally).collect()
    }
}

/// Where the outputs of a stream for an offset go.
fn outputs<'a>(
    out: &'a mut Vec<Decided>,
    stream: usize,
    offset: i64,
    next: &'a mut OutputPosition,
    id_prefix: &'a str,
    incomplete: bool,
) -> Outputs<'a> {
    *next = (*next).max(OutputPosition::before(offset));
    Outputs { out, stream, next, id_prefix, incomplete }
}
