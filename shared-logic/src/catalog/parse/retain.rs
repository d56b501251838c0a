//! Reads `retain`, which sources and metrics have: how long whole days are kept. No hash includes it, because it changes no count: a day
//! that is not held any more is missing from answers as a gap, and never as a zero.

use super::document::Table;
use crate::time::{DAY_US, parse_duration_us};

/// Longer than a century is as good as for good, and sums with any instant stay within 64 bits.
const RETAIN_MAX_US: i64 = 36_525 * DAY_US;

/// The duration, at least `least_us` and at least a day; `None`: for good. `least` completes the sentence "it is at least …".
pub(super) fn retain(table: &mut Table<'_>, least_us: i64, least: &str) -> Option<i64> {
    let text = table.text("retain")?;
    let least_us = least_us.max(DAY_US);
    let us = parse_duration_us(text.value).filter(|us| (least_us..=RETAIN_MAX_US).contains(us));
    if us.is_none() {
        let days = (least_us + DAY_US - 1) / DAY_US;
        let fix =
            format!("write a duration from {days}d to 36525d: it is at least {least}; without the key, nothing goes");
        table.mistakes.report(text.at, format!("`retain` is \"{}\"", text.value), fix);
    }
    us
}
