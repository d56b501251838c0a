//! Reads sessions.

use super::keyed;
use crate::catalog::Session;
use crate::catalog::parse::document::Table;
use crate::catalog::parse::duration::duration;
use crate::catalog::parse::measures::{Aggregates, Others, aggregates};
use crate::catalog::parse::source::Draft;
use crate::catalog::stream::OF_SESSIONS;
use crate::time::{DAY_US, SECOND_US, format_duration_us};

/// Reads the keys of a session.
pub(super) fn session(table: &mut Table<'_>, from: Option<&Draft>) -> Session {
    let gap_us = duration(table, "session", SECOND_US).unwrap_or(1_800 * SECOND_US);
    let longest_us = longest(table, gap_us);
    let by = keyed::by(table, from, OF_SESSIONS);
    let names = by.iter().map(String::as_str).chain(OF_SESSIONS.iter().copied()).collect();
    let others = Others { names, holder: "the stream", with_derived: true, with_sketches: false };
    let Aggregates { measures, derived } = aggregates(table, from, &others);
    Session { by, gap_us, longest_us, measures, derived }
}

/// Its multiples cut sessions. They are at the same times of each day, or every so many days at midnight.
fn longest(table: &mut Table<'_>, gap_us: i64) -> Option<i64> {
    let longest_us = duration(table, "longest", SECOND_US)?;
    let at = table.key_at("longest").unwrap_or(table.at);
    let longest = format_duration_us(longest_us);
    if DAY_US % longest_us != 0 && longest_us % DAY_US != 0 {
        let what = format!("`longest` is {longest}, whose multiples are at other times each day");
        table.mistakes.report(at, what, "write what divides 24 hours, or whole days: \"12h\", \"24h\", \"7d\"");
        return None;
    }
    if longest_us < gap_us {
        let what = format!("`longest` is {longest}, and the gap that ends a session is {}", format_duration_us(gap_us));
        table.mistakes.report(at, what, "write at least as much as `session`, such as \"24h\"");
        return None;
    }
    Some(longest_us)
}
