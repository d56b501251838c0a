//! The speed view: one shard per (log, partition) in Redis.
//!
//! A shard is a cursor, slices, and the definitions that are counted with the offset since which each was. An [`Instance`]
//! tells it from an earlier shard of the partition. All of its keys share one hash tag, so Redis Cluster keeps them together:
//!
//! | key | type | holds |
//! |---|---|---|
//! | `braid:{<name>/<version>/<source>/<log>/<partition>}:shard` | hash | `format`, `cursor`, `slices` (begins, comma-separated, ascending), `definitions` (`hash=since`, comma-separated, by hash), `instance`, `as_of`, `witnesses` (of each begin and of the cursor, comma-separated, R12), `truncated` (where a worker found another record than what was counted), `begin` (the start of the log when the shard was first opened, K5) |
//! | `…:c:<instance>:<slice begin>:<definition>` | hash | counters: `<group key>` → the key's chunks, and the values of the first of them; `<chunk>:<group key>` → the values of another |
//! | `…:counters` | hash | `<instance>:<slice begin>:<definition>` for each key of counters that may exist (R8) |
//! | `…:sweep` | text, for a while | somebody reads all counters in steps; it holds how many bytes were noted in `changes` |
//! | `…:changes` | list, for a while | what was written since, see [`changes`](self) |
//!
//! A bucket's index is its start divided by the metric's grain, and its chunk is the index divided by 64, or the index itself if a
//! measure is a sketch. Everything that a
//! slice counts for one definition is one key: a micro-batch is written with one command, a group key's total takes two reads
//! per slice at most however many buckets it spans, and a slice is dropped at once.
//!
//! Counters are named before they are written, and the names are removed together with them. So whatever was counted into is
//! found by its name, also after a process was killed and after the shard itself is gone.
//!
//! - `chunks`: which chunks a group key has in a slice; `counters`: the values of one;
//! - `addition`: what a micro-batch adds to them; `known`: what a worker need not read for that; `read`: what a reader asks for;
//!   `scanned`: what each field of a slice says; `changes`: what was written while somebody read slices in steps;
//! - `shard`: the positions, and what may happen to them; `instance`: one life of a shard;
//! - [`script`]: the texts that scripts and their callers exchange.
//!
//! A key without a cursor is no shard: [`script`] says when that is so. A shard that is opened or reopened has no counters,
//! whatever an earlier one left behind, because their keys hold another instance.
//!
//! What may happen to a shard's positions is written twice, on purpose: here as pure functions ([`Shard`]), and as the
//! scripts of the crate `storage`, which do it atomically in Redis ([`script`]). Tests run both side by side on a real Redis.

mod addition;
mod changes;
mod chunks;
mod counters;
mod instance;
mod known;
mod read;
mod scanned;
pub mod script;
mod shard;

pub use addition::{Addition, Held};
pub use changes::{Change, Changes};
pub use chunks::ChunkRange;
pub use counters::{CHUNK_BUCKETS, Counters};
pub use instance::{Instance, NotAnInstance};
pub use known::KnownFields;
pub use read::{FoundChunks, Reading, Request, State, Wanted};
pub use scanned::scanned;
pub use shard::{Definitions, Expected, Refusal, Shard};

use crate::catalog::{DefinitionHash, Deployment};
use crate::log::PartitionId;

/// The layout that this code reads and writes.
pub const FORMAT: &str = "5";

/// The names of one shard's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardKeys {
    tag: String,
}

impl ShardKeys {
    /// The keys of the shard of one partition of a source.
    pub fn new(deployment: &Deployment, source: &str, id: &PartitionId) -> ShardKeys {
        let Deployment { name, version, .. } = deployment;
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

    /// The key that names every key of counters that may exist.
    pub fn names(&self) -> String {
        format!("{}counters", self.tag)
    }

    /// The key that says that somebody reads all counters in steps.
    pub fn sweep(&self) -> String {
        format!("{}sweep", self.tag)
    }

    /// The key of what was written while somebody did.
    pub fn changes(&self) -> String {
        format!("{}changes", self.tag)
    }

    /// The key of the counters that have this name.
    pub fn named(&self, name: &str) -> String {
        format!("{}c:{name}", self.tag)
    }

    /// The instance and the slice that the counters of this name belong to; `None` if no worker gives such a name.
    pub fn owner(name: &str) -> Option<(Instance, i64)> {
        let mut parts = name.split(':');
        let (instance, slice, _definition) = (parts.next()?, parts.next()?, parts.next()?);
        Some((instance.parse().ok()?, slice.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_name() {
        let deployment = Deployment::new("braid", "v1");
        let keys = ShardKeys::new(&deployment, "s", &PartitionId::new("log", 3));
        let definition: DefinitionHash = "00000000000000aa".parse().expect("16 digits");
        let name = "000000000000000b:-7:00000000000000aa";
        assert_eq!(keys.named(name), keys.counters(Instance::new(11), -7, &definition));
        assert_eq!(ShardKeys::owner(name), Some((Instance::new(11), -7)));
        for other in ["", "x:7:00000000000000aa", "000000000000000b:7"] {
            assert_eq!(ShardKeys::owner(other), None, "{other:?}");
        }
    }
}
