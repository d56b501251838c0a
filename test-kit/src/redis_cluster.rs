//! A Redis Cluster of a test's own: three primaries, each with a replica, on 127.0.0.1.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ports::free_port;
use crate::redis::Redis;
use crate::wait::{DEADLINE, Progress, wait_for};

/// How many slots a cluster has.
const SLOTS: usize = 16_384;
const PRIMARIES: usize = 3;
/// How long a node may be silent before the others replace it, in milliseconds.
const NODE_TIMEOUT_MS: &str = "2500";
/// How many keys move at a time.
const KEYS_AT_ONCE: &str = "20";

/// Six servers, numbered from 0; at the start the first three are primaries. Dropping it kills them. They keep nothing.
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

/// A slot on its way from one primary to another.
pub struct MovingSlot<'a> {
    cluster: &'a RedisCluster,
    slot: String,
    from: usize,
    to: usize,
}

/// What a node says of another one.
struct Seen {
    port: u16,
    is_primary: bool,
    slots: Vec<(usize, usize)>,
}

impl RedisCluster {
    /// Starts an empty cluster in temporary folders.
    pub async fn start() -> Result<RedisCluster> {
        RedisCluster::launch(None).await
    }

    /// Starts an empty cluster whose files lie in `folder`.
    pub async fn start_in(folder: &Path) -> Result<RedisCluster> {
        RedisCluster::launch(Some(folder)).await
    }

    async fn launch(folder: Option<&Path>) -> Result<RedisCluster> {
        let mut nodes = Vec::new();
        for number in 0..2 * PRIMARIES {
            let bus = free_port()?.to_string();
            let flags = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", bus.as_str()],
                ["--cluster-node-timeout", NODE_TIMEOUT_MS],
                ["--cluster-replica-validity-factor", "0"],
                ["--cluster-require-full-coverage", "no"],
                ["--repl-diskless-sync-delay", "0"],
            ];
            let folder = folder.map(|folder| folder.join(format!("node-{number}")));
            let node = Redis::node_in(folder.as_deref(), flags.as_flattened()).await?;
            nodes.push((node, bus));
        }
        for (number, (node, _)) in nodes.iter().enumerate() {
            // Two nodes that both think they have the same epoch would have to agree first.
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await?;
            if number < PRIMARIES {
                let (first, end) = (number * SLOTS / PRIMARIES, (number + 1) * SLOTS / PRIMARIES);
                let (first, last) = (first.to_string(), (end - 1).to_string());
                node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
            }
        }
        for (node, bus) in &nodes[1..] {
            nodes[0].0.command(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]).await?;
        }
        let nodes = nodes.into_iter().map(|(node, _)| node).collect();
        let cluster = RedisCluster { nodes };
        wait_for("the nodes to know each other", DEADLINE, async || {
            for node in 0..cluster.nodes.len() {
                let seen = cluster.seen_by(node).await?;
                if seen.len() < cluster.nodes.len() {
                    return Ok(Progress::NotYet(format!("node {node} knows {}", seen.len())));
                }
            }
            Ok(Progress::Done(()))
        })
        .await?;
        for primary in 0..PRIMARIES {
            let id: String = cluster.nodes[primary].ask(&["CLUSTER", "MYID"]).await?;
            cluster.nodes[primary + PRIMARIES].command(&["CLUSTER", "REPLICATE", &id]).await?;
        }
        wait_for("the nodes to know the replicas", DEADLINE, async || {
            for node in 0..cluster.nodes.len() {
                let primaries = cluster.seen_by(node).await?.iter().filter(|seen| seen.is_primary).count();
                if primaries > PRIMARIES {
                    return Ok(Progress::NotYet(format!("node {node} knows {primaries} primaries")));
                }
            }
            Ok(Progress::Done(()))
        })
        .await?;
        cluster.in_step().await?;
        Ok(cluster)
    }

    /// `redis-cluster://…` with the first three nodes.
    pub fn url(&self) -> String {
        let nodes: Vec<String> =
            self.nodes[..PRIMARIES].iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    /// One of the servers.
    pub fn node(&self, number: usize) -> &Redis {
        &self.nodes[number]
    }

    /// One of the servers, to be killed or restarted.
    pub fn node_mut(&mut self, number: usize) -> &mut Redis {
        &mut self.nodes[number]
    }

    /// The primaries by their numbers, and how many keys each has.
    pub async fn primaries(&self) -> Result<Vec<(usize, u64)>> {
        let mut primaries = Vec::new();
        for seen in self.seen().await?.into_iter().filter(|seen| seen.is_primary && !seen.slots.is_empty()) {
            let number = self.number(seen.port)?;
            primaries.push((number, self.nodes[number].ask(&["DBSIZE"]).await?));
        }
        Ok(primaries)
    }

    /// The primary with the most keys.
    pub async fn busiest(&self) -> Result<usize> {
        let busiest = self.primaries().await?.into_iter().max_by_key(|(_, keys)| *keys);
        Ok(busiest.context("there is no primary")?.0)
    }

    /// The primary that a key belongs to.
    pub async fn primary_of(&self, key: &str) -> Result<usize> {
        let slot: usize = self.alive().await?.ask(&["CLUSTER", "KEYSLOT", key]).await?;
        let holds = |seen: &Seen| seen.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot));
        let seen = self.seen().await?.into_iter().find(|seen| seen.is_primary && holds(seen));
        self.number(seen.with_context(|| format!("nobody holds slot {slot}"))?.port)
    }

    /// Waits until its replica has the slots of a primary that was killed, and all others have heard of it. Returns the replica's number.
    pub async fn replaced(&self, lost: usize) -> Result<usize> {
        let port = self.nodes[lost].port();
        wait_for(&format!("another primary instead of node {lost}"), DEADLINE, async || {
            for (number, _) in self.nodes.iter().enumerate().filter(|(_, node)| node.id().is_ok()) {
                let seen = self.seen_by(number).await?;
                let primaries = || seen.iter().filter(|seen| seen.is_primary && seen.port != port);
                let held: usize = primaries().flat_map(|seen| &seen.slots).map(|(first, last)| last - first + 1).sum();
                if held < SLOTS {
                    return Ok(Progress::NotYet(format!("node {number} knows who holds {held} slots")));
                }
            }
            Ok(Progress::Done((lost + PRIMARIES) % self.nodes.len()))
        })
        .await
    }

    /// Waits until all nodes run well together, and every replica has what was written to its primary by now.
    pub async fn in_step(&self) -> Result<()> {
        let mut written = Vec::new();
        for node in self.nodes.iter().filter(|node| node.id().is_ok()) {
            written.push((node.port(), node.replication().await?.has));
        }
        wait_for("replicas in step", DEADLINE, async || {
            let mut replicas = 0;
            for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.id().is_ok()) {
                let (state, replication) = (node.ask::<String>(&["CLUSTER", "INFO"]).await?, node.replication().await?);
                let is_in_step = written.iter().any(|(port, written)| replication.is_in_step(*port, *written));
                if !state.contains("cluster_state:ok") || !(replication.is_primary || is_in_step) {
                    return Ok(Progress::NotYet(format!("node {number}: {state} {replication:?}")));
                }
                replicas += usize::from(is_in_step);
            }
            Ok(Progress::when(replicas >= PRIMARIES, format_args!("{replicas} replicas")))
        })
        .await
    }

    /// Begins to move the slot of a key to another primary. Until it is ended, both hold some of its keys.
    pub async fn begin_move(&self, key: &str, to: usize) -> Result<MovingSlot<'_>> {
        let from = self.primary_of(key).await?;
        ensure!(from != to, "node {to} holds the slot already");
        let slot: usize = self.nodes[from].ask(&["CLUSTER", "KEYSLOT", key]).await?;
        let slot = slot.to_string();
        let (source, target) = (self.id(from).await?, self.id(to).await?);
        self.nodes[to].command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]).await?;
        self.nodes[from].command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]).await?;
        Ok(MovingSlot { cluster: self, slot, from, to })
    }

    async fn id(&self, node: usize) -> Result<String> {
        self.nodes[node].ask(&["CLUSTER", "MYID"]).await
    }

    async fn alive(&self) -> Result<&Redis> {
        self.nodes.iter().find(|node| node.id().is_ok()).context("no node runs")
    }

    async fn seen(&self) -> Result<Vec<Seen>> {
        let alive = self.nodes.iter().position(|node| node.id().is_ok()).context("no node runs")?;
        self.seen_by(alive).await
    }

    async fn seen_by(&self, node: usize) -> Result<Vec<Seen>> {
        let text: String = self.nodes[node].ask(&["CLUSTER", "NODES"]).await?;
        text.lines().map(|line| seen(line).with_context(|| line.to_owned())).collect()
    }

    fn number(&self, port: u16) -> Result<usize> {
        self.nodes.iter().position(|node| node.port() == port).with_context(|| format!("no node has port {port}"))
    }
}

impl MovingSlot<'_> {
    /// Moves some keys. Returns how many are left.
    pub async fn some_keys(&self, at_most: usize) -> Result<usize> {
        let (from, to) = (&self.cluster.nodes[self.from], &self.cluster.nodes[self.to]);
        let keys: Vec<String> = from.ask(&["CLUSTER", "GETKEYSINSLOT", &self.slot, KEYS_AT_ONCE]).await?;
        let port = to.port().to_string();
        let moved = keys.iter().take(at_most).map(String::as_str);
        let words: Vec<&str> =
            ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"].into_iter().chain(moved).collect();
        if !keys.is_empty() {
            // Keys may end by themselves meanwhile: then it answers NOKEY.
            let _: String = from.ask(&words).await?;
        }
        from.ask(&["CLUSTER", "COUNTKEYSINSLOT", &self.slot]).await
    }

    /// Moves the rest, and tells all nodes.
    pub async fn end(self) -> Result<()> {
        while self.some_keys(usize::MAX).await? > 0 {}
        let target = self.cluster.id(self.to).await?;
        let told = [self.to, self.from].into_iter();
        let primaries = self.cluster.primaries().await?.into_iter().map(|(number, _)| number);
        let others = primaries.filter(|number| ![self.to, self.from].contains(number));
        for number in told.chain(others) {
            self.cluster.nodes[number].command(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &target]).await?;
        }
        Ok(())
    }
}

/// Reads a line of `CLUSTER NODES`: `<id> <host>:<port>@<bus> <flags> <primary> <ping> <pong> <epoch> <link> <slot or range> …`.
fn seen(line: &str) -> Option<Seen> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, address, flags, _, _, _, _, _, slots @ ..] = words.as_slice() else { return None };
    let port = address.split('@').next()?.rsplit(':').next()?.parse().ok()?;
    let flags: Vec<&str> = flags.split(',').collect();
    let range = |text: &&str| {
        let (first, last) = text.split_once('-').unwrap_or((*text, *text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    Some(Seen {
        port,
        is_primary: flags.contains(&"master"),
        // Slots that move stand in brackets.
        slots: slots.iter().filter(|slot| !slot.starts_with('[')).map(range).collect::<Option<_>>()?,
    })
}
