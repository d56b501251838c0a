//! Scenarios on real Kafka, real Redis and real child processes, by subject.
//!
//! - `count`: answers over many events, without a fault;
//! - `input`: hostile and careless records;
//! - `catalog`: catalogs that change, and one that shares nothing with the sample;
//! - `stream`: what Braid writes to Kafka;
//! - `index`: search indexes, on a real OpenSearch;
//! - `monitor`: what operators see, and who may see it;
//! - `version`: other versions beside the active one, replayed, verified, promoted and retired;
//! - `fault`: what befalls processes, topics, brokers, Redis and clocks.
//!
//! `make test` builds the binaries and runs all of them. One alone, with its output and a chosen seed:
//! `cargo build --workspace && SEED=7 cargo test --workspace --test e2e exact -- --nocapture`.

mod catalog;
mod count;
mod fault;
mod index;
mod input;
mod monitor;
mod stream;
mod version;
