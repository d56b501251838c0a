//! A Kafka, a Redis and, if it is asked for, an OpenSearch for a developer's machine, where the settings name none.
//!
//! They are children of this process with their files in the data folder, so a restart forgets nothing. Where no Kafka can be
//! run, a broker inside this process replaces it. None of this is for production.
//!
//! - [`kafka`], [`redis`] and [`search`]: the servers;
//! - `java`: what two of them run on;
//! - `child`: how they are started, and how they end with us;
//! - `lock`: one server per folder;
//! - `port`: a port for each.

mod child;
mod java;
mod lock;
mod port;

pub mod kafka;
pub mod redis;
pub mod search;
