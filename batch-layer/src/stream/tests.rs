//! Streams on the batch side, over archives on a real store, without Kafka.
//!
//! - `bench`: a source and streams over it, archived by hand, and lanes that write them;
//! - `reading`: archived records in the order of their offsets, and where the past begins;
//! - `checked`: what the check finds, and what it does not;
//! - `damaged`: outputs that are missing, extra or different;
//! - `erased`: outputs that were made of erased events;
//! - `rejected`: outputs that the readers of their stream reject;
//! - `looked_up`: maps that look rows up in a table;
//! - `rekeyed`: a map whose outputs of all lanes lie in all partitions, and what reads it;
//! - `backtested`: what a definition would have written;
//! - `random`: any catalog of streams over any log: an oracle, lanes, check and backtest say the same.

mod backtested;
mod bench;
mod checked;
mod damaged;
mod erased;
mod looked_up;
mod random;
mod reading;
mod rejected;
mod rekeyed;
