//! `[schedule]`: when jobs run.

use chrono_tz::Tz;

use super::Cron;

/// When jobs run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// When a source is reconciled that names no schedule of its own; every ten minutes unless given.
    pub reconcile: Cron,
    /// When the tables of each source are maintained; never by themselves unless given.
    pub maintain: Option<Cron>,
    /// The zone on whose clocks every schedule of the catalog is read; UTC unless given.
    pub time_zone: Tz,
}
