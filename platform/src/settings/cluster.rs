//! The section `[cluster]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounds::{at_least_one, not_zero};
use super::{SettingsError, Span};

/// Files that no version of a table names are removed after an hour. What is counted has to be committed before that.
const TIMEOUT_MAX: Duration = Duration::from_secs(50 * 60);

/// A cluster that counts days of views, if `reconcile.engine` is `ballista`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Where the scheduler listens, `host:port`. Default `localhost:50050`.
    pub scheduler: String,
    /// The program that sends days to the scheduler. A name without a folder is looked for beside the running program and then on the
    /// `PATH`. Default `braid-cluster`.
    pub program: PathBuf,
    /// How many days, or parts of days, are with the cluster at a time. Default 16.
    pub parallel: usize,
    /// A day of which fewer archived rows have to be read is counted by the reconcile itself. Default 1000000.
    pub rows_min: u64,
    /// A day that is rebuilt and has more archived rows than this is divided by event time, into parts of about so many.
    /// Default 10000000.
    pub rows_max: u64,
    /// How many times a day is sent before the reconcile fails. Default 3.
    pub attempts: u32,
    /// How long a day may take, all attempts together; at most `50m`. Default `30m`.
    pub timeout: Span,
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            scheduler: "localhost:50050".to_owned(),
            program: PathBuf::from("braid-cluster"),
            parallel: 16,
            rows_min: 1_000_000,
            rows_max: 10_000_000,
            attempts: 3,
            timeout: Span::from_secs(30 * 60),
        }
    }
}

impl Cluster {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let address = self.scheduler.rsplit_once(':');
        if address.is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            return Err(SettingsError::invalid("cluster.scheduler", "must be host:port, such as scheduler:50050"));
        }
        at_least_one("cluster.parallel", self.parallel as u64)?;
        at_least_one("cluster.rows_max", self.rows_max)?;
        at_least_one("cluster.attempts", u64::from(self.attempts))?;
        if self.timeout.get() > TIMEOUT_MAX {
            return Err(SettingsError::invalid("cluster.timeout", "must be at most 50m"));
        }
        not_zero("cluster.timeout", self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(cluster: Cluster) -> Option<String> {
        cluster.check().err().map(|error| error.to_string())
    }

    #[test]
    fn what_would_wait_too_long_or_never_ask_is_refused() {
        assert_eq!(refusal(Cluster::default()), None);
        let of = |scheduler: &str| refusal(Cluster { scheduler: scheduler.to_owned(), ..Cluster::default() });
        assert_eq!(of("[::1]:7"), None);
        for scheduler in ["", "host", ":50050", "host:", "host:70000"] {
            assert!(of(scheduler).is_some_and(|text| text.contains("cluster.scheduler")), "{scheduler}");
        }
        let within = |timeout: Span| refusal(Cluster { timeout, ..Cluster::default() });
        assert_eq!(within(Span::from_secs(50 * 60)), None);
        for timeout in [Span::from_secs(0), Span::from_secs(50 * 60 + 1)] {
            assert!(within(timeout).is_some_and(|text| text.contains("cluster.timeout")), "{timeout:?}");
        }
        let none = [
            Cluster { parallel: 0, ..Cluster::default() },
            Cluster { rows_max: 0, ..Cluster::default() },
            Cluster { attempts: 0, ..Cluster::default() },
        ];
        assert!(none.into_iter().all(|cluster| refusal(cluster).is_some()));
    }
}
