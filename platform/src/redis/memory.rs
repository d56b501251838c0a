//! How much memory Redis has, and how much of it is used.

use ::redis::{InfoDict, Value, from_redis_value};

use super::{Connection, RedisError};

/// The memory of all servers that hold shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// How many bytes are used.
    pub used: u64,
    /// How many there are: `maxmemory`, or where that is not set what the machine has. `None` if a server does not say.
    pub most: Option<u64>,
}

/// Asks the servers that hold shards. Of a cluster, these are its primaries.
///
/// # Errors
///
/// [`RedisError::Ask`].
pub async fn memory(connection: &mut Connection) -> Result<Memory, RedisError> {
    let ask = |source| RedisError::Ask { what: "memory", source };
    let mut command = ::redis::cmd("INFO");
    command.arg("memory");
    let answers = match connection {
        Connection::Cluster(cluster) => cluster.ask_primaries(&command).await,
        Connection::One(_) | Connection::Watched(_) => {
            command.query_async(connection).await.map(|answer: Value| vec![answer])
        }
    };
    let mut memory = Memory { used: 0, most: Some(0) };
    for answer in answers.map_err(ask)? {
        let info: InfoDict = from_redis_value(answer).map_err(|error| ask(error.into()))?;
        memory.used += info.get::<u64>("used_memory").unwrap_or(0);
        let limit = info.get::<u64>("maxmemory").filter(|limit| *limit > 0);
        let most = limit.or_else(|| info.get("total_system_memory"));
        memory.most = memory.most.zip(most).map(|(before, own)| before + own);
    }
    Ok(memory)
}
