//! What counts the days of views: the process itself, or a cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What the address of a cluster begins with.
const BALLISTA: &str = "ballista://";

/// What counts days of views anew, and merges those that a report is made of. The results are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Engine {
    /// The process itself: `polars`.
    #[default]
    Polars,
    /// A cluster of DataFusion Ballista: `ballista://host:port`.
    Ballista {
        /// Where its scheduler listens, `host:port`.
        scheduler: String,
    },
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Engine, String> {
        let text = text.trim();
        if text == "polars" {
            return Ok(Engine::Polars);
        }
        let scheduler = text.strip_prefix(BALLISTA).filter(|address| is_address(address));
        let wrong = || {
            format!("{text:?} is neither \"polars\" nor \"{BALLISTA}host:port\", such as \"{BALLISTA}scheduler:50050\"")
        };
        scheduler.map(|scheduler| Engine::Ballista { scheduler: scheduler.to_owned() }).ok_or_else(wrong)
    }
}

/// Whether a text has the form `host:port`; a host may be an address in brackets.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_of_host = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_of_host),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Engine::Polars => f.write_str("polars"),
            Engine::Ballista { scheduler } => write!(f, "{BALLISTA}{scheduler}"),
        }
    }
}

impl Serialize for Engine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Engine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Engine, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_polars_or_a_cluster_by_its_address_and_reads_back_what_it_prints() {
        assert_eq!("polars".parse(), Ok(Engine::Polars));
        for address in ["scheduler:50050", "10.0.0.5:1", "[::1]:65535", "a-b.c_d.example:7"] {
            let engine: Engine = format!("{BALLISTA}{address}").parse().expect(address);
            assert_eq!(engine, Engine::Ballista { scheduler: address.to_owned() });
            assert_eq!(engine.to_string().parse(), Ok(engine));
        }
    }

    #[test]
    fn whatever_else_is_refused_with_what_it_may_be() {
        let wrong = ["", "ballista", "Polars", "duckdb", "ballista://", "scheduler:50050", "http://scheduler:50050"];
        let wrong_address =
            ["host", ":50050", "host:", "host:0", "host:70000", "me:pw@host:1", "host:1/", "::1:7", "[x]:7"];
        for text in
            wrong.map(str::to_owned).into_iter().chain(wrong_address.map(|address| format!("{BALLISTA}{address}")))
        {
            let refusal = text.parse::<Engine>().expect_err(&text);
            assert!(refusal.contains("\"polars\"") && refusal.contains("ballista://host:port"), "{refusal}");
        }
    }
}
