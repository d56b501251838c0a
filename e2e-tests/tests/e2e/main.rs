//! Scenarios on real Kafka, real Redis and real child processes, one a file.
//!
//! `make test` builds the binaries and runs all of them. One alone, with its output and a chosen seed:
//! `cargo build --workspace && SEED=7 cargo test --workspace --test e2e exact -- --nocapture`.

mod bounded_stop;
mod clocks;
mod exact;
mod existing_topic;
mod handover;
mod input;
mod kafka_faults;
mod kill9;
mod late_duplicates;
mod mutations;
mod operators_day;
mod rebalance;
mod redis_faults;
mod restart;
mod sixty_days;
mod stranger_catalog;
mod topic_deleted;
mod topic_swapped;
mod zombie;
