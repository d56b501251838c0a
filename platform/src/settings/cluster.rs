//! The section `[cluster]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounds::{at_least_one, not_zero};
use super::{SettingsError, Span};

/// Files that a table has given up are deleted an hour later. What reads them has to end before that.
const TIMEOUT_MAX: Duration = Duration::from_secs(50 * 60);

/// How a cluster is asked, if `reconcile.engine` names one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// The program that asks the cluster. A name without a folder is looked for beside the running program and then on the `PATH`.
    /// Default `braid-cluster`.
    pub program: PathBuf,
    /// Where fewer rows than these have to be read, the cluster is not asked. Default 1000000.
    pub rows_min: u64,
    /// How many times a query is tried before what needs it fails. Default 3.
    pub attempts: u32,
    /// How long a query may take, all attempts together; at most `50m`. Default `30m`.
    pub timeout: Span,
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            program: PathBuf::from("braid-cluster"),
            rows_min: 1_000_000,
            attempts: 3,
            timeout: Span::from_secs(30 * 60),
        }
    }
}

impl Cluster {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.program.as_os_str().is_empty() {
            return Err(SettingsError::invalid("cluster.program", "must name a program, such as braid-cluster"));
        }
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
        let within = |timeout: Span| refusal(Cluster { timeout, ..Cluster::default() });
        assert_eq!(within(Span::from_secs(50 * 60)), None);
        for timeout in [Span::from_secs(0), Span::from_secs(50 * 60 + 1)] {
            assert!(within(timeout).is_some_and(|text| text.contains("cluster.timeout")), "{timeout:?}");
        }
        let never = refusal(Cluster { attempts: 0, ..Cluster::default() });
        assert!(never.is_some_and(|text| text.contains("cluster.attempts")));
        let nothing = refusal(Cluster { program: PathBuf::new(), ..Cluster::default() });
        assert!(nothing.is_some_and(|text| text.contains("cluster.program")));
    }
}
