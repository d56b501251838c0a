//! A Kafka and a Redis for a developer's machine, where the settings name none.
//!
//! Both are children of this process with their files in the data folder, so a restart forgets nothing. Where no Kafka can be
//! run, a broker inside this process replaces it. None of this is for production.
//!
//! - [`kafka`] and [`redis`]: the servers;
//! - `child`: how they are started, and how they end with us;
//! - `lock`: one server per folder;
//! - `port`: a port for each.

mod child;
mod lock;
mod port;

pub mod kafka;
pub mod redis;
