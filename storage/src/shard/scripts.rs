//! The scripts. Each but `life`, `read` and `unlink` replies `{status, cursor, slices, definitions, instance, witnesses, truncated}`,
//! where status is `done` or why nothing changed; `apply` replies `{failed, why}` if it could not write.

use redis::Script;

/// Every script, ready to be sent.
#[derive(Debug)]
pub struct Scripts {
    /// Keys: shard. Arguments: offset, definition hashes (comma-separated), instance, the offset's witness.
    pub open: Script,
    /// R2. Keys: shard, names of counters, whether somebody sweeps, what has changed since, and the counters of each definition, as often as it has arguments. Arguments: cursor,
    /// slice, definitions, instance, the cursor's witness, next cursor, its witness, as-of (empty: unchanged), and for each key of
    /// counters some of the fields that an `Addition` merged.
    pub apply: Script,
    /// R3. Keys: shard. Arguments: the largest number of slices.
    pub rotate: Script,
    /// R4. Keys: shard. Arguments: definition hashes.
    pub adopt: Script,
    /// R5. Keys: shard. Arguments: expected cursor, offset, definition hashes, instance.
    pub reopen: Script,
    /// R12. Keys: shard. Arguments: instance, offset.
    pub mark: Script,
    /// R8. Keys: shard. Arguments: cut. Replies with what remains.
    pub drop: Script,
    /// R8. Keys: shard. Arguments: the closed log's archived end. Replies with what is gone.
    pub delete: Script,
    /// R8. Keys: shard, names of counters, counters. Arguments: the instance and the slice that they belong to. Unlinks them,
    /// and removes their names, unless the slice is still listed; replies how many.
    pub unlink: Script,
    /// R10. Keys: shard, counters. Replies with the name of one life of the data on the server that has them all.
    pub life: Script,
    /// R10. Keys and arguments: shard, and what a [`Request`](shared_logic::contracts::speed_view::Request) names. Replies with
    /// the shard and, for each of what is wanted, the group key's chunks.
    pub read: Script,
}

impl Default for Scripts {
    fn default() -> Scripts {
        Scripts {
            open: Script::new(include_str!("open.lua")),
            apply: Script::new(include_str!("apply.lua")),
            rotate: Script::new(include_str!("rotate.lua")),
            adopt: Script::new(include_str!("adopt.lua")),
            reopen: Script::new(include_str!("reopen.lua")),
            mark: Script::new(include_str!("mark.lua")),
            drop: Script::new(include_str!("drop.lua")),
            delete: Script::new(include_str!("delete.lua")),
            unlink: Script::new(include_str!("unlink.lua")),
            life: Script::new(include_str!("life.lua")),
            read: Script::new(include_str!("read.lua")),
        }
    }
}
