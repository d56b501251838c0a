//! Reads numbers of bytes with their unit: `"512KiB"`.

use std::ops::RangeInclusive;

use super::document::Table;

/// Units from the smallest to the largest, in bytes. Decimal units are refused rather than guessed.
const UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A number of bytes within a range.
pub(super) fn size(table: &mut Table<'_>, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
    let text = table.text(key)?;
    let bytes = parse(text.value).filter(|bytes| range.contains(bytes));
    if bytes.is_none() {
        let fix = format!(
            "write a size from {} to {}, such as \"512KiB\" or \"1MiB\"",
            shown(*range.start()),
            shown(*range.end())
        );
        table.mistakes.report(text.at, format!("`{key}` is \"{}\"", text.value), fix);
    }
    bytes
}

fn parse(text: &str) -> Option<u64> {
    let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    count.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// The size in the largest unit that is exact.
fn shown(bytes: u64) -> String {
    let exact = UNITS.iter().rev().find(|(_, unit)| bytes.is_multiple_of(*unit));
    exact.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}
