//! What stands beside Braid, and with which settings.

use anyhow::{Result, anyhow};
use test_kit::fetched::by_with;
use test_kit::free_port;

/// How often Flink takes checkpoints, and Kafka Streams commits where that is not left to its default.
pub(super) const COMMIT_MS: u32 = 2_000;
/// What Kafka Streams does with `exactly_once_v2`, if nothing else is said.
pub(super) const STREAMS_COMMIT_MS: u32 = 100;
pub(super) const STREAMS_CACHE_MIB: u32 = 10;
/// Enough for every counter.
pub(super) const LARGE_CACHE_MIB: u32 = 256;

/// A program that counts with another system; see `e2e-tests/peers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its folder.
    name: &'static str,
    /// Its class.
    pub(super) program: &'static str,
}

impl Peer {
    pub(super) const FLINK: Peer = Peer { name: "flink", program: "FlinkCounts" };
    pub(super) const STREAMS: Peer = Peer { name: "streams", program: "StreamsCounts" };

    /// Fetches and compiles it once per user; what Java finds it by.
    pub(super) fn class_path(self) -> Result<String> {
        let jars =
            by_with("e2e-tests/peer-jars.sh", &[self.name]).map_err(|why| anyhow!("no {}: {why}", self.program))?;
        // The asterisk is Java's own wildcard: all jars of the folder.
        Ok(format!("{0}/classes:{0}/*", jars.display()))
    }
}

/// A system with its settings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rival {
    /// Its state lies in the heap.
    FlinkHeap,
    /// Its state lies in RocksDB.
    FlinkRocksDb,
    /// Commits and cache are left to their defaults.
    Streams,
    /// It commits as seldom as Flink, and its cache holds every counter.
    StreamsLargeCache,
}

impl Rival {
    pub(super) const ALL: [Rival; 4] =
        [Rival::FlinkHeap, Rival::FlinkRocksDb, Rival::Streams, Rival::StreamsLargeCache];

    /// The name of its folder, of its group and of what it writes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Rival::FlinkHeap => "peers-flink-heap",
            Rival::FlinkRocksDb => "peers-flink-rocksdb",
            Rival::Streams => "peers-streams",
            Rival::StreamsLargeCache => "peers-streams-large-cache",
        }
    }

    /// What the page calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Rival::FlinkHeap => "Flink SQL, state in the heap",
            Rival::FlinkRocksDb => "Flink SQL, state in RocksDB",
            Rival::Streams => "Kafka Streams, its defaults",
            Rival::StreamsLargeCache => "Kafka Streams, a large cache and rarer commits",
        }
    }

    /// What it is made of.
    pub(super) fn peer(self) -> Peer {
        match self {
            Rival::FlinkHeap | Rival::FlinkRocksDb => Peer::FLINK,
            Rival::Streams | Rival::StreamsLargeCache => Peer::STREAMS,
        }
    }

    /// What its program is told, beside where it reads and writes.
    pub(super) fn settings(self) -> Result<Vec<String>> {
        match self {
            Rival::FlinkHeap => flink("hashmap"),
            Rival::FlinkRocksDb => flink("rocksdb"),
            Rival::Streams => Ok(streams(STREAMS_COMMIT_MS, STREAMS_CACHE_MIB)),
            Rival::StreamsLargeCache => Ok(streams(COMMIT_MS, LARGE_CACHE_MIB)),
        }
    }
}

fn flink(backend: &str) -> Result<Vec<String>> {
    // Where the cluster in its process says which tasks run.
    let port = free_port()?;
    Ok(vec![COMMIT_MS.to_string(), backend.to_owned(), port.to_string()])
}

fn streams(commit_ms: u32, cache_mib: u32) -> Vec<String> {
    vec![commit_ms.to_string(), (cache_mib << 20).to_string()]
}
