//! What the speed layer asks Kafka about a log, beside its records.
//!
//! - [`identity`]: whether the topic is still the same log (R7);
//! - [`ends`]: how far the log reaches, so that answers can say as of when they are complete;
//! - [`opening`]: what has to be known of it before a shard, or rows of a table, go on from a cursor.

pub mod ends;
pub mod identity;
pub mod opening;
