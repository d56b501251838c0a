//! The sections that bound what the processes do: HTTP, speed, archive, reconcile, serving, telemetry.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Size, Span};

/// The public HTTP interface of the serving layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one. Loopback unless told otherwise. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The longest that a request may take before it is answered with an error. Default `10s`.
    pub request_timeout: Span,
    /// The most points in one series. Default 10,000.
    pub max_points: usize,
    /// How long open requests may go on after a signal to stop. Default `10s`.
    pub shutdown: Span,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            request_timeout: Span::from_secs(10),
            max_points: 10_000,
            shutdown: Span::from_secs(10),
        }
    }
}

/// The speed layer's worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Speed {
    /// The most records in one micro-batch, for a source whose metrics count two grouping sets in all; fewer where they count
    /// more. A script takes about 3 µs a counter, and readers wait behind it. Default 32,768.
    pub max_rows: usize,
    /// The most payload bytes in one micro-batch. Default `8MiB`.
    pub max_bytes: Size,
    /// How long a micro-batch waits for more records after its first. Default `50ms`.
    pub linger: Span,
    /// How often an idle shard is asked what happened to it, by an empty micro-batch. Default `1s`.
    pub idle_apply: Span,
    /// The most slices of a shard; a rotate beyond opens none. Default 64.
    pub max_slices: usize,
    /// How long a slice that every view covers stays for readers that still look at an older view. Default `30s`.
    pub drop_grace: Span,
    /// How often slices are looked through for what can be dropped. Default `2s`.
    pub drop_every: Span,
    /// The wait before a refused apply is tried again; doubled up to 32 times this. Default `100ms`.
    pub retry_backoff: Span,
    /// How long the last micro-batches may take after a signal to stop. Default `10s`.
    pub shutdown: Span,
}

impl Default for Speed {
    fn default() -> Speed {
        Speed {
            max_rows: 32_768,
            max_bytes: Size::from_mib(8),
            linger: Span::from_millis(50),
            idle_apply: Span::from_secs(1),
            max_slices: 64,
            drop_grace: Span::from_secs(30),
            drop_every: Span::from_secs(2),
            retry_backoff: Span::from_millis(100),
            shutdown: Span::from_secs(10),
        }
    }
}

/// The batch layer's archiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    /// The most records in one commit. Default 200,000.
    pub max_rows: usize,
    /// The most payload bytes in one commit. Default `64MiB`.
    pub max_bytes: Size,
    /// How long a commit waits for more records after its first. Default `2s`.
    pub linger: Span,
    /// Commits of a table between two checkpoints of its log, when small files are also brought together. Default 50.
    pub checkpoint_every: u64,
    /// How often the topics are asked for new partitions and for their id. Default `5s`.
    pub discover_every: Span,
    /// The wait before a failed commit is tried again; doubled up to 32 times this. Default `200ms`.
    pub retry_backoff: Span,
    /// How long the last commit may take after a signal to stop. Default `20s`.
    pub shutdown: Span,
}

impl Default for Archive {
    fn default() -> Archive {
        Archive {
            max_rows: 200_000,
            max_bytes: Size::from_mib(64),
            linger: Span::from_secs(2),
            checkpoint_every: 50,
            discover_every: Span::from_secs(5),
            retry_backoff: Span::from_millis(200),
            shutdown: Span::from_secs(20),
        }
    }
}

/// The batch layer's reconcile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    /// The longest wait for the archive to cover the rotated offsets; then the cut is what it covers. Default `30s`.
    pub wait: Span,
    /// How often the archive is looked at meanwhile. Default `200ms`.
    pub poll: Span,
    /// How often a commit that met a conflict is planned anew. Default 8.
    pub max_attempts: u32,
    /// The wait before planning anew; doubled each time, with jitter. Default `200ms`.
    pub retry_backoff: Span,
    /// The oldest that a cut may become where a topic is compacted; its `min.compaction.lag.ms` must exceed it.
    /// Default `1d`.
    pub max_cut_age: Span,
    /// How long a reconcile under way may take after a signal to stop. Default `20s`.
    pub shutdown: Span,
}

impl Default for Reconcile {
    fn default() -> Reconcile {
        Reconcile {
            wait: Span::from_secs(30),
            poll: Span::from_millis(200),
            max_attempts: 8,
            retry_backoff: Span::from_millis(200),
            max_cut_age: Span::from_secs(86_400),
            shutdown: Span::from_secs(20),
        }
    }
}

/// The serving layer's caches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serving {
    /// How often batch views, archive and topics are looked at for something new. Default `500ms`.
    pub refresh: Span,
    /// The most memory for batch views kept in the process. Default `1GiB`.
    pub view_memory: Size,
    /// The most memory for finished slices kept in the process. Default `64MiB`.
    pub slice_memory: Size,
}

impl Default for Serving {
    fn default() -> Serving {
        Serving { refresh: Span::from_millis(500), view_memory: Size::from_mib(1024), slice_memory: Size::from_mib(64) }
    }
}

/// Logs and the processes' own counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// What is logged: a level, or directives such as `info,speed_layer=debug`. Default `info`.
    pub log: String,
    /// How a line is written. Default `text`.
    pub format: LogFormat,
    /// Where the speed and batch processes answer `/metrics` and `/healthz`; not at all by default. The serving layer
    /// answers them on `http.listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry { log: "info".to_owned(), format: LogFormat::Text, listen: None }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: one line a message, coloured on a terminal.
    Text,
    /// For machines: one JSON object a line.
    Json,
}
