//! Streams on the batch side: the operators of the speed layer's lanes, run over archived records.
//!
//! - `held`: the files of an archive;
//! - `records`: its rows → the records of a partition in the order of their offsets;
//! - `replay`: records → lanes (T2, T6, T8);
//! - `rejected`: outputs that the readers of their stream reject;
//! - `looked_up`: what lanes have looked up in tables, found again (B4);
//! - `written`: the archived outputs of a stream;
//! - `rounds`: what lanes decide again, compared with what is archived of it;
//! - `progress`: how far streams are published, as Kafka says it;
//! - `check`: both at each reconcile: every output is written once;
//! - [`backtest`]: what a definition would have written;
//! - [`standing`]: how far each stream is, and what stops it;
//! - [`set_published`]: positions for a progress topic that was lost (T7).

pub mod backtest;
mod check;
mod held;
mod looked_up;
mod progress;
mod records;
mod rejected;
mod replay;
mod rounds;
pub mod set_published;
pub mod standing;
mod written;

pub use self::progress::{Asked, MissingTopic, TopicEnds, ask};
pub use self::replay::ReplayError;

pub(crate) use self::check::{Checker, STRETCHES_MAX, not_possible};

#[cfg(test)]
mod tests;
