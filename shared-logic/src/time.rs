//! Time: instants, buckets, days. Nowhere else is time cut into pieces.
//!
//! An instant is an `i64` of microseconds since 1970-01-01T00:00:00Z. Intervals are half-open. There is no clock here.
//!
//! - `parse`: instants and durations as text;
//! - `moment`: a date and a time of day as text, with or without a zone;
//! - `local`: what the clocks of a zone show → instants, and days by these clocks;
//! - `steps`: the steps of a series: fixed lengths, days, weeks and months of a zone.

mod local;
mod moment;
mod parse;
mod steps;

/// A time zone of the IANA database.
pub use chrono_tz::Tz as Zone;
pub use local::{instant_of_local, local_date, local_day, zone_offsets_us};
pub use moment::Moment;
pub(crate) use parse::push_rfc3339;
pub use parse::{
    MAX_INSTANT_US, MIN_INSTANT_US, format_duration_us, format_rfc3339, parse_duration_us, parse_instant, parse_rfc3339,
};
pub use steps::{Steps, Width};

/// One second in microseconds.
pub const SECOND_US: i64 = 1_000_000;
/// One hour in microseconds.
pub const HOUR_US: i64 = 3_600 * SECOND_US;
/// One day in microseconds.
pub const DAY_US: i64 = 24 * HOUR_US;

/// The start of the bucket of width `grain_us` that holds the instant.
pub fn bucket_start(instant_us: i64, grain_us: i64) -> i64 {
    instant_us - instant_us.rem_euclid(grain_us)
}

/// The number of the bucket of width `grain_us` that holds the instant; bucket 0 starts at 1970.
pub fn bucket_index(instant_us: i64, grain_us: i64) -> i64 {
    instant_us.div_euclid(grain_us)
}

/// The number of whole days since 1970 at the instant.
pub fn day_of(instant_us: i64) -> i64 {
    instant_us.div_euclid(DAY_US)
}

/// The first day of the calendar month that holds the day.
pub fn month_start(day: i64) -> i64 {
    let (.., day_of_month) = parse::civil(day);
    day - day_of_month + 1
}

/// The first day of the calendar month after the one that holds the day.
pub fn next_month_start(day: i64) -> i64 {
    // No month has more than 31 days, and none less than 28.
    month_start(month_start(day) + 31)
}

/// A day as `YYYY-MM-DD`.
pub fn format_day(day: i64) -> String {
    let (year, month, day) = parse::civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The day that [`format_day`] wrote.
pub fn parse_day(text: &str) -> Option<i64> {
    parse_rfc3339(format!("{text}T00:00:00Z").as_bytes()).map(day_of)
}

/// A half-open range of instants, `[from_us, to_us)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant inside.
    pub from_us: i64,
    /// The first instant outside.
    pub to_us: i64,
}

impl TimeRange {
    /// Everything that an event time can be.
    pub const ALL: TimeRange = TimeRange { from_us: MIN_INSTANT_US, to_us: MAX_INSTANT_US };

    /// The smallest range of whole buckets of width `grain_us` that covers this one.
    pub fn widened(self, grain_us: i64) -> TimeRange {
        let to_start = bucket_start(self.to_us, grain_us);
        let to_us = if to_start == self.to_us { to_start } else { to_start + grain_us };
        TimeRange { from_us: bucket_start(self.from_us, grain_us), to_us }
    }

    /// Whether the instant lies inside.
    pub fn contains(self, instant_us: i64) -> bool {
        self.from_us <= instant_us && instant_us < self.to_us
    }
}

#[cfg(test)]
mod tests;
