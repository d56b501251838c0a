//! The section `[versions]`.

use serde::{Deserialize, Serialize};

use super::bounds::{at_least_one, not_zero};
use super::{SettingsError, Span};

/// The versions of the deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Versions {
    /// How often a process asks the store which versions there are, and which of them is the active one. Default `1s`.
    pub refresh: Span,
    /// How many versions live at a time at most. Each takes about what one takes. Default 4.
    pub max: usize,
    /// The share of its time that a loop counts which replays, in percent, at most. Default 50.
    pub replay_share: u8,
    /// How far the active version may be behind before replays go slower. Default `2s`.
    pub replay_lag: Span,
    /// How far a version may be behind that is promoted. Default `10s`.
    pub max_lag: Span,
    /// How long ago it may have been verified. Default `1h`.
    pub verify_age: Span,
    /// How long a version goes on that is not the active one any more; then the schedule retires it. Default `7d`.
    pub keep: Span,
}

impl Default for Versions {
    fn default() -> Versions {
        Versions {
            refresh: Span::from_secs(1),
            max: 4,
            replay_share: 50,
            replay_lag: Span::from_secs(2),
            max_lag: Span::from_secs(10),
            verify_age: Span::from_secs(3_600),
            keep: Span::from_secs(7 * 86_400),
        }
    }
}

impl Versions {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        not_zero("versions.refresh", self.refresh)?;
        at_least_one("versions.max", self.max as u64)?;
        if !(1..=100).contains(&self.replay_share) {
            return Err(SettingsError::invalid("versions.replay_share", "must be from 1 to 100 percent"));
        }
        not_zero("versions.replay_lag", self.replay_lag)
    }
}
