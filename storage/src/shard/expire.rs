//! R8: the counters of slices that were dropped are unlinked afterwards, in bounded steps, and so are those of an earlier
//! instance of the shard.
//!
//! They are found by their names, which Redis keeps beside the shard from before they are first written until they are unlinked.
//! So what a killed worker left behind goes with the next sweep, and a sweep costs nothing for what else lies in that Redis.

use std::collections::{BTreeMap, BTreeSet};

use platform::redis::Connection;
use shared_logic::contracts::speed_view::{Instance, ShardKeys};

use super::{ShardClient, ShardError, call, refused};

/// How many keys one script unlinks.
const UNLINK_KEYS: usize = 500;

/// The instance and the slice that counters belong to.
pub type Owner = (Instance, i64);

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
        let listed: BTreeSet<Owner> =
            shard.iter().flat_map(|shard| shard.slices.iter().map(move |slice| (shard.instance, *slice))).collect();
        let names: Vec<String> = redis::cmd("HKEYS")
            .arg(keys.names())
            .query_async(redis)
            .await
            .map_err(|source| refused(keys, "read the names of the counters of", source))?;
        let mut garbage: BTreeMap<Owner, Vec<String>> = BTreeMap::new();
        for name in names {
            if let Some(owner) = ShardKeys::owner(&name).filter(|owner| !listed.contains(owner)) {
                garbage.entry(owner).or_default().push(keys.named(&name));
            }
        }
        for (owner, counters) in garbage {
            for step in counters.chunks(UNLINK_KEYS) {
                progress(self.unlink(redis, keys, owner, step).await?);
            }
        }
        Ok(())
    }

    /// R8: unlinks those counters, unless the shard still lists the slice that owns them; returns how many keys are gone.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn unlink(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        (instance, slice): Owner,
        counters: &[String],
    ) -> Result<u64, ShardError> {
        let declared: Vec<String> = [keys.names()].into_iter().chain(counters.iter().cloned()).collect();
        let arguments = [instance.to_string(), slice.to_string()];
        call(redis, keys, "unlink counters of", &self.scripts.unlink, &declared, &arguments).await
    }

    /// K9: removes a shard of a version that is retired, and all of its counters, in bounded steps; tells `progress` after each how many
    /// keys are gone. The shard goes first: from then on nothing is counted into it, and whatever is left is found by its name.
    ///
    /// # Errors
    /// [`ShardError`]. What was removed by then is gone; calling it again goes on.
    pub async fn remove(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        mut progress: impl FnMut(u64),
    ) -> Result<(), ShardError> {
        let removed: u64 = redis::cmd("UNLINK")
            .arg(keys.shard())
            .query_async(redis)
            .await
            .map_err(|source| refused(keys, "remove", source))?;
        progress(removed);
        self.sweep(redis, keys, progress).await
    }

    /// R8: whether nothing is left of a shard: neither the shard nor any counters.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn is_gone(&self, redis: &mut Connection, keys: &ShardKeys) -> Result<bool, ShardError> {
        let left: u64 = redis::cmd("EXISTS")
            .arg(keys.shard())
            .arg(keys.names())
            .query_async(redis)
            .await
            .map_err(|source| refused(keys, "look for", source))?;
        Ok(left == 0)
    }
}
