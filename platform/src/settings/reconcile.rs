//! The section `[reconcile]`.

use serde::{Deserialize, Serialize};

use super::bounds::at_least_one;
use super::{Engine, SettingsError, Size, Span};

/// The batch layer's reconcile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    /// How long to wait until the archive covers the newest slice of each shard; after that, a cut moves to the newest
    /// slice that it does cover. Default `30s`.
    pub wait: Span,
    /// How often the archive is read during this wait. Default `200ms`.
    pub poll: Span,
    /// How many times a commit that meets a conflict is planned again. Default 8.
    pub max_attempts: u32,
    /// The wait before planning again; doubled each time, with jitter. Default `200ms`.
    pub retry_backoff: Span,
    /// The memory for the rows that are counted at a time, about; the process itself comes on top. A day with more rows than
    /// that is counted in pieces. Default `512MiB`.
    pub memory: Size,
    /// How many jobs of the schedule run at a time. Each has its share of `reconcile.memory`. Default 2.
    pub parallel: usize,
    /// How long one step of a reconcile continues rebuilds. Days that are being counted are finished, and each step
    /// counts at least one day of each rebuild. Default `60s`.
    pub rebuild_step: Span,
    /// How far back a view can be rolled back: the files of older versions are kept for that long. `0s` keeps none.
    /// Default `2d`.
    pub keep_versions: Span,
    /// The oldest that a cut may become where a topic is compacted; its `min.compaction.lag.ms` must exceed it.
    /// Default `1d`.
    pub max_cut_age: Span,
    /// How long a running reconcile may take after a signal to stop. Default `20s`.
    pub shutdown: Span,
    /// What counts days of views anew and merges those of reports, if there is much to read: the process itself (`polars`), or a
    /// cluster of DataFusion Ballista by the address of its scheduler, `ballista://host:port`. Default `polars`.
    pub engine: Engine,
}

impl Default for Reconcile {
    fn default() -> Reconcile {
        Reconcile {
            wait: Span::from_secs(30),
            poll: Span::from_millis(200),
            max_attempts: 8,
            retry_backoff: Span::from_millis(200),
            memory: Size::from_mib(512),
            parallel: 2,
            rebuild_step: Span::from_secs(60),
            keep_versions: Span::from_secs(2 * 86_400),
            max_cut_age: Span::from_secs(86_400),
            shutdown: Span::from_secs(20),
            engine: Engine::Polars,
        }
    }
}

impl Reconcile {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        at_least_one("reconcile.max_attempts", u64::from(self.max_attempts))?;
        at_least_one("reconcile.parallel", self.parallel as u64)?;
        at_least_one("reconcile.memory", self.memory.bytes())
    }
}
