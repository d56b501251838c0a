//! How much memory Redis has, and how much of it is used.

use ::redis::aio::ConnectionLike;
use ::redis::{InfoDict, RedisResult};
use futures::future::join_all;

use super::cluster::{Address, Login};
use super::{Connection, RedisError, is_back_pressure};

/// The memory of all servers that hold shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// How many bytes are used.
    pub used: u64,
    /// How many there are: `maxmemory`, or where that is not set what the machine has. `None` if a server does not say.
    pub most: Option<u64>,
    /// The primaries of a cluster that could not be asked, by host and port, so that what they have and use is not known.
    pub unasked: Vec<String>,
}

/// Asks the servers that hold shards. Of a cluster, these are its primaries, each by a connection of its own: the client knows nothing of those
/// that it is not connected to.
///
/// # Errors
///
/// [`RedisError::Ask`].
pub async fn memory(connection: &mut Connection) -> Result<Memory, RedisError> {
    let ask = |source| RedisError::Ask { what: "memory", source };
    let mut memory = Memory { most: Some(0), ..Memory::default() };
    match connection {
        Connection::Cluster(cluster) => {
            let (primaries, login) = (cluster.primaries().await.map_err(ask)?, cluster.login());
            let answers = join_all(primaries.iter().flatten().map(|address| of_node(&login, address))).await;
            for (address, answer) in primaries.iter().flatten().zip(answers) {
                match answer {
                    Ok(said) => memory.add(&said),
                    Err(error) if is_back_pressure(&error) => memory.lack(address.to_string()),
                    Err(error) => return Err(ask(error)),
                }
            }
            if primaries.contains(&None) {
                memory.lack("one of which no node knows where it is".to_owned());
            }
        }
        Connection::One(_) | Connection::Watched(_) => memory.add(&said_by(connection).await.map_err(ask)?),
    }
    Ok(memory)
}

impl Memory {
    fn add(&mut self, said: &InfoDict) {
        self.used += said.get::<u64>("used_memory").unwrap_or(0);
        let limit = said.get::<u64>("maxmemory").filter(|limit| *limit > 0);
        let most = limit.or_else(|| said.get("total_system_memory"));
        self.most = self.most.zip(most).map(|(before, own)| before + own);
    }

    fn lack(&mut self, primary: String) {
        self.unasked.push(primary);
        self.most = None;
    }
}

async fn of_node(login: &Login, address: &Address) -> RedisResult<InfoDict> {
    let mut node = login.connect(address).await?;
    said_by(&mut node).await
}

async fn said_by(server: &mut impl ConnectionLike) -> RedisResult<InfoDict> {
    let mut command = ::redis::cmd("INFO");
    command.arg("memory");
    command.query_async(server).await
}
