//! `braid`: the whole platform in one process, and the operator's tools beside it.
//!
//! One file a command: [`up`] runs everything, [`send`] and [`produce`] put records into a source's topic, [`query`]
//! asks, [`health`] asks a process whether it is well, [`catalog_check`] judges a catalog. Around them: [`catalog_file`] finds the catalog, [`embedded`] stands in for
//! a Kafka and a Redis that nobody named, and [`publish`] is the one way in which records leave for Kafka.

pub mod catalog_check;
pub mod catalog_file;
pub mod embedded;
pub mod health;
pub mod produce;
pub mod publish;
pub mod query;
pub mod send;
pub mod up;
