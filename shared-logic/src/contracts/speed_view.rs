//! The speed view: one shard per (log, partition) in Redis.
//!
//! A shard is a cursor, slices, and the definitions that are counted with the offset since which each was. An [`Instance`]
//! tells it from an earlier shard of the partition. All of its keys share one hash tag, so Redis Cluster keeps them together:
//!
//! | key | type | holds |
//! |---|---|---|
//! | `braid:{<name>/<version>/<source>/<log>/<partition>}:shard` | hash | `format`, `cursor`, `slices` (begins, comma-separated, ascending), `definitions` (`hash=since`, comma-separated, by hash), `instance`, `as_of`, `witnesses` (of each begin and of the cursor, comma-separated, R12), `truncated` (where a worker found another record than what was counted) |
//! | `…:c:<instance>:<slice begin>:<definition>` | hash | `<chunk>:<group key>` → the values of 64 buckets; `chunks` → those that occur |
//!
//! A bucket's index is its start divided by the metric's grain, and its chunk is the index divided by 64. Everything that a
//! slice counts for one definition is one key: a micro-batch is written with one command, a group key's total is one read
//! per slice however many buckets it spans, and a slice is dropped at once.
//!
//! A key without a cursor is no shard: [`script`] says when that is so. A shard that is opened or reopened has no counters,
//! whatever an earlier one left behind, because their keys hold another instance.
//!
//! What may happen to a shard's positions is written twice, on purpose: here as pure functions ([`Shard`]), and as the
//! scripts of the crate `storage`, which do it atomically in Redis ([`script`]). Tests run both side by side on a real Redis.

mod addition;
mod counters;
mod instance;
mod read;
pub mod script;
mod shard;

pub use addition::Addition;
pub use counters::{CHUNK_BUCKETS, CHUNKS, Counters};
pub use instance::{Instance, NotAnInstance};
pub use read::Reading;
pub use shard::{Definitions, Expected, Refusal, Shard};

use crate::catalog::{DefinitionHash, Deployment};
use crate::log::PartitionId;

/// The layout that this code reads and writes.
pub const FORMAT: &str = "4";

/// The names of one shard's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardKeys {
    tag: String,
}

impl ShardKeys {
    /// The keys of the shard of one partition of a source.
    pub fn new(deployment: &Deployment, source: &str, id: &PartitionId) -> ShardKeys {
        let Deployment { name, version } = deployment;
        ShardKeys { tag: format!("braid:{{{name}/{version}/{source}/{}/{}}}:", id.log, id.partition) }
    }

    /// The key of the shard's state.
    pub fn shard(&self) -> String {
        format!("{}shard", self.tag)
    }

    /// The key of the counters of one definition in one slice.
    pub fn counters(&self, instance: Instance, slice: i64, definition: &DefinitionHash) -> String {
        format!("{}c:{instance}:{slice}:{}", self.tag, definition.as_str())
    }

    /// A glob that matches every counter of the partition's shards, of every instance and of older layouts.
    pub fn counters_pattern(&self) -> String {
        format!("{}c:*", escape_glob(&self.tag))
    }

    /// The instance and the slice that a counter's key belongs to, if the key is of this layout.
    pub fn slice_of(&self, key: &str) -> Option<(Instance, i64)> {
        let mut parts = key.strip_prefix(&self.tag)?.strip_prefix("c:")?.split(':');
        let (instance, slice, _definition) = (parts.next()?, parts.next()?, parts.next()?);
        Some((instance.parse().ok()?, slice.parse().ok()?))
    }
}

fn escape_glob(text: &str) -> String {
    text.replace(['\\', '*', '?', '[', ']'], "?")
}
