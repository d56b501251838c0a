//! The check that a server can hold a speed view.

use ::redis::{InfoDict, RedisResult, Value};

use super::{Connection, RedisError};

/// The oldest major version with script flags. A full Redis can only be emptied by scripts with the flag `allow-oom`.
const OLDEST_MAJOR: u32 = 7;

/// Checks the version and the eviction policy. Where `CONFIG` is forbidden, as on managed servers, the policy is read from
/// `INFO memory`.
///
/// # Errors
///
/// [`RedisError::TooOld`] or [`RedisError::Evicts`], which say what to change; [`RedisError::Ask`] or
/// [`RedisError::Missing`] if the server does not tell.
pub async fn check(connection: &mut Connection) -> Result<(), RedisError> {
    let server = info(connection, "server").await?;
    let version: String = server.get("redis_version").ok_or(RedisError::Missing { what: "version" })?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.ok_or(RedisError::Missing { what: "version" })? < OLDEST_MAJOR {
        return Err(RedisError::TooOld { version });
    }
    let policy = match configured_policy(connection).await {
        Some(policy) => policy,
        None => info(connection, "memory")
            .await?
            .get("maxmemory_policy")
            .ok_or(RedisError::Missing { what: "maxmemory-policy" })?,
    };
    if policy == "noeviction" { Ok(()) } else { Err(RedisError::Evicts { policy }) }
}

async fn info(connection: &mut Connection, section: &'static str) -> Result<InfoDict, RedisError> {
    let mut command = ::redis::cmd("INFO");
    command.arg(section);
    command.query_async(connection).await.map_err(|source| RedisError::Ask { what: section, source })
}

/// The policy from `CONFIG GET`; nothing if the server forbids that command or does not know it.
async fn configured_policy(connection: &mut Connection) -> Option<String> {
    let mut command = ::redis::cmd("CONFIG");
    command.arg("GET").arg("maxmemory-policy");
    let answer: RedisResult<Value> = command.query_async(connection).await;
    let pairs: Vec<(String, String)> = ::redis::from_redis_value(answer.ok()?).ok()?;
    pairs.into_iter().find(|(name, _)| name == "maxmemory-policy").map(|(_, policy)| policy)
}
