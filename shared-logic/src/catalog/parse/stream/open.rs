//! How many windows or sessions of one key can be open at a time (T10).

use crate::catalog::parse::document::Table;
use crate::catalog::parse::source::Draft;
use crate::catalog::{Stream, StreamKind};
use crate::time::format_duration_us;

/// How many can be, unless the catalog says so. An event that is out of order passes by those of its key that are later.
const OPEN_MAX: i64 = 10_000;
/// How many a catalog can allow.
const ALLOWED_MAX: i64 = 1_000_000;

/// Reads `open_max`, and checks that no key can have more open.
pub(super) fn check(table: &mut Table<'_>, from: Option<&Draft>, stream: &Stream) {
    if matches!(stream.kind, StreamKind::Map(_) | StreamKind::Detect(_)) {
        return;
    }
    let most = table.integer("open_max", 1..=ALLOWED_MAX).unwrap_or(OPEN_MAX);
    let Some(source) = from.filter(|from| !from.doubtful).map(|from| &from.source) else { return };
    let Some(open) = stream.open_per_key(source.max_ahead_us).filter(|open| *open > most) else { return };
    let (noun, key) = match stream.kind {
        StreamKind::Session(_) => ("sessions", "session"),
        _ => ("windows", "window"),
    };
    let [ahead, late] = [source.max_ahead_us, stream.lateness_us].map(format_duration_us);
    let what = format!(
        "a key can have {open} {noun} open at a time, more than {most}: its events may be {ahead} ahead (`max_ahead`) and \
         {late} late (`lateness`)"
    );
    let lower = format!("lower `lateness`, or `max_ahead` of what `{}` reads", stream.name);
    let fix = if open <= ALLOWED_MAX { format!("write open_max = {open} if that is meant, or {lower}") } else { lower };
    let at = table.key_at("open_max").or_else(|| table.key_at(key)).unwrap_or(table.at);
    table.mistakes.report(at, what, fix);
}
