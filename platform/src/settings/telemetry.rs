//! The section `[telemetry]`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::bounds::not_zero;
use super::{Secret, SettingsError, Span};

/// Logs and the processes' own counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// What is logged: a level, or directives such as `info,speed_layer=debug`. Default `info`.
    pub log: String,
    /// The form of a log line. Default `text`.
    pub format: LogFormat,
    /// How often the serving layer reads how old answers are, how far the layers are behind and what is missing, to tell it as gauges.
    /// Default `5s`.
    pub gauges_every: Span,
    /// Where every process answers `/metrics` and `/healthz`; by default they do not. The serving layer answers them on
    /// `http.listen`, too, but `/metrics` there only as long as it asks for no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The address of a collector of OpenTelemetry's traces, `http://host:4318`, which takes OTLP over HTTP as JSON. Only programs that are built
    /// with the feature `otel` tell it of spans; others refuse the setting. By default nothing is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<Secret>,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry {
            log: "info".to_owned(),
            format: LogFormat::Text,
            gauges_every: Span::from_secs(5),
            listen: None,
            traces: None,
        }
    }
}

impl Telemetry {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        not_zero("telemetry.gauges_every", self.gauges_every)
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
