//! The check that a server can hold a speed view.

use ::redis::aio::ConnectionLike;
use ::redis::{Cmd, InfoDict};
use futures::future::try_join_all;
use tracing::warn;

use super::cluster::{Address, Cluster, Login};
use super::{Connection, RedisError};

/// The oldest major version with script flags. A full Redis can only be emptied by scripts with the flag `allow-oom`.
const OLDEST_MAJOR: u32 = 7;

/// A node of a cluster that could not be asked whether it is fit.
#[derive(Debug)]
pub struct Unreachable {
    /// Its host and port, as the cluster names them.
    pub address: String,
    /// Why it could not be asked.
    pub source: ::redis::RedisError,
}

/// Checks the version and the eviction policy, of a cluster those of every node that its slots name: a replica may be the primary tomorrow. Where
/// `CONFIG` is forbidden, as on managed servers, the policy is read from `INFO memory`.
///
/// Returns the nodes of a cluster that could not be asked, which the log names as well. They are no failure, since the other primaries'
/// partitions are counted meanwhile.
///
/// # Errors
///
/// [`RedisError::TooOld`] or [`RedisError::Evicts`], which say what to change; [`RedisError::Ask`] or
/// [`RedisError::Missing`] if the server does not tell; [`RedisError::Connect`] if no node of a cluster can be asked.
pub async fn check(connection: &mut Connection) -> Result<Vec<Unreachable>, RedisError> {
    match connection {
        Connection::Cluster(cluster) => check_each(cluster).await,
        Connection::One(_) | Connection::Watched(_) => check_one(connection).await.map(|()| Vec::new()),
    }
}

async fn check_each(cluster: &mut Cluster) -> Result<Vec<Unreachable>, RedisError> {
    let ask = |source| RedisError::Ask { what: "the nodes of its slots", source };
    let (addresses, login) = (cluster.addresses().await.map_err(ask)?, cluster.login());
    if addresses.is_empty() {
        return Err(RedisError::Missing { what: "slots" });
    }
    let asked = addresses.iter().map(|address| check_node(&login, address));
    let mut unreachable: Vec<Unreachable> = try_join_all(asked).await?.into_iter().flatten().collect();
    if unreachable.len() == addresses.len() {
        let address = addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(",");
        return Err(RedisError::Connect { address, source: unreachable.swap_remove(0).source });
    }
    for Unreachable { address, source } in &unreachable {
        warn!(
            address,
            error = %source,
            "a node of the redis cluster cannot be asked for its version and its maxmemory-policy"
        );
    }
    Ok(unreachable)
}

/// Checks a node by a connection of its own.
async fn check_node(login: &Login, address: &Address) -> Result<Option<Unreachable>, RedisError> {
    let unreachable = |source| Ok(Some(Unreachable { address: address.to_string(), source }));
    let mut node = match login.connect(address).await {
        Ok(node) => node,
        Err(source) => return unreachable(source),
    };
    match check_one(&mut node).await {
        Ok(()) => Ok(None),
        Err(RedisError::Ask { source, .. }) if source.is_io_error() => unreachable(source),
        Err(error) => Err(error),
    }
}

async fn check_one(server: &mut impl ConnectionLike) -> Result<(), RedisError> {
    let version: String =
        info(server, "server").await?.get("redis_version").ok_or(RedisError::Missing { what: "version" })?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.ok_or(RedisError::Missing { what: "version" })? < OLDEST_MAJOR {
        return Err(RedisError::TooOld { version });
    }
    let policy = match configured_policy(server).await {
        Some(policy) => policy,
        None => {
            let memory = info(server, "memory").await?;
            memory.get("maxmemory_policy").ok_or(RedisError::Missing { what: "maxmemory-policy" })?
        }
    };
    if policy == "noeviction" { Ok(()) } else { Err(RedisError::Evicts { policy }) }
}

async fn info(server: &mut impl ConnectionLike, section: &'static str) -> Result<InfoDict, RedisError> {
    let answer = command(&["INFO", section]).query_async(server).await;
    answer.map_err(|source| RedisError::Ask { what: section, source })
}

/// The policy from `CONFIG GET`; nothing if the server forbids that command or does not know it.
async fn configured_policy(server: &mut impl ConnectionLike) -> Option<String> {
    let pairs: Vec<(String, String)> =
        command(&["CONFIG", "GET", "maxmemory-policy"]).query_async(server).await.ok()?;
    pairs.into_iter().find(|(name, _)| name == "maxmemory-policy").map(|(_, policy)| policy)
}

fn command(words: &[&str]) -> Cmd {
    let mut command = ::redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}
