//! The section `[telemetry]`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Logs and the processes' own counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// What is logged: a level, or directives such as `info,speed_layer=debug`. Default `info`.
    pub log: String,
    /// The form of a log line. Default `text`.
    pub format: LogFormat,
    /// Where every process answers `/metrics` and `/healthz`; by default they do not. The serving layer answers them on
    /// `http.listen`, too, but `/metrics` there only as long as it asks for no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry { log: "info".to_owned(), format: LogFormat::Text, listen: None }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: one line for each message, coloured on a terminal.
    Text,
    /// For machines: one JSON object a line.
    Json,
}
