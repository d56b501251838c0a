//! Decides again what lanes have decided, and compares it with what is archived of that.
//!
//! Lanes run one after the other, and what they decide waits in memory for its counterpart, as a few bytes each. When there is no more
//! room for it, the archived outputs are looked at: that ends a round. A stream that keeps its partitions writes the outputs of a lane
//! in their order. So of each partition of its topic, the archive is looked at once, up to the first output of a later round. Where a map
//! re-keys, outputs of many lanes lie in each partition, and some are looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use platform::telemetry::error_text;
use polars::prelude::{Column, DataType, PolarsResult};
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::stream::{Decided, DecidedKind, Fronts, Lane, Records, StreamPlan};
use shared_logic::stream_check::{Comparison, Found, Place, SplitKeys, content_hash};
use shared_logic::time::DAY_US;
use tracing::warn;

use super::looked_up::LookedUpAgain;
use super::replay::{Replay, ReplayError, Running};
use super::written::{Output, Written};
use crate::rows::RowsError;

/// What an output that waits for its counterpart takes in memory, about.
const WAITING_BYTES: usize = 64;

/// Where a lane begins.
#[derive(Debug, Clone)]
pub(super) enum Begin {
    /// Where the fronts were these.
    At(Fronts),
    /// Where nothing was decided before.
    First,
    /// Where nobody knows the fronts, but so far they may have come.
    Guess(Fronts),
}

/// A lane, and the offsets whose outputs are decided again.
#[derive(Debug, Clone)]
pub(super) struct LaneSpan {
    pub(super) id: PartitionId,
    pub(super) begin: Begin,
    pub(super) from: i64,
    pub(super) to: i64,
    /// If nothing can be decided again: up to where its outputs are passed over.
    pub(super) skip_to: i64,
    /// Whether nothing that lies before `from` can be among the outputs that are looked at, of streams that keep their partitions.
    pub(super) follows: bool,
    /// Of each stream, the offsets whose outputs are compared.
    pub(super) compared: Vec<Vec<Range<i64>>>,
    /// Why none are, as a word.
    pub(super) left_out: Option<&'static str>,
}

/// A stream of the lanes.
pub(super) struct StreamSide {
    /// Its archived outputs; `None`: there is nothing to compare with.
    pub(super) written: Option<Written>,
    /// Whether outputs of every lane may lie in every partition of its topic.
    rekeys: bool,
    /// Whether its archived outputs were looked at before.
    follows: bool,
    /// What bears an earlier time is retired, here or where it was made from.
    retired_us: i64,
    comparison: Comparison,
    /// How many outputs were decided.
    pub(super) outputs: u64,
    /// How many events were late.
    pub(super) late: u64,
    /// The lanes of which nothing is compared, as progress or outputs say that their past is incomplete.
    pub(super) incomplete: BTreeSet<usize>,
}

/// What a step has come to.
pub(super) enum Step {
    /// A lane has decided some more.
    Going,
    /// The lane with that number has come to its end.
    Ended(usize, Box<Lane>),
    /// A lane cannot be run.
    LeftOut,
    /// There is no more room: look at what is archived.
    Full,
    /// All lanes have come to their ends.
    Over,
}

/// Lanes that decide again.
pub(super) struct Rounds<'a> {
    replay: &'a Replay<'a>,
    pub(super) lanes: Vec<LaneSpan>,
    pub(super) streams: Vec<StreamSide>,
    /// T12: whether it is noted in which partitions keys lie.
    pub(super) sees_keys: bool,
    /// By the columns that streams group by, where their keys lie.
    split_keys: BTreeMap<Vec<String>, SplitKeys>,
    /// By lane, up to where outputs were decided, and up to where they were compared as well.
    reached: Vec<i64>,
    met: Vec<i64>,
    /// The lane at hand.
    at: usize,
    running: Option<Running<'a>>,
    /// B4: finds again what the streams look up, if they do.
    pub(super) looked_up: Option<LookedUpAgain<'a>>,
    waiting_max: usize,
    /// How many rows of the source's archive were read.
    pub(super) rows_read: u64,
}

impl StreamSide {
    pub(super) fn new(written: Option<Written>, rekeys: bool, follows: bool) -> StreamSide {
        let retired_before = written.as_ref().and_then(|written| written.held.archive.facts().retired_before);
        StreamSide {
            written,
            rekeys,
            follows,
            retired_us: retired_us(retired_before),
            comparison: Comparison::default(),
            outputs: 0,
            late: 0,
            incomplete: BTreeSet::new(),
        }
    }

    /// Meets an archived output.
    fn meet(&mut self, output: &Output) {
        let place = Place { lane: output.lane, position: output.position };
        if self.incomplete.contains(&output.lane) {
            return;
        }
        if output.incomplete {
            self.incomplete.insert(output.lane);
            self.comparison.exclude(output.lane);
        } else {
            self.comparison.publish(place, output.content);
        }
    }

    /// What was found. Ends the comparison.
    pub(super) fn found(&mut self) -> Found {
        std::mem::take(&mut self.comparison).finish()
    }
}

/// The first moment of a day, or of all days.
fn retired_us(before: Option<i64>) -> i64 {
    before.map_or(i64::MIN, |day| day.saturating_mul(DAY_US))
}

impl LaneSpan {
    /// Whether the output of a stream at that offset is compared.
    fn is_compared(&self, stream: usize, offset: i64) -> bool {
        self.left_out.is_none() && self.compared[stream].iter().any(|range| range.contains(&offset))
    }
}

/// Where the keys lie that streams group by: nowhere yet.
fn split_keys(streams: &[StreamPlan]) -> BTreeMap<Vec<String>, SplitKeys> {
    let grouped_by: BTreeSet<&Vec<String>> =
        streams.iter().map(|stream| &stream.grouped_by).filter(|by| !by.is_empty()).collect();
    let share = grouped_by.len();
    grouped_by.into_iter().map(|by| (by.clone(), SplitKeys::sharing(share))).collect()
}

impl<'a> Rounds<'a> {
    /// Nothing is decided yet. `memory` is what outputs that wait may take, in bytes. The streams are those of the lanes' plan, in its
    /// order.
    pub(super) fn new(
        replay: &'a Replay<'a>,
        lanes: Vec<LaneSpan>,
        mut streams: Vec<StreamSide>,
        memory: usize,
    ) -> Rounds<'a> {
        let of_source = retired_us(replay.held.archive.facts().retired_before);
        streams.iter_mut().for_each(|stream| stream.retired_us = stream.retired_us.max(of_source));
        let begin = |lane: &LaneSpan| if lane.left_out.is_some() { lane.skip_to } else { lane.from };
        Rounds {
            replay,
            reached: lanes.iter().map(begin).collect(),
            met: lanes.iter().map(|lane| lane.from).collect(),
            lanes,
            streams,
            split_keys: split_keys(replay.plan.streams()),
            sees_keys: false,
            at: 0,
            running: None,
            looked_up: None,
            waiting_max: (memory / WAITING_BYTES).max(1),
            rows_read: 0,
        }
    }

    /// T12: the keys of a stream that lie in several partitions; `None` if it groups by nothing.
    pub(super) fn split_keys(&self, stream: usize) -> Option<&SplitKeys> {
        self.split_keys.get(&self.replay.plan.streams()[stream].grouped_by)
    }

    /// B4: has what the streams look up found again. Where that is not possible, no lane can be run.
    ///
    /// # Errors
    /// If an archive cannot be read.
    pub(super) fn looks_up(&mut self, found: Result<LookedUpAgain<'a>, ReplayError>) -> Result<(), RowsError> {
        match found {
            Ok(looked_up) => self.looked_up = Some(looked_up),
            Err(ReplayError::Rows(error)) => return Err(error),
            Err(error) => {
                warn!(
                    error = error_text(&error),
                    "what streams have looked up cannot be found again; nothing is compared"
                );
                for (lane, reached) in self.lanes.iter_mut().zip(&mut self.reached) {
                    if lane.from < lane.to && lane.left_out.is_none() {
                        (lane.left_out, *reached) = (Some(error.name()), lane.skip_to);
                    }
                }
            }
        }
        Ok(())
    }

    /// Up to where a lane has decided.
    pub(super) fn reached(&self, lane: usize) -> i64 {
        self.reached[lane]
    }

    /// Goes on by some records. `each` gets every output, late events among them, with its lane's number.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn step(&mut self, each: &mut (dyn FnMut(usize, &Decided) + Send)) -> Result<Step, RowsError> {
        if self.streams.iter().map(|stream| stream.comparison.waiting()).sum::<usize>() >= self.waiting_max {
            return Ok(Step::Full);
        }
        let Some(mut running) = self.running.take() else { return self.next_lane().await };
        let Some(mut records) = running.read().await? else {
            self.rows_read += running.rows_read();
            self.at += 1;
            return Ok(Step::Ended(self.at - 1, Box::new(running.into_lane())));
        };
        self.see_keys(&records);
        let at = self.at;
        if let Some(looked_up) = &mut self.looked_up {
            match looked_up.find(at, self.lanes[at].id.partition, &records).await {
                Ok(found) => records.looked_up = found,
                Err(error) => return self.leave_out(error),
            }
        }
        let (streams, lane) = (&mut self.streams, &self.lanes[at]);
        let mut take = |decided: Decided| {
            each(at, &decided);
            let stream = &mut streams[decided.stream];
            match decided.kind {
                DecidedKind::Output => stream.outputs += 1,
                DecidedKind::Late { .. } => {
                    stream.late += 1;
                    return;
                }
                DecidedKind::NoRow { .. } => return,
            }
            let is_compared = stream.written.is_some()
                && decided.time_us >= stream.retired_us
                && lane.is_compared(decided.stream, decided.position.offset)
                && !stream.incomplete.contains(&at);
            if is_compared {
                let place = Place { lane: at, position: decided.position };
                stream.comparison.decide(place, content_hash(decided.key.as_deref(), &decided.payload));
            }
        };
        let decided = running.decide(records, &mut take).await;
        match decided {
            Ok(running) => {
                self.reached[at] = running.lane().cursor();
                self.running = Some(running);
                Ok(Step::Going)
            }
            Err(error) => self.leave_out(error),
        }
    }

    /// Begins the next lane that has something to decide.
    async fn next_lane(&mut self) -> Result<Step, RowsError> {
        let has_work = |lane: &LaneSpan| lane.from < lane.to && lane.left_out.is_none();
        while self.lanes.get(self.at).is_some_and(|lane| !has_work(lane)) {
            self.at += 1;
        }
        let Some(LaneSpan { id, begin, from, to, .. }) = self.lanes.get(self.at) else { return Ok(Step::Over) };
        let opened = match begin {
            Begin::At(fronts) => self.replay.at(id, *from, fronts).await,
            Begin::First => self.replay.first(id, *from).await,
            Begin::Guess(fronts) => self.replay.found(id, *from, fronts).await,
        };
        match opened {
            Ok(lane) => {
                self.running = Some(self.replay.running(lane, id, *to)?);
                Ok(Step::Going)
            }
            Err(error) => self.leave_out(error),
        }
    }

    /// Gives up the lane at hand, if it is to blame.
    fn leave_out(&mut self, error: ReplayError) -> Result<Step, RowsError> {
        let why = error.name();
        if let ReplayError::Rows(error) = error {
            return Err(error);
        }
        let (at, lane) = (self.at, &mut self.lanes[self.at]);
        warn!(id = %lane.id, error = error_text(&error), "outputs cannot be decided again");
        lane.left_out = Some(why);
        self.reached[at] = lane.skip_to;
        self.streams.iter_mut().for_each(|stream| stream.comparison.exclude(at));
        self.at += 1;
        Ok(Step::LeftOut)
    }

    /// Ends the lane at hand where it is, if there is one.
    pub(super) fn halt(&mut self) -> Option<(usize, Lane)> {
        let running = self.running.take()?;
        self.rows_read += running.rows_read();
        Some((self.at, running.into_lane()))
    }

    /// Ends a round: compares with what is archived of what was decided.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn meet(&mut self) -> Result<(), RowsError> {
        for at in 0..self.streams.len() {
            let Some(mut written) = self.streams[at].written.take() else { continue };
            let mut later: Vec<i64> = written.ranges.iter().map(|range| range.to).collect();
            let partitions: Vec<i32> = written.ranges.iter().map(|range| range.id.partition).collect();
            let (lanes, reached, met) = (&self.lanes, &self.reached, &self.met);
            let stream = &mut self.streams[at];
            let visit = |output: Output| {
                let (lane, offset) = (&lanes[output.lane], output.position.offset);
                if offset >= reached[output.lane] {
                    later[output.range] = later[output.range].min(output.offset);
                    return;
                }
                if output.time_us < stream.retired_us || lane.left_out.is_some() {
                    return;
                }
                let was_met = offset < met[output.lane];
                let is_repeated = was_met && stream.follows && lane.follows;
                let is_elsewhere = partitions[output.range] != lane.id.partition;
                let is_extra = !stream.rekeys && (is_repeated || is_elsewhere);
                if is_extra || (!was_met && lane.is_compared(at, offset)) {
                    stream.meet(&output);
                }
            };
            written.each(visit).await?;
            for (range, later) in written.ranges.iter_mut().zip(later) {
                range.from = later.max(range.from);
            }
            let stream = &mut self.streams[at];
            stream.written = Some(written);
            stream.comparison.end_round();
            stream.follows = true;
        }
        for lane in &mut self.lanes {
            lane.follows = true;
        }
        self.met.clone_from(&self.reached);
        Ok(())
    }

    /// T12: notes in which partitions the keys of the streams lie. That a column has no value is a key, too.
    fn see_keys(&mut self, records: &Records) {
        if !self.sees_keys || self.lanes.len() < 2 {
            return;
        }
        let id = &self.lanes[self.at].id;
        for (by, split_keys) in &mut self.split_keys {
            let as_text = |name: &String| records.events.column(name)?.cast(&DataType::String);
            let Ok(columns) = by.iter().map(as_text).collect::<PolarsResult<Vec<Column>>>() else { continue };
            let Ok(columns) = columns.iter().map(|column| column.str()).collect::<PolarsResult<Vec<_>>>() else {
                continue;
            };
            for (row, offset) in records.offsets.iter().enumerate() {
                let key: Vec<Option<&str>> = columns.iter().map(|column| column.get(row)).collect();
                split_keys.see(&key, id, *offset);
            }
        }
    }

    /// The offsets that lanes have decided again, without those that were left out.
    pub(super) fn ranges(&self) -> Vec<OffsetRange> {
        let decided = self.lanes.iter().zip(&self.reached).filter(|(lane, _)| lane.left_out.is_none());
        let ranges = decided.map(|(lane, to)| OffsetRange { id: lane.id.clone(), from: lane.from, to: *to });
        ranges.filter(|range| range.from < range.to).collect()
    }
}
