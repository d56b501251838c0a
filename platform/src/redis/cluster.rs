//! A Redis Cluster. Each shard lies in one slot, because all of its keys have the same hash tag; a primary holds some of the slots.
//!
//! The client finds the primary of a slot, follows it when it moves, and asks again once for another one when it is lost. It sends a
//! pipeline to one slot only. So a look at several shards is divided here by hash tag and put together again, in the order in which it was
//! asked; each shard is still read at one moment, which is all that a look promises (R10).
//!
//! A script is loaded where it runs: a node that does not know it gets it as text. Loading it beforehand would need every node, and the node to
//! which a slot moves is not always one that the client knows by then.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster::ClusterClientBuilder;
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    Arg, AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline,
    RedisError as ClientError, RedisResult, Script, ServerErrorKind, Value, from_redis_value,
};
use futures::future::try_join_all;

use super::{RedisError, at, info, not_a_url};
use crate::settings;

/// How often the client itself sends a command again: after it was sent to another node, was refused while a slot moves, or found its
/// connection lost. All of that takes `redis.response_timeout` at most. After that the sender waits, as for one server.
const RETRIES: u32 = 4;
/// The wait before it sends again, in milliseconds.
const RETRY_WAIT_MS: std::ops::Range<u64> = 20..200;

/// A connection to all primaries of a cluster.
#[derive(Clone)]
pub struct Cluster {
    nodes: ClusterConnection,
    scripts: Arc<Scripts>,
    login: Arc<Login>,
}

/// How to connect to one node alone. The client says nothing of a node that it is not connected to, as if the cluster had none there.
pub(super) struct Login {
    /// Of a node that was named; all log in alike.
    info: ConnectionInfo,
    config: AsyncConnectionConfig,
}

/// Where a node is, as the cluster says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    host: String,
    port: u16,
}

/// The text of each script by its hash, once it was needed. There are some twenty.
type Scripts = RwLock<HashMap<Vec<u8>, Arc<[u8]>>>;

impl Cluster {
    /// Connects to a cluster, some of whose nodes have these URLs. One that answers is enough.
    pub(super) async fn connect(nodes: &[String], settings: &settings::Redis) -> Result<Cluster, RedisError> {
        let infos = nodes.iter().map(|node| info(node)).collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<String> = infos.iter().map(|info| info.addr().to_string()).collect();
        let of_one = infos.first().cloned().ok_or(RedisError::Missing { what: "nodes" })?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout.get()))
            .set_response_timeout(Some(settings.response_timeout.get()));
        let login = Arc::new(Login { info: of_one, config });
        let client = ClusterClientBuilder::new(infos)
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            // It waits for nodes that are silent, first for those that are named here and then for those that they name.
            .connection_timeout(settings.connect_timeout.get() / 3)
            .response_timeout(settings.response_timeout.get())
            .retries(RETRIES)
            .min_retry_wait(RETRY_WAIT_MS.start)
            .max_retry_wait(RETRY_WAIT_MS.end)
            .build()
            .map_err(not_a_url)?;
        let connected = tokio::time::timeout(settings.connect_timeout.get(), client.get_async_connection()).await;
        let connected = connected.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
        let nodes = connected.map_err(|source| RedisError::Connect { address: addresses.join(","), source })?;
        Ok(Cluster { nodes, scripts: Arc::default(), login })
    }

    /// Sends a command to the primary of its slot.
    pub(super) async fn command(&mut self, command: &Cmd) -> RedisResult<Value> {
        match (word(command, 0), word(command, 1)) {
            (Some(b"EVALSHA"), Some(hash)) => self.script(command, hash).await,
            (Some(b"SCRIPT"), Some(b"LOAD")) => Ok(self.keep(word(command, 2).unwrap_or_default())),
            _ => self.nodes.req_packed_command(command).await,
        }
    }

    /// Sends the commands of a pipeline, those of each slot together. The answers are in their order.
    pub(super) async fn commands(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if is_of_one_slot(pipeline) {
            return self.nodes.req_packed_commands(pipeline, offset, count).await;
        }
        let asked = parts(pipeline).into_iter().map(|Part { numbers, pipeline }| {
            let mut nodes = self.nodes.clone();
            async move {
                let answers = nodes.req_packed_commands(&pipeline, 0, numbers.len()).await?;
                if answers.len() != numbers.len() {
                    let what = "a part of a pipeline has another number of answers";
                    return Err(ClientError::from((ErrorKind::UnexpectedReturnType, what)));
                }
                Ok(numbers.into_iter().zip(answers))
            }
        });
        let mut answers = vec![Value::Nil; count];
        for (number, answer) in try_join_all(asked).await?.into_iter().flatten() {
            answers[number] = answer;
        }
        Ok(answers)
    }

    /// Where the primaries are that have slots, also those that are away, and their replicas that are not known to be away.
    pub(super) async fn addresses(&mut self) -> RedisResult<BTreeSet<Address>> {
        Ok(addresses(self.slots().await?, self.login.host())?.into_iter().flatten().flatten().collect())
    }

    /// Where the primaries are that have slots, also those that are away; `None` for one of which that is not known.
    pub(super) async fn primaries(&mut self) -> RedisResult<BTreeSet<Option<Address>>> {
        let ranges = addresses(self.slots().await?, self.login.host())?;
        Ok(ranges.into_iter().filter_map(|nodes| nodes.into_iter().next()).collect())
    }

    /// Which nodes have which slots, as one of them says.
    async fn slots(&mut self) -> RedisResult<Value> {
        let mut command = ::redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        self.nodes.route_command(command, routing).await?.extract_error()
    }

    /// How to connect to one node alone.
    pub(super) fn login(&self) -> Arc<Login> {
        Arc::clone(&self.login)
    }

    /// Runs a script by its hash or, where the node does not know it, by its text.
    async fn script(&mut self, command: &Cmd, hash: &[u8]) -> RedisResult<Value> {
        let answer = self.nodes.req_packed_command(command).await;
        if !is_unknown_script(&answer) {
            return answer;
        }
        let text = self.scripts.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned();
        // Who has not loaded it yet does so now, and sends the same again.
        let Some(text) = text else { return answer };
        let mut by_text = Cmd::with_capacity(command.args_iter().len(), text.len());
        by_text.arg("EVAL").arg(&*text);
        for argument in command.args_iter().skip(2) {
            if let Arg::Simple(argument) = argument {
                by_text.arg(argument);
            }
        }
        self.nodes.req_packed_command(&by_text).await
    }

    /// Keeps a script for the nodes that will need it. Answers as a server does that has loaded it.
    fn keep(&self, text: &[u8]) -> Value {
        let hash = Script::new(&String::from_utf8_lossy(text)).get_hash().as_bytes().to_vec();
        self.scripts.write().unwrap_or_else(PoisonError::into_inner).insert(hash.clone(), text.into());
        Value::BulkString(hash)
    }
}

impl Login {
    /// Connects to the node at that address.
    pub(super) async fn connect(&self, address: &Address) -> RedisResult<MultiplexedConnection> {
        let client = Client::open(at(&self.info, address.host.clone(), address.port))?;
        client.get_multiplexed_async_connection_with_config(&self.config).await
    }

    fn host(&self) -> &str {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            _ => "",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The addresses in an answer to `CLUSTER SLOTS`, `[[first, last, [host, port, …], …], …]`, of each range that of its primary first. A node that
/// does not know its own host has the one by which a node was named; of another one it may not know where that is.
fn addresses(slots: Value, named: &str) -> RedisResult<Vec<Vec<Option<Address>>>> {
    let mut ranges = Vec::new();
    for range in from_redis_value::<Vec<Vec<Value>>>(slots)? {
        let mut nodes = Vec::new();
        for node in range.into_iter().skip(2) {
            let mut words = from_redis_value::<Vec<Value>>(node)?.into_iter();
            let (Some(host), Some(port)) = (words.next(), words.next()) else { continue };
            let host = from_redis_value::<Option<String>>(host)?;
            let host = host.filter(|host| !matches!(host.as_str(), "" | "0.0.0.0" | "::"));
            let host = host.unwrap_or_else(|| named.to_owned());
            // So a node says of another one that it does not know where that is. Nobody can ask it.
            let is_known = host != "?";
            let address = Address { host, port: from_redis_value(port)? };
            nodes.push(is_known.then_some(address));
        }
        ranges.push(nodes);
    }
    Ok(ranges)
}

/// The commands of a pipeline that belong to one slot, and their numbers in it.
struct Part {
    numbers: Vec<usize>,
    pipeline: Pipeline,
}

/// Whether a pipeline need not be divided. A transaction cannot be.
fn is_of_one_slot(pipeline: &Pipeline) -> bool {
    let mut tags = pipeline.cmd_iter().map(tag);
    let first = tags.next();
    pipeline.is_transaction() || tags.all(|tag| Some(tag) == first)
}

/// Divides a pipeline by hash tags: what has the same tag lies in the same slot.
fn parts(pipeline: &Pipeline) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut by_tag: HashMap<&[u8], usize> = HashMap::new();
    for (number, command) in pipeline.cmd_iter().enumerate() {
        let part = *by_tag.entry(tag(command)).or_insert_with(|| {
            parts.push(Part { numbers: Vec::new(), pipeline: Pipeline::new() });
            parts.len() - 1
        });
        parts[part].numbers.push(number);
        parts[part].pipeline.add_command(command.clone());
    }
    parts
}

/// The hash tag of the first key of a command, or the whole key if it has none; empty if the command has no key.
fn tag(command: &Cmd) -> &[u8] {
    let key = match word(command, 0) {
        Some(b"EVAL" | b"EVALSHA") => word(command, 3),
        Some(b"MEMORY") => word(command, 2),
        _ => word(command, 1),
    };
    let key = key.unwrap_or_default();
    let within = key.iter().position(|byte| *byte == b'{').map(|open| &key[open + 1..]);
    let tag = within.and_then(|within| within.iter().position(|byte| *byte == b'}').map(|close| &within[..close]));
    tag.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

fn word(command: &Cmd, number: usize) -> Option<&[u8]> {
    match command.args_iter().nth(number)? {
        Arg::Simple(word) => Some(word),
        _ => None,
    }
}

fn is_unknown_script(answer: &RedisResult<Value>) -> bool {
    match answer {
        Ok(Value::ServerError(error)) => error.kind() == Some(ServerErrorKind::NoScript),
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::Server(ServerErrorKind::NoScript),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_divided_by_hash_tags_and_keeps_its_order() {
        let mut look = ::redis::pipe();
        look.cmd("HMGET").arg("braid:{a}:shard").arg("cursor");
        look.cmd("MEMORY").arg("USAGE").arg("braid:{b}:shard");
        look.cmd("HLEN").arg("braid:{a}:c:1");
        look.cmd("PING");
        let divided: Vec<Vec<usize>> = parts(&look).into_iter().map(|part| part.numbers).collect();
        assert_eq!(divided, [vec![0, 2], vec![1], vec![3]]);
        assert_eq!(parts(&look)[0].pipeline.len(), 2);
        assert!(!is_of_one_slot(&look));
        let mut one = ::redis::pipe();
        one.cmd("LLEN").arg("braid:{a}:changes").cmd("HLEN").arg("braid:{a}:c:1");
        assert!(is_of_one_slot(&one) && is_of_one_slot(&Pipeline::new()));
    }

    #[test]
    fn slots_name_each_node_once_and_those_that_have_no_host_yet() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(Vec::new())]);
        let range = |first, last, nodes: Vec<Value>| {
            Value::Array([Value::Int(first), Value::Int(last)].into_iter().chain(nodes).collect())
        };
        let slots = Value::Array(vec![
            range(0, 9, vec![node(text("10.0.0.1"), 7000), node(text("10.0.0.2"), 7001)]),
            range(10, 10, vec![node(text(""), 7002), node(text("?"), 7003), node(text("0.0.0.0"), 7002)]),
            range(11, 16_383, vec![node(text("10.0.0.1"), 7000), node(Value::Nil, 7004)]),
        ]);
        let ranges = addresses(slots, "redis.example").expect("read");
        let text = |node: &Option<Address>| node.as_ref().map_or("?".to_owned(), Address::to_string);
        let primaries: Vec<String> = ranges.iter().map(|nodes| text(&nodes[0])).collect();
        assert_eq!(primaries, ["10.0.0.1:7000", "redis.example:7002", "10.0.0.1:7000"]);
        let named: BTreeSet<String> = ranges.iter().flatten().map(text).collect();
        let expected = ["10.0.0.1:7000", "10.0.0.2:7001", "?", "redis.example:7002", "redis.example:7004"];
        assert!(named.iter().eq(&expected), "{named:?}");
        assert!(addresses(Value::Int(3), "redis.example").is_err());
    }

    #[test]
    fn a_key_without_a_tag_is_its_own() {
        let of = |key: &str| tag(::redis::cmd("GET").arg(key)).to_vec();
        assert_eq!(of("x{t}y{u}"), b"t");
        for whole in ["plain", "x{}y", "x{open", "x}y{"] {
            assert_eq!(of(whole), whole.as_bytes(), "{whole}");
        }
        let mut script = ::redis::cmd("EVALSHA");
        script.arg("hash").arg(1).arg("{t}:shard");
        assert_eq!(tag(&script), b"t");
    }
}
