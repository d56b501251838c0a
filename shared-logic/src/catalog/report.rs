//! `[reports.…]`: tables of a metric's rows, a day at a time, for others to query.

use chrono_tz::Tz;

use super::{Cron, Derived};

/// A table of the warehouse: for each day and each group key of a metric a row, joined with the rows of tables, with columns that are
/// calculated of both (P1).
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The report's name, the key of its table in the catalog.
    pub name: String,
    /// The metric whose rows it has.
    pub metric: String,
    /// When it runs. A run writes the day before, by the clocks of [`time_zone`](Report::time_zone).
    pub schedule: Cron,
    /// The zone on whose clocks days and the schedule are read; its offsets are multiples of the metric's grain.
    pub time_zone: Tz,
    /// The tables whose columns it has, in the order of the file.
    pub join: Vec<Join>,
    /// The columns that are calculated, in the order of the file: expressions over the group key's columns, the measures, the derived
    /// values and the joined columns.
    pub columns: Vec<Derived>,
    /// How long after the end of a day a record may arrive that its first row counts; microseconds (P2).
    pub settle_us: i64,
    /// For how long after its end a day is calculated again by each run, as later records may have changed it; microseconds (P2).
    pub revise_us: i64,
}

/// Columns of a table, for the rows whose key is the value of a group-key column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The table's name.
    pub table: String,
    /// The column of the metric's `by`; it has the type of the table's key.
    pub on: String,
    /// The fields of the table that become columns, null where the table has no such row.
    pub take: Vec<String>,
}
