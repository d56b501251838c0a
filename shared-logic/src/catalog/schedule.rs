//! `[schedule]`: when reconciles run.

/// When reconciles run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// A cron expression with seconds (six or seven fields).
    pub reconcile: String,
    /// An IANA time zone name, `UTC` unless given.
    pub time_zone: String,
}
