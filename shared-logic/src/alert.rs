//! Alerts: what is known of a condition on a metric, and what changes when it is judged (A1 to A3).
//!
//! A judgement is about the window that ends at one moment. That moment is a multiple of the metric's grain up to which answers are
//! complete, so it is a fact about the data: a clock decides only which windows have come, and is watched. What is known of an alert after a judgement
//! follows from what was known before and from the judgement. So any process that has read what was known can go on.
//!
//! - `clock`: whether the clock can be believed;
//! - `ends`: the windows that are due to be judged;
//! - `verdict`: whether the condition holds of merged values;
//! - `state`: what is known of an alert, and its changes;
//! - `change`: a change as a record;
//! - `notification`: a change as receivers of Alertmanager's webhooks read it.

mod change;
mod clock;
mod ends;
mod notification;
mod state;
#[cfg(test)]
mod tests;
mod verdict;

pub use change::{AlertChange, Judged, change_id, changed_alert};
pub use clock::ClockWatch;
pub use ends::{due_ends, newest_end};
pub use notification::{Receiver, labels, notification};
pub use state::{AlertState, Notice, Phase, Rule, StateWord};
pub use verdict::{Verdict, verdict};
