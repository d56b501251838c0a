//! The sections that say where things are: catalog, Kafka, Redis, store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Properties, Secret, Size, Span};

/// Where the metric definitions are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalog {
    /// The catalog file, absolute or relative to the working directory. Default `catalog.toml`.
    pub path: PathBuf,
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog { path: PathBuf::from("catalog.toml") }
    }
}

/// The event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to begin with, `host:port`, separated by commas. Default `127.0.0.1:9092`.
    pub brokers: String,
    /// The longest that a question about a topic may take. Default `10s`.
    pub request_timeout: Span,
    /// How long a group member may be silent before its partitions go to others; the broker allows 6 s and more.
    /// Default `10s`.
    pub session_timeout: Span,
    /// Payload bytes that one consumer holds ahead of its reader. The memory is about four times this for records of
    /// 140 bytes, as librdkafka adds its own to each; more does not read faster. Default `64MiB`.
    pub fetch_queue: Size,
    /// The most bytes of one partition that one fetch asks for. Default `8MiB`.
    pub fetch_bytes: Size,
    /// Properties passed through to librdkafka (SASL, TLS, tuning). In the environment,
    /// `BRAID__KAFKA__CLIENT__SECURITY_PROTOCOL` is `security.protocol`. What Braid's correctness needs is not
    /// overridden by them.
    pub client: Properties,
}

impl Default for Kafka {
    fn default() -> Kafka {
        Kafka {
            brokers: "127.0.0.1:9092".to_owned(),
            request_timeout: Span::from_secs(10),
            session_timeout: Span::from_secs(10),
            fetch_queue: Size::from_mib(64),
            fetch_bytes: Size::from_mib(8),
            client: Properties::default(),
        }
    }
}

/// The speed view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. Default `redis://127.0.0.1:6379`.
    pub url: Secret,
    /// The longest that connecting may take. Default `5s`.
    pub connect_timeout: Span,
    /// The longest that one reply may take. A script that was given up may still have run; its repeat changes
    /// nothing. Default `2s`.
    pub response_timeout: Span,
}

impl Default for Redis {
    fn default() -> Redis {
        Redis {
            url: Secret::from("redis://127.0.0.1:6379"),
            connect_timeout: Span::from_secs(5),
            response_timeout: Span::from_secs(2),
        }
    }
}

/// The archive and the batch views.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// A folder (absolute or relative to the working directory), or an object store's URL such as
    /// `s3://bucket/prefix`. Default `./data`. Deployments may share it: each has a folder of its name in it.
    pub url: String,
    /// Options of the object store, such as `aws_region`; in the environment `BRAID__STORE__OPTIONS__AWS_REGION`.
    pub options: Properties,
}

impl Default for Store {
    fn default() -> Store {
        Store { url: "./data".to_owned(), options: Properties::default() }
    }
}
