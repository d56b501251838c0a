//! The fields that outputs of a kind have themselves.

use crate::catalog::parse::document::Table;
use crate::catalog::parse::source::Draft;
use crate::catalog::stream_source;

/// Checks that no field which outputs take over is called like one that they have themselves.
pub(super) fn check(table: &Table<'_>, from: &Draft, own: &[&str], noun: &str) {
    for field in stream_source::handed_on(&from.source) {
        if own.iter().any(|own| own.eq_ignore_ascii_case(&field.name)) {
            let source = &from.source.name;
            let what = format!("the field `{}` of `{source}` is called like one that every {noun} writes", field.name);
            table.mistakes.report(table.at, what, "rename it in the source, or by a map that names `fields`");
        }
    }
}
