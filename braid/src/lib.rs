//! `braid`: the whole platform in one process, and the operator's tools beside it.
//!
//! Begin with [`commands`]. What they stand on: [`catalog_file`] finds the catalog, [`embedded`] replaces a Kafka or a
//! Redis that the settings do not name, and [`source_topic`] sends to a source's topic.

pub mod catalog_file;
pub mod commands;
pub mod embedded;
pub mod source_topic;
