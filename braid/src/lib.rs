//! `braid`: the whole platform in one process, and the operator's tools beside it.
//!
//! One file a command: [`up`] runs everything, [`send`] and [`produce`] put records into a source's topic, [`query`]
//! asks, [`health`] asks a process whether it is well, [`catalog_check`] judges a catalog. Around them: [`catalog_file`] finds the catalog, [`embedded`] stands in for
//! a Kafka and a Redis that nobody named, and [`source_topic`] is how records get to a source's topic.

pub mod catalog_check;
pub mod catalog_file;
pub mod embedded;
pub mod health;
pub mod produce;
pub mod query;
pub mod send;
pub mod source_topic;
pub mod up;
