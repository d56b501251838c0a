//! What a reconcile did.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use metrics::{counter, histogram};
use shared_logic::contracts::batch_view::Pause;
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::time::format_rfc3339;
use tracing::{info, warn};

use super::error::ReconcileError;
use crate::table::Materialised;

/// What a reconcile did: a report on each metric that it dealt with, and what failed.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// The reports.
    pub reports: Vec<Report>,
    /// The tables that were materialised.
    pub tables: Vec<Materialised>,
    /// The failures: of metrics, of tables, and of sources of which no metric could be reconciled.
    pub failed: Vec<ReconcileError>,
}

/// What a reconcile did for one metric, as an operator reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The name of the metric's source.
    pub source: String,
    /// The metric's name.
    pub metric: String,
    /// What became of its view.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// What became of a metric's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new version of it.
    Changed(Changed),
    /// It counts another definition. Some days of the one that replaces it are counted; the others are left to the next
    /// step.
    Unfinished {
        /// How many days are counted.
        done: usize,
        /// Of how many.
        days: usize,
    },
    /// It counts another definition, and so does this partition's shard: workers with another catalog are at work.
    Waiting {
        /// The partition.
        partition: PartitionId,
    },
    /// It was rolled back, and stays as it is until an operator resumes it.
    Paused(Pause),
}

/// What one commit changed in a batch view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The view's version after the commit.
    pub version: u64,
    /// Up to which offsets it counts.
    pub cut: Offsets,
    /// How many days have new files.
    pub days: usize,
    /// How many rows of the view were written.
    pub rows: u64,
    /// Whether the whole view was counted anew.
    pub rebuilt: bool,
    /// Whether an operator has asked for it to be counted anew, and that is not done yet.
    pub rebuild_asked: bool,
    /// What that took. Of a view that was counted anew, only what the last step took.
    pub work: Work,
}

/// What a reconcile of one metric took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Archive rows of which any column was read, wanted or not, and entries of the index of identities.
    pub rows_read: u64,
    /// Archive rows that a cluster read to count days anew, at most, besides these.
    pub elsewhere: u64,
    /// New events without an older copy.
    pub added: u64,
    /// Identities of new events that were looked up in the index.
    pub looked_up: u64,
    /// Pieces of event time that were recomputed: hours, unless the metric's buckets need longer ones.
    pub recomputed: u64,
    /// New events that come before a counted copy, in days whose rows are retired: the copy that was counted stands.
    pub unreplaced: u64,
    /// New events that were left out, in days of which neither rows nor identities are left that tell whether they are copies.
    pub unproven: u64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        self.rows_read += other.rows_read;
        self.elsewhere += other.elsewhere;
        self.added += other.added;
        self.looked_up += other.looked_up;
        self.recomputed += other.recomputed;
        self.unreplaced += other.unreplaced;
        self.unproven += other.unproven;
    }
}

impl Reconciled {
    /// Whether days of some rebuild are left to the next step.
    pub fn is_unfinished(&self) -> bool {
        self.reports.iter().any(Report::is_unfinished)
    }

    /// The reports, if nothing failed.
    ///
    /// # Errors
    /// The first failure.
    pub fn all(self) -> Result<Vec<Report>, ReconcileError> {
        self.failed.into_iter().next().map_or(Ok(self.reports), Err)
    }
}

impl Report {
    /// Whether days of a rebuild are left to the next step.
    pub fn is_unfinished(&self) -> bool {
        matches!(self.outcome, Outcome::Unfinished { .. })
    }

    /// Whether the view was left as it is, because workers with another catalog are at work.
    pub fn is_waiting(&self) -> bool {
        matches!(self.outcome, Outcome::Waiting { .. })
    }

    /// Whether the view is to be counted anew besides, because an operator has asked for that.
    pub(super) fn is_rebuild_asked(&self) -> bool {
        matches!(self.outcome, Outcome::Changed(Changed { rebuild_asked: true, .. }))
    }

    /// Writes it to the log and to telemetry.
    pub(super) fn record(&self) {
        let Report { metric, outcome, took, .. } = self;
        let took_ms = took.as_millis();
        match outcome {
            Outcome::Changed(Changed { version, days, rows, rebuilt, work, .. }) => {
                let Work { rows_read, elsewhere, added, looked_up, recomputed, unreplaced, unproven } = *work;
                info!(
                    metric,
                    version,
                    days,
                    rows,
                    rebuilt,
                    rows_read,
                    elsewhere,
                    added,
                    looked_up,
                    recomputed,
                    took_ms,
                    "reconciled"
                );
                if unreplaced + unproven > 0 {
                    warn!(metric, unreplaced, unproven, "events of retired days were left out");
                }
                counter!("braid_reconcile_total", "metric" => metric.clone()).increment(1);
                counter!("braid_reconcile_rows_read_total", "metric" => metric.clone()).increment(rows_read);
                counter!("braid_reconcile_events_added_total", "metric" => metric.clone()).increment(added);
                counter!("braid_reconcile_identities_total", "metric" => metric.clone()).increment(looked_up);
                counter!("braid_reconcile_hours_recomputed_total", "metric" => metric.clone()).increment(recomputed);
                counter!("braid_reconcile_unreplaced_total", "metric" => metric.clone()).increment(unreplaced);
                counter!("braid_reconcile_unproven_total", "metric" => metric.clone()).increment(unproven);
                histogram!("braid_reconcile_seconds", "metric" => metric.clone()).record(*took);
            }
            Outcome::Unfinished { done, days } => {
                info!(metric, done, days, took_ms, "the view is being rebuilt; the next step continues");
            }
            Outcome::Waiting { partition } => {
                warn!(metric, %partition, "the view counts another definition, and so does this shard: it is not replaced before `speed-layer` runs with this catalog everywhere");
            }
            Outcome::Paused(Pause { rolled_back_to, since_us }) => {
                let since = format_rfc3339(*since_us);
                warn!(
                    metric,
                    rolled_back_to, since, "the view is paused, and not reconciled until `batch-layer resume`"
                );
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { metric, outcome, took, .. } = self;
        let took_ms = took.as_millis();
        match outcome {
            Outcome::Changed(Changed { version, days, rows, rebuilt, work, .. }) => {
                let how = if *rebuilt { " (rebuilt)" } else { "" };
                let Work { rows_read, elsewhere, added, looked_up, recomputed, unreplaced, unproven } = work;
                write!(
                    f,
                    "{metric}: version {version}, {rows} rows written in {days} days{how} in {took_ms} ms; {rows_read} archive rows \
                     read, {added} events added, {looked_up} identities looked up, {recomputed} hours recomputed"
                )?;
                if *elsewhere > 0 {
                    write!(f, "; besides, a cluster read {elsewhere} archive rows")?;
                }
                if unreplaced + unproven > 0 {
                    write!(
                        f,
                        "; of days that are retired, {unreplaced} events come before a copy that was counted and stands, and \
                         {unproven} were left out because they may be copies"
                    )?;
                }
                Ok(())
            }
            Outcome::Unfinished { done, days } => {
                write!(f, "{metric}: {done} of {days} days rebuilt so far, in {took_ms} ms")
            }
            Outcome::Waiting { partition } => write!(
                f,
                "{metric}: not replaced, because the shard of {partition} does not count this definition yet; start \
                 `speed-layer` with this catalog"
            ),
            Outcome::Paused(Pause { rolled_back_to, since_us }) => write!(
                f,
                "{metric}: paused since {}, when it was rolled back to version {rolled_back_to}; `batch-layer resume {metric}` \
                 lets reconciles go on",
                format_rfc3339(*since_us)
            ),
        }
    }
}
