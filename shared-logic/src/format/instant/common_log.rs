//! The time in access logs, `25/Nov/2026:10:00:00 +0100`: as servers write it, read without going through its pattern, which
//! takes three times as long as all else in a line.

use crate::time::Moment;

/// The pattern of these times.
pub(in crate::format) const COMMON_LOG: &str = "%d/%b/%Y:%H:%M:%S %z";

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The moment of a text of exactly this form; what else the pattern allows, it has to read.
pub(super) fn read(text: &[u8]) -> Option<Moment> {
    let text: &[u8; 26] = text.try_into().ok()?;
    if [text[2], text[6], text[11], text[20]] != *b"//: " || !matches!(text[21], b'+' | b'-') {
        return None;
    }
    let month = MONTHS.iter().position(|name| name[..] == text[3..6])? as u8 + 1;
    let month = [b'0' + month / 10, b'0' + month % 10];
    // The same in the order of RFC 3339.
    let mut moment = *b"YYYY-mm-ddTHH:MM:SS+0000";
    let parts = [(0, &text[7..11]), (5, &month[..]), (8, &text[..2]), (11, &text[12..20]), (19, &text[21..])];
    for (at, part) in parts {
        moment[at..at + part.len()].copy_from_slice(part);
    }
    Moment::parse(&moment)
}
