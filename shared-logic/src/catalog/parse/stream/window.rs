//! Reads windows.

use super::keyed;
use crate::catalog::Window;
use crate::catalog::parse::document::Table;
use crate::catalog::parse::duration::duration;
use crate::catalog::parse::measures::{Aggregates, Others, aggregates};
use crate::catalog::parse::source::Draft;
use crate::catalog::stream::OF_WINDOWS;
use crate::time::{SECOND_US, format_duration_us};

/// How many windows an event may count in, unless the catalog says so: so many outputs are written for each active key while one
/// window's time passes.
const WINDOWS_MAX: i64 = 120;

/// How many divisors are tried to propose one.
const TRIED_MAX: usize = 10_000;

/// Reads the keys of a window.
pub(super) fn window(table: &mut Table<'_>, from: Option<&Draft>) -> Window {
    let size_us = duration(table, "window", SECOND_US).unwrap_or(60 * SECOND_US);
    let slide_us = slide(table, size_us).unwrap_or(size_us);
    let offset_us = offset(table, slide_us).unwrap_or_default();
    let by = keyed::by(table, from, OF_WINDOWS);
    let names = by.iter().map(String::as_str).chain(OF_WINDOWS.iter().copied()).collect();
    let others = Others { names, holder: "the stream", with_derived: true, with_sketches: false };
    let Aggregates { measures, derived } = aggregates(table, from, &others);
    Window { by, size_us, slide_us, offset_us, measures, derived }
}

/// How far apart windows start: it divides their size, and not into too many parts.
fn slide(table: &mut Table<'_>, size_us: i64) -> Option<i64> {
    let most = table.integer("windows_max", 1..=10_000).unwrap_or(WINDOWS_MAX);
    let slide_us = duration(table, "slide", SECOND_US)?;
    let at = table.key_at("slide").unwrap_or(table.at);
    let (slide, size) = (format_duration_us(slide_us), format_duration_us(size_us));
    if size_us % slide_us != 0 {
        let fix = format!("write one that does, such as \"{}\"", format_duration_us(next_divisor(size_us, slide_us)));
        table.mistakes.report(at, format!("`slide` is {slide}, which does not divide a window of {size}"), fix);
        return None;
    }
    let windows = size_us / slide_us;
    if windows > most {
        let what = format!("an event counts in {windows} windows of {size} that start every {slide}, more than {most}");
        let longer = format_duration_us(next_divisor(size_us, (size_us + most - 1) / most));
        let fix =
            format!("write slide = \"{longer}\", or windows_max = {windows} to have so many outputs for each key");
        table.mistakes.report(at, what, fix);
        return None;
    }
    Some(slide_us)
}

/// A duration of whole seconds, from `least_us` on, that divides another one: the shortest, unless that is far longer.
fn next_divisor(size_us: i64, least_us: i64) -> i64 {
    let parts = size_us / least_us.clamp(1, size_us);
    let divides = |parts: &i64| size_us % (parts * SECOND_US) == 0;
    (1..=parts).rev().take(TRIED_MAX).find(divides).map_or(size_us, |parts| size_us / parts)
}

/// By how much windows start later than at multiples of the slide.
fn offset(table: &mut Table<'_>, slide_us: i64) -> Option<i64> {
    let offset_us = duration(table, "offset", 0)?;
    if offset_us >= slide_us {
        let at = table.key_at("offset").unwrap_or(table.at);
        let [offset, slide, same] = [offset_us, slide_us, offset_us % slide_us].map(format_duration_us);
        let what = format!("`offset` is {offset}, and windows start every {slide}");
        table.mistakes.report(at, what, format!("write \"{same}\", which is the same"));
        return None;
    }
    Some(offset_us)
}
