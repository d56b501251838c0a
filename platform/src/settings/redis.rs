//! The section `[redis]`.

use serde::{Deserialize, Serialize};

use super::bounds::not_zero;
use super::{RedisPlace, Secret, SettingsError, Span};

/// The speed view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://[user:password@]host[:port][/database]`; for a cluster `redis-cluster://[user:password@]host[:port],…` with some of its
    /// nodes; for a primary that sentinels watch `redis+sentinel://[user:password@]host[:port],…/SERVICE[/database]` with the sentinels.
    /// `rediss…` instead of `redis…` for TLS. Default `redis://127.0.0.1:6379`.
    pub url: Secret,
    /// The longest that connecting may take. Default `5s`.
    pub connect_timeout: Span,
    /// The longest that one reply may take. A script whose reply did not come in time may still have run; repeating it
    /// changes nothing. Default `2s`.
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

impl Redis {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        RedisPlace::parse(self.url.reveal()).map_err(|reason| SettingsError::invalid("redis.url", reason))?;
        not_zero("redis.connect_timeout", self.connect_timeout)?;
        not_zero("redis.response_timeout", self.response_timeout)
    }
}
