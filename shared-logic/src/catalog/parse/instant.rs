//! Reads how the instants of a field are written: the key `format` of a timestamp.

use super::document::Table;
use crate::format::{BadPattern, Pattern};
use crate::schema::{EpochUnit, InstantFormat};

/// A unit of numbers, or a pattern. `zoned`: the source names a zone for texts that name none.
pub(super) fn format(table: &mut Table<'_>, zoned: bool) -> Option<InstantFormat> {
    let text = table.text("format")?;
    if let Some(unit) = EpochUnit::ALL.into_iter().find(|unit| unit.name() == text.value) {
        return Some(InstantFormat::Epoch(unit));
    }
    match Pattern::checked(text.value, zoned) {
        Ok(_) => Some(InstantFormat::Pattern(text.value.to_owned())),
        Err(bad) => {
            let (what, fix) = refusal(bad);
            table.mistakes.report(text.at, format!("`format` is \"{}\", {what}", text.value), fix);
            None
        }
    }
}

fn refusal(bad: BadPattern) -> (&'static str, &'static str) {
    match bad {
        BadPattern::Unknown => (
            "and something behind a % has no meaning",
            "write a pattern as for strftime, such as \"%d/%b/%Y:%H:%M:%S %z\", or one of epoch_s, epoch_ms, epoch_us, epoch_ns",
        ),
        BadPattern::NoDate => (
            "which does not say which day",
            "add the date, such as \"%Y-%m-%d\"; if it is a field of its own, write event_time = [\"date\", \"time\"]",
        ),
        BadPattern::NoZone => (
            "which does not say which time zone",
            "add the offset, \"%z\", or name the zone of the source: time_zone = \"Europe/Berlin\"",
        ),
        BadPattern::Control => ("which holds a tab or a line end", "write blanks"),
        BadPattern::Unreadable => (
            "whose texts cannot be read back",
            "separate numbers without leading zeros, give a clock of 12 hours (%I) its %p, and read an offset with %z or %#z",
        ),
    }
}
