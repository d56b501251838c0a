//! `braid`: the whole platform in one process, and the operator's tools beside it.
//!
//! Begin with [`commands`]. What they stand on: [`catalog_file`] finds the catalog, [`embedded`] replaces a Kafka or a
//! Redis that the settings do not name, [`source_topic`] sends to a source's topic, [`serving`] asks a serving layer, and
//! `verdicts` counts what a catalog rejects. [`terminal`], [`table`] and [`number`] are how answers look to a person, and
//! [`refreshed`] is a page that is printed again whenever it changes. `size` is what a deployment needs.

pub mod catalog_file;
pub mod commands;
pub mod embedded;
pub mod number;
pub mod refreshed;
pub mod serving;
mod size;
pub mod source_topic;
pub mod table;
pub mod terminal;
mod verdicts;
