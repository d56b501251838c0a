//! The state of a lane as pieces, and back.
//!
//! A piece's name says of which stream and definition it is, and of which offsets: `<stream>-<definition>-<cursor>`, or, of a
//! detector's history, `<stream>-<definition>-<from>-<to>`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::{Lane, Limits, Operator};
use crate::log::PartitionId;
use crate::stream::bytes::{Reader, Writer};
use crate::stream::detect::{DetectPlan, Detector, ranges};
use crate::stream::operator::OperatorPlan;
use crate::stream::session::Sessions;
use crate::stream::window::Windows;
use crate::stream::{Fronts, LanePlan, Piece, SnapshotError, StreamPlan};

/// What each piece begins with. Raise it when their layout changes; older pieces cost time only.
const LAYOUT: u64 = 1;

impl Lane {
    /// T2: the state at the cursor. `kept` are the names of the pieces of the newest snapshot that is kept, with which this one
    /// shares what it can.
    ///
    /// # Errors
    /// Inside of an offset, or where the past of a stream is incomplete.
    pub fn snapshot(&self, kept: &BTreeSet<String>) -> Result<Vec<Piece>, SnapshotError> {
        if self.streams.iter().any(|stream| stream.incomplete) {
            return Err(SnapshotError::Incomplete);
        }
        if let Some(inside) = &self.inside {
            return Err(SnapshotError::InsideOffset { offset: inside.offset });
        }
        let mut pieces = Vec::new();
        for (at, (stream, state)) in self.plan.streams().iter().zip(&self.streams).enumerate() {
            let names = Names::of(stream);
            let watermark_us = self.plan.compiled[at].watermark_us(self.fronts.front_us());
            let mut out = writer();
            match &state.operator {
                Operator::Map(_) => continue,
                Operator::Window(plan, windows) => windows.write_to(plan, &mut out),
                Operator::Session(plan, sessions) => sessions.write_to(plan, &mut out),
                Operator::Detect(plan, detector) => {
                    pieces.extend(self.history(&names, plan, detector, watermark_us, kept));
                    detector.write_head(plan, watermark_us, &mut out);
                }
            }
            pieces.push(Piece { name: names.at(self.cursor), bytes: Some(out.finish()) });
        }
        Ok(pieces)
    }

    /// The pieces of a detector's history.
    fn history(
        &self,
        names: &Names,
        plan: &DetectPlan,
        detector: &Detector,
        watermark_us: i64,
        kept: &BTreeSet<String>,
    ) -> Vec<Piece> {
        let Some(first) = detector.first_offset(plan, watermark_us) else { return Vec::new() };
        let (stay, new) = ranges(kept.iter().filter_map(|name| names.range(name)).collect(), self.cursor);
        let stay = stay.iter().filter(|range| range.end > first);
        let mut pieces: Vec<Piece> = stay.map(|range| Piece { name: names.of_range(range), bytes: None }).collect();
        if !new.is_empty() {
            let mut out = writer();
            detector.write_events(plan, watermark_us, &new, &mut out);
            pieces.push(Piece { name: names.of_range(&new), bytes: Some(out.finish()) });
        }
        pieces
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
        let mut lane = Lane::new(Arc::clone(&plan), id, generation, at, limits);
        lane.fronts = fronts.clone();
        let streams = plan.streams().iter().zip(&plan.compiled).zip(&mut lane.streams);
        for ((stream, compiled), state) in streams {
            let watermark_us = compiled.watermark_us(fronts.front_us());
            if let Some(operator) = operator(stream, &compiled.operator, watermark_us, at, pieces)? {
                state.operator = operator;
            }
        }
        Ok(lane)
    }
}

/// The operator of a stream with its state at an offset; `None` of one without state.
fn operator(
    stream: &StreamPlan,
    plan: &OperatorPlan,
    watermark_us: i64,
    at: i64,
    pieces: &[Piece],
) -> Result<Option<Operator>, SnapshotError> {
    if matches!(plan, OperatorPlan::Map(_)) {
        return Ok(None);
    }
    let names = Names::of(stream);
    let damaged = || SnapshotError::Damaged { stream: stream.name.clone() };
    let mut whole = pieces.iter().filter(|piece| piece.name == names.at(at));
    let missing = || SnapshotError::Missing { name: names.at(at) };
    let mut state = reader(whole.next().ok_or_else(missing)?).ok_or_else(damaged)?;
    let operator = match plan {
        OperatorPlan::Map(_) => None,
        OperatorPlan::Window(plan) => Windows::read_from(plan, watermark_us, &mut state)
            .filter(|_| state.is_at_end())
            .map(|windows| Operator::Window(Arc::clone(plan), windows)),
        OperatorPlan::Session(plan) => Sessions::read_from(plan, &mut state)
            .filter(|_| state.is_at_end())
            .map(|sessions| Operator::Session(Arc::clone(plan), sessions)),
        OperatorPlan::Detect(plan) => {
            let history = pieces.iter().filter(|piece| names.range(&piece.name).is_some());
            let history = history.map(reader).collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
            Detector::read_from(plan, watermark_us, state, history.into_iter())
                .map(|detector| Operator::Detect(Arc::clone(plan), detector))
        }
    };
    operator.map(Some).ok_or_else(damaged)
}

fn writer() -> Writer {
    let mut writer = Writer::default();
    writer.word(LAYOUT);
    writer
}

/// The content of a piece; `None` if it has another layout, or none.
fn reader(piece: &Piece) -> Option<Reader<'_>> {
    let mut reader = Reader::new(piece.bytes.as_deref()?);
    reader.word().filter(|layout| *layout == LAYOUT).map(|_| reader)
}

/// The names of the pieces of a stream.
struct Names {
    prefix: String,
}

impl Names {
    fn of(stream: &StreamPlan) -> Names {
        Names { prefix: format!("{}-{}-", stream.name, stream.definition) }
    }

    fn at(&self, cursor: i64) -> String {
        format!("{}{cursor}", self.prefix)
    }

    fn of_range(&self, range: &Range<i64>) -> String {
        format!("{}{}-{}", self.prefix, range.start, range.end)
    }

    /// The range that [`Names::of_range`] wrote.
    fn range(&self, name: &str) -> Option<Range<i64>> {
        let (start, end) = name.strip_prefix(&self.prefix)?.split_once('-')?;
        Some(start.parse().ok()?..end.parse().ok()?)
    }
}
