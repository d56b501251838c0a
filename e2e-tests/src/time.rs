//! Moments as text, read and written without the platform's own code.

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat};

/// RFC 3339 to microseconds since 1970.
pub fn micros(text: &str) -> Result<i64> {
    Ok(DateTime::parse_from_rfc3339(text).with_context(|| format!("{text:?} is no time"))?.timestamp_micros())
}

/// Microseconds since 1970 to RFC 3339.
///
/// # Panics
/// If the moment is outside the years that chrono knows.
pub fn rfc3339(us: i64) -> String {
    let moment = DateTime::from_timestamp_micros(us).expect("a moment within chrono's range");
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
