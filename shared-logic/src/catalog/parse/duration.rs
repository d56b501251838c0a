//! Reads durations with their unit: `"90s"`.

use super::document::{Table, Text};
use crate::time::{DAY_US, parse_duration_us};

/// Durations beyond a century are refused, so that sums with any instant stay within 64 bits.
const MAX_US: i64 = 36_525 * DAY_US;

/// A duration of at least `least_us`, which is nothing or a second; in microseconds.
pub(super) fn duration(table: &mut Table<'_>, key: &str, least_us: i64) -> Option<i64> {
    let text = table.text(key)?;
    read(table, key, text, least_us)
}

/// The same of a key that has to be there; `example` is a value for the fix.
pub(super) fn required(table: &mut Table<'_>, key: &str, example: &str, least_us: i64) -> Option<i64> {
    let text = table.required_text(key, example)?;
    read(table, key, text, least_us)
}

fn read(table: &Table<'_>, key: &str, text: Text<'_>, least_us: i64) -> Option<i64> {
    let us = parse_duration_us(text.value).filter(|us| (least_us..=MAX_US).contains(us));
    if us.is_none() {
        let least = if least_us == 0 { "0s" } else { "1s" };
        let fix = format!("write a duration from {least} to 36525d, such as \"90s\", \"1h\" or \"400d\"");
        table.mistakes.report(text.at, format!("`{key}` is \"{}\"", text.value), fix);
    }
    us
}
