//! Streams: what Braid writes to Kafka, each record once, whatever befalls its lanes.
//!
//! - `seed_examples`: the examples of the contract, to the letter;
//! - `payments`: the deployment and the payments that all others play with, held to an oracle;
//! - without a fault: `every_kind`, `rekeyed` (lanes that are not in step), `changed` (a catalog that changes in place);
//! - processes: `killed` at every moment of a transaction and of a snapshot, `zombie`;
//! - the store: `snapshots` that are gone, torn or of others, and the `past` that is read instead;
//! - tables: `lookups`, of a table that changes meanwhile, with a Redis that is emptied;
//! - Kafka: `broker`, which is killed; `partitions`, which are added; `progress`, which is deleted; `output`, which is missing.

mod broker;
mod changed;
mod every_kind;
mod killed;
mod lookups;
mod output;
mod partitions;
mod past;
mod payments;
mod progress;
mod rekeyed;
mod seed_examples;
mod snapshots;
mod zombie;
