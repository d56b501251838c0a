//! What a shard takes of Redis.

use platform::redis::Connection;
use shared_logic::contracts::speed_view::ShardKeys;

use super::{ShardClient, ShardError, refused};

/// Of how many keys Redis is asked at a time.
const KEYS_AT_A_TIME: usize = 64;

impl ShardClient {
    /// How many bytes the shard and its counters take, as Redis estimates it from some fields of each; 0 if there is nothing. It reads the names of
    /// counters, of which there are as many as slices times definitions, and none of the counters.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn memory(&self, redis: &mut Connection, keys: &ShardKeys) -> Result<u64, ShardError> {
        let failed = |source| refused(keys, "measure", source);
        let names: Vec<String> = redis::cmd("HKEYS").arg(keys.names()).query_async(redis).await.map_err(failed)?;
        let all: Vec<String> =
            [keys.shard(), keys.names()].into_iter().chain(names.iter().map(|name| keys.named(name))).collect();
        let mut bytes = 0;
        for some in all.chunks(KEYS_AT_A_TIME) {
            let mut look = redis::pipe();
            for key in some {
                look.cmd("MEMORY").arg("USAGE").arg(key);
            }
            // Of a key that is not there, Redis says nothing.
            let each: Vec<Option<u64>> = look.query_async(redis).await.map_err(failed)?;
            bytes += each.into_iter().flatten().sum::<u64>();
        }
        Ok(bytes)
    }
}
