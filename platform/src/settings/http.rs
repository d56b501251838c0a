//! The section `[http]`.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::bounds::{at_least_one, at_least_one_kibibyte, not_zero};
use super::{SettingsError, Size, Span};

/// The public HTTP interface of the serving layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one. Only this machine can connect by default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The longest that a request may take; after that it is answered with an error. Its body may take as long to arrive. Default `10s`.
    pub request_timeout: Span,
    /// The most bytes that a request may bring as its body. Default `256KiB`.
    pub max_body: Size,
    /// The most group keys in one request for totals or series. Default 100.
    pub max_keys: usize,
    /// The most points in one series, of all its keys together. Default 10,000.
    pub max_points: usize,
    /// The most queries in one request to `/v1/query`. Default 20.
    pub max_queries: usize,
    /// How long open requests may go on after a signal to stop. Default `10s`.
    pub shutdown: Span,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            request_timeout: Span::from_secs(10),
            max_body: Size::from_bytes(256 << 10),
            max_keys: 100,
            max_points: 10_000,
            max_queries: 20,
            shutdown: Span::from_secs(10),
        }
    }
}

impl Http {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        at_least_one_kibibyte("http.max_body", self.max_body)?;
        at_least_one("http.max_keys", self.max_keys as u64)?;
        at_least_one("http.max_points", self.max_points as u64)?;
        at_least_one("http.max_queries", self.max_queries as u64)?;
        not_zero("http.request_timeout", self.request_timeout)
    }
}
