//! The check that a server can hold a speed view.

use ::redis::{Cmd, InfoDict, Value, from_redis_value};

use super::{Connection, RedisError};

/// The oldest major version with script flags. A full Redis can only be emptied by scripts with the flag `allow-oom`.
const OLDEST_MAJOR: u32 = 7;

/// Checks the version and the eviction policy, of a cluster those of every node: a replica may be the primary tomorrow. Where `CONFIG` is
/// forbidden, as on managed servers, the policy is read from `INFO memory`.
///
/// # Errors
///
/// [`RedisError::TooOld`] or [`RedisError::Evicts`], which say what to change; [`RedisError::Ask`] or
/// [`RedisError::Missing`] if the server does not tell.
pub async fn check(connection: &mut Connection) -> Result<(), RedisError> {
    for server in info(connection, "server").await? {
        let version: String = server.get("redis_version").ok_or(RedisError::Missing { what: "version" })?;
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.ok_or(RedisError::Missing { what: "version" })? < OLDEST_MAJOR {
            return Err(RedisError::TooOld { version });
        }
    }
    let policies = match configured_policies(connection).await {
        Some(policies) => policies,
        None => {
            let policy = |memory: InfoDict| {
                memory.get("maxmemory_policy").ok_or(RedisError::Missing { what: "maxmemory-policy" })
            };
            info(connection, "memory").await?.into_iter().map(policy).collect::<Result<Vec<String>, _>>()?
        }
    };
    match policies.into_iter().find(|policy| policy != "noeviction") {
        Some(policy) => Err(RedisError::Evicts { policy }),
        None => Ok(()),
    }
}

async fn info(connection: &mut Connection, section: &'static str) -> Result<Vec<InfoDict>, RedisError> {
    let ask = |source| RedisError::Ask { what: section, source };
    let answers = connection.ask_each(&command(&["INFO", section])).await.map_err(ask)?;
    answers.into_iter().map(|answer| from_redis_value(answer).map_err(|error| ask(error.into()))).collect()
}

/// The policies from `CONFIG GET`; nothing if a server forbids that command or does not know it.
async fn configured_policies(connection: &mut Connection) -> Option<Vec<String>> {
    let answers = connection.ask_each(&command(&["CONFIG", "GET", "maxmemory-policy"])).await.ok()?;
    answers.into_iter().map(policy).collect()
}

fn policy(answer: Value) -> Option<String> {
    let pairs: Vec<(String, String)> = from_redis_value(answer).ok()?;
    pairs.into_iter().find(|(name, _)| name == "maxmemory-policy").map(|(_, policy)| policy)
}

fn command(words: &[&str]) -> Cmd {
    let mut command = ::redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}
