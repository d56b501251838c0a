//! The operators, as a lane sees them: an event or a watermark comes, and outputs go.

use std::ops::Range;
use std::sync::Arc;

use super::Horizon;
use super::budget::Budget;
use super::detect::{DetectPlan, Detector};
use super::map::MapPlan;
use super::output::Outputs;
use super::rows::Rows;
use super::session::{SessionPlan, Sessions};
use super::window::{WindowPlan, Windows};

/// What a stream does, compiled.
#[derive(Debug)]
pub(super) enum OperatorPlan {
    Map(Arc<MapPlan>),
    Window(Arc<WindowPlan>),
    Session(Arc<SessionPlan>),
    Detect(Arc<DetectPlan>),
}

/// What a stream does, and its state in one partition.
#[derive(Debug)]
pub(super) enum Operator {
    Map(Arc<MapPlan>),
    Window(Arc<WindowPlan>, Windows),
    Session(Arc<SessionPlan>, Sessions),
    Detect(Arc<DetectPlan>, Detector),
}

impl Operator {
    /// Without state.
    pub(super) fn new(plan: &OperatorPlan) -> Operator {
        match plan {
            OperatorPlan::Map(plan) => Operator::Map(Arc::clone(plan)),
            OperatorPlan::Window(plan) => Operator::Window(Arc::clone(plan), Windows::new(plan)),
            OperatorPlan::Session(plan) => Operator::Session(Arc::clone(plan), Sessions::new(plan)),
            OperatorPlan::Detect(plan) => Operator::Detect(Arc::clone(plan), Detector::new(plan)),
        }
    }

    /// Takes the event in a row, where the watermark was that before it. Says whether it came too late for something.
    pub(super) fn event(
        &mut self,
        rows: &Rows,
        row: usize,
        watermark_us: i64,
        budget: &mut Budget,
        outputs: &mut Outputs<'_>,
    ) -> bool {
        let missed: Option<Option<Range<i64>>> = match self {
            Operator::Map(plan) => {
                plan.event(rows, row, outputs);
                None
            }
            Operator::Window(plan, windows) => windows.event(plan, rows, row, watermark_us).map(Some),
            Operator::Session(plan, sessions) => sessions.event(plan, rows, row, watermark_us).then_some(None),
            Operator::Detect(plan, detector) => {
                detector.event(plan, rows, row, watermark_us, budget, outputs).then_some(None)
            }
        };
        let is_late = missed.is_some();
        if let Some(missed) = missed {
            outputs.late(missed, rows.originals.key(row), rows.originals.payload(row), rows.times_us[row]);
        }
        is_late
    }

    /// Closes and forgets what is due at a watermark, as far as the budget goes. Says whether all is done.
    pub(super) fn close(&mut self, watermark_us: i64, budget: &mut Budget, outputs: &mut Outputs<'_>) -> bool {
        match self {
            Operator::Map(_) => true,
            Operator::Window(plan, windows) => windows
                .close(plan, watermark_us, budget, &mut |closed, budget| budget.output(plan.write(closed, outputs))),
            Operator::Session(plan, sessions) => sessions
                .close(plan, watermark_us, budget, &mut |closed, budget| budget.output(plan.write(closed, outputs))),
            Operator::Detect(plan, detector) => detector.forget(plan, watermark_us, budget),
        }
    }

    /// T8: drops what was closed at a watermark before.
    pub(super) fn drop_closed(&mut self, watermark_us: i64) {
        let mut budget = Budget::unlimited();
        match self {
            Operator::Map(_) => true,
            Operator::Window(plan, windows) => windows.close(plan, watermark_us, &mut budget, &mut |_, _| {}),
            Operator::Session(plan, sessions) => sessions.close(plan, watermark_us, &mut budget, &mut |_, _| {}),
            Operator::Detect(plan, detector) => detector.forget(plan, watermark_us, &mut budget),
        };
    }

    /// T8: how far back events matter to what it remembers and to what comes, at a watermark. Sessions that may last for ever say so by
    /// those that are open.
    pub(super) fn horizon(&self, watermark_us: i64) -> Horizon {
        match self {
            Operator::Map(_) => Horizon::Nothing,
            Operator::Window(plan, _) => Horizon::Since(plan.horizon_us(watermark_us)),
            Operator::Session(plan, sessions) => Horizon::Since(sessions.horizon_us(plan, watermark_us)),
            Operator::Detect(plan, _) => Horizon::Since(plan.horizon_us(watermark_us)),
        }
    }

    /// The memory of its state in bytes, estimated.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Operator::Map(_) => 0,
            Operator::Window(_, windows) => windows.bytes(),
            Operator::Session(_, sessions) => sessions.bytes(),
            Operator::Detect(_, detector) => detector.bytes(),
        }
    }

    /// How many keys with windows, sessions, or keys with a history there are.
    pub(super) fn open(&self) -> usize {
        match self {
            Operator::Map(_) => 0,
            Operator::Window(_, windows) => windows.open(),
            Operator::Session(_, sessions) => sessions.open(),
            Operator::Detect(_, detector) => detector.open(),
        }
    }

    /// How many windows or sessions are open, each of which is an output to come.
    pub(super) fn unwritten(&self) -> usize {
        match self {
            Operator::Map(_) | Operator::Detect(..) => 0,
            Operator::Window(_, windows) => windows.unwritten(),
            Operator::Session(_, sessions) => sessions.open(),
        }
    }

    /// How many events had to go from histories since the lane began.
    pub(super) fn dropped(&self) -> u64 {
        if let Operator::Detect(_, detector) = self { detector.dropped } else { 0 }
    }
}

impl OperatorPlan {
    /// T8, *need*: how far back events may matter to what it remembers at a watermark.
    pub(super) fn horizon(&self, watermark_us: i64) -> Horizon {
        match self {
            OperatorPlan::Map(_) => Horizon::Nothing,
            OperatorPlan::Window(plan) => Horizon::Since(plan.horizon_us(watermark_us)),
            OperatorPlan::Session(plan) => plan.horizon_us(watermark_us).map_or(Horizon::All, Horizon::Since),
            OperatorPlan::Detect(plan) => Horizon::Since(plan.horizon_us(watermark_us)),
        }
    }

    /// Whether it writes something of an event's original bytes.
    pub(super) fn keeps_originals(&self) -> bool {
        match self {
            OperatorPlan::Map(plan) => plan.keeps_originals(),
            OperatorPlan::Window(_) | OperatorPlan::Session(_) | OperatorPlan::Detect(_) => true,
        }
    }
}
