//! What every Braid process needs and that is not Braid's logic: settings, telemetry, an ordered stop, tasks, the
//! terminal, and the connections to Kafka, Redis, the schema registry, a webhook and the store. Nothing here knows what an event or a metric is.
//!
//! Architecture invariant: this crate depends on no layer and not on `shared-logic`.

pub mod allocator;
pub mod api_key;
pub mod clock;
pub mod failpoints;
pub mod kafka;
pub mod process;
pub mod redis;
pub mod registry;
pub mod settings;
pub mod shutdown;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod terminal;
pub mod webhook;
