//! Streams: what Braid writes to Kafka, each record once, whatever befalls its lanes.
//!
//! - `worked_examples`: what is written of examples whose outputs are known, to the letter;
//! - `payments`: the deployment and the payments that all others play with, held to an oracle;
//! - without a fault: `every_kind`, `rekeyed` (lanes that are not in step), `changed` (a catalog that changes in place), `many` windows that
//!   close at once, `erased` (a person, from a source and its streams), and `attribution`, an example of the docs from clicks to answers;
//! - processes: `killed` at every moment of a transaction and of a snapshot, `zombie`, and `memory` that is full;
//! - the store: `snapshots` that are gone, torn or of others, the `past` that is read instead, and `on_s3`;
//! - Redis: `lookups`, of a table that changes meanwhile, with a Redis that is emptied, more partitions, and an erasure; `redis_away`, which only
//!   lookups wait for;
//! - Kafka: `broker`, which is killed; `partitions`, which are added; `progress`, which is deleted; `output`, which is missing, and
//!   `refused`, which takes no records; `lost_tail` of what lanes read;
//! - reconciles: what is `checked`, and what is not as it should be.

mod attribution;
mod broker;
mod changed;
mod checked;
mod erased;
mod every_kind;
mod killed;
mod lookups;
mod lost_tail;
mod many;
mod memory;
mod on_s3;
mod output;
mod partitions;
mod past;
pub(crate) mod payments;
mod progress;
mod redis_away;
mod refused;
mod rekeyed;
mod snapshots;
mod worked_examples;
mod zombie;
