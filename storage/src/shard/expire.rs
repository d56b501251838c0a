//! R8: the counters of slices that were dropped are unlinked afterwards, in bounded steps, and so are those of an earlier
//! instance of the shard or of an older layout. They are found by scanning for the shard's keys, so what a killed worker left
//! behind goes with the next sweep.

use std::collections::{BTreeMap, BTreeSet};

use platform::redis::Connection;
use shared_logic::contracts::speed_view::{Instance, ShardKeys};

use super::{ShardClient, ShardError, call, refused};

/// How many keys one step of a scan looks at.
const SCAN_KEYS: usize = 1_000;
/// How many keys one script unlinks.
const UNLINK_KEYS: usize = 500;

/// The instance and the slice that counters belong to; `None` for those of an older layout.
pub type Owner = Option<(Instance, i64)>;

impl ShardClient {
    /// R8: unlinks the counters of every slice that the shard does not list, and those of every other instance; tells
    /// `progress` after each step how many.
    ///
    /// # Errors
    /// [`ShardError`]. What was unlinked by then is gone; calling it again goes on.
    pub async fn sweep(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        mut progress: impl FnMut(u64),
    ) -> Result<(), ShardError> {
        let shard = self.positions(redis, keys).await?;
        let listed: BTreeSet<(Instance, i64)> =
            shard.iter().flat_map(|shard| shard.slices.iter().map(move |slice| (shard.instance, *slice))).collect();
        let mut garbage: BTreeMap<Owner, Vec<String>> = BTreeMap::new();
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
                .map_err(|source| refused(keys, "scan for the counters of", source))?;
            for key in found {
                let owner = keys.slice_of(&key);
                if !owner.is_some_and(|slice| listed.contains(&slice)) {
                    garbage.entry(owner).or_default().push(key);
                }
            }
            for (owner, found) in &mut garbage {
                while found.len() >= UNLINK_KEYS || (next == 0 && !found.is_empty()) {
                    let step = found.split_off(found.len().saturating_sub(UNLINK_KEYS));
                    progress(self.unlink(redis, keys, *owner, &step).await?);
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    /// R8: unlinks those counters, unless the shard still lists the slice that owns them; returns how many keys are gone.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn unlink(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        owner: Owner,
        counters: &[String],
    ) -> Result<u64, ShardError> {
        let arguments = owner.map(|(instance, slice)| [instance.to_string(), slice.to_string()]).unwrap_or_default();
        call(redis, keys, "unlink counters of", &self.scripts.unlink, counters, &arguments).await
    }
}
