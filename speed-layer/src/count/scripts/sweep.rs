//! R8: the counters of slices that were dropped are unlinked afterwards, in bounded steps. They are found by scanning for
//! the shard's keys, so the next sweep also removes what a killed worker left behind.

use std::collections::{BTreeMap, BTreeSet};

use platform::redis::Connection;
use shared_logic::contracts::speed_view::ShardKeys;

use super::{Scripts, ShardError};

/// How many keys one step of a scan looks at.
const SCAN_KEYS: usize = 1_000;
/// How many keys one script unlinks.
const UNLINK_KEYS: usize = 500;

impl Scripts {
    /// R8: unlinks the counters of every slice that the shard does not list. Calls `unlinked` after each step with the
    /// number of keys that it removed.
    ///
    /// # Errors
    /// [`ShardError`]. What was unlinked until then is gone; the next call goes on.
    pub async fn sweep(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        mut unlinked: impl FnMut(u64),
    ) -> Result<(), ShardError> {
        let shard = self.positions(redis, keys).await?;
        let listed: BTreeSet<i64> = shard.iter().flat_map(|shard| &shard.slices).copied().collect();
        let mut garbage: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        let mut cursor = 0_u64;
        loop {
            let (next, found): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(keys.counters_pattern())
                .arg("COUNT")
                .arg(SCAN_KEYS)
                .query_async(redis)
                .await
                .map_err(|source| ShardError::redis("scan for the counters of", keys, source))?;
            for key in found {
                if let Some(slice) = keys.slice_of(&key).filter(|slice| !listed.contains(slice)) {
                    garbage.entry(slice).or_default().push(key);
                }
            }
            for (slice, found) in &mut garbage {
                while found.len() >= UNLINK_KEYS || (next == 0 && !found.is_empty()) {
                    let step = found.split_off(found.len().saturating_sub(UNLINK_KEYS));
                    unlinked(self.unlink(redis, keys, *slice, &step).await?);
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    /// Unlinks those counters of a slice, unless the shard still lists the slice; returns how many keys are gone.
    async fn unlink(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        slice: i64,
        counters: &[String],
    ) -> Result<u64, ShardError> {
        let mut invocation = self.unlink.key(keys.shard());
        for key in counters {
            invocation.key(key);
        }
        let sent = invocation.arg(slice).invoke_async(redis).await;
        sent.map_err(|source| ShardError::redis("unlink counters of", keys, source))
    }
}
