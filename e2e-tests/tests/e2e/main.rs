//! Scenarios on real Kafka, real Redis and real child processes, one a file.
//!
//! `make test` builds the binaries and runs all of them. One alone, with its output and a chosen seed:
//! `cargo build --workspace && SEED=7 cargo test --workspace --test e2e exact -- --nocapture`.

mod exact;
mod handover;
mod kafka_faults;
mod kill9;
mod late_duplicates;
mod restart;
mod stranger_catalog;
