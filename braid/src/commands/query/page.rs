//! An answer as a person reads it: what was asked, the values as a table, and in words where they come from and what may be
//! missing.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Number, Value};

use super::answer::{Answer, Bound, OfKey, Overflow, Point};
use super::sparkline::Sparkline;
use crate::number::{duration, integer, number};
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint, printable};

/// How many blocks a sparkline has where there is no terminal that bounds it.
const BLOCKS_MAX: usize = 100;
/// What stands for a value that there is not.
const NULL: &str = "-";

/// The whole page, as it fits on the screen.
pub(super) fn page(answer: &Answer, screen: Screen) -> String {
    let mut page = format!("{}\n\n", screen.paint(Some(Tint::Heading), &asked(answer)));
    match (&answer.keys, &answer.points) {
        (Some(keys), _) => push_keys(&mut page, answer, keys, screen),
        (None, Some(points)) => push_series(&mut page, answer, points, screen),
        (None, None) => push_row(&mut page, answer, &answer.values, screen),
    }
    page.push('\n');
    push_line(&mut page, &batch_share(answer));
    push_line(&mut page, &speed_share(answer));
    let of_points = answer.all_points().flat_map(|point| &point.overflow);
    let of_keys = answer.keys.iter().flatten().flat_map(|of_key| &of_key.overflow);
    for line in overflows(answer.overflow.iter().chain(of_keys).chain(of_points)) {
        push_line(&mut page, &line);
    }
    let of_keys = answer.keys.iter().flatten().flat_map(|of_key| {
        let of = format!("{}: ", key_text(&of_key.key).join(", "));
        of_key.bounds.iter().map(move |bound| (of.clone(), bound))
    });
    for (of, (name, bound)) in answer.bounds.iter().map(|bound| (String::new(), bound)).chain(of_keys) {
        if let Some(line) = certainty(name, bound) {
            push_line(&mut page, &printable(&format!("{of}{line}")));
        }
    }
    for gap in &answer.gaps {
        push_line(&mut page, &screen.paint(Some(Tint::Bad), &format!("gap: {gap}")));
    }
    page
}

/// What was asked, such as `views, video_id=video-42, from 2026-04-24T09:00:00Z, grain 1m`.
fn asked(answer: &Answer) -> String {
    let key = key_text(&answer.key);
    let keys = answer.keys.as_ref().map(|keys| format!("{} keys", keys.len()));
    let range = match (&answer.from, &answer.to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("until {to}"),
        (None, None) => "all time".to_owned(),
    };
    let width = match &answer.step {
        Some(step) => format!("step {step}"),
        None => format!("grain {}", answer.grain),
    };
    let window = answer.window.as_ref().map(|window| format!("window {window}"));
    let zone = answer.tz.as_ref().map(|zone| format!("by the clocks of {zone}"));
    let parts = [answer.metric.clone()].into_iter().chain(key).chain(keys).chain([range, width]);
    let parts: Vec<String> = parts.chain(window).chain(zone).collect();
    printable(&parts.join(", ")).into_owned()
}

/// A key, column by column.
fn key_text(key: &Map<String, Value>) -> Vec<String> {
    let text = |(name, value): (&String, &Value)| match value {
        Value::Null => format!("{name} missing"),
        value => format!("{name}={}", plain(value)),
    };
    key.iter().map(text).collect()
}

/// One row: the values, and what is known of the whole answer.
fn push_row(page: &mut String, answer: &Answer, values: &Map<String, Value>, screen: Screen) {
    let mut columns: Vec<Column> = values.keys().map(|name| Column::right(name)).collect();
    columns.extend(["complete", "authoritative", "as_of"].map(Column::left));
    let authoritative = if answer.authoritative { "yes" } else { "no" };
    let judged = [
        Cell::yes_or_no(answer.complete),
        Cell::new(authoritative),
        Cell::new(answer.as_of.as_deref().unwrap_or(NULL)),
    ];
    let mut table = Table::new(columns);
    table.push(values.values().map(|value| cell(Some(value))).chain(judged).collect());
    page.push_str(&table.text(screen));
}

/// The sparkline of the first value, a row for each point, and what is known of the whole answer.
fn push_series(page: &mut String, answer: &Answer, points: &[Point], screen: Screen) {
    if let Some(name) = answer.names().next() {
        push_sparkline(page, name, points, screen);
    }
    let mut table = Table::new(columns_of_points(answer));
    points.iter().for_each(|point| table.push(point_cells(answer, point).collect()));
    page.push_str(&table.text(screen));
    page.push('\n');
    push_row(page, answer, &answer.values, screen);
}

/// A row for each key, or for each of its points, and what is known of the whole answer.
fn push_keys(page: &mut String, answer: &Answer, keys: &[OfKey], screen: Screen) {
    let mut columns: Vec<Column> = answer.columns().map(Column::left).collect();
    if answer.is_series() {
        columns.extend(columns_of_points(answer));
    } else {
        columns.extend(answer.names().map(Column::right));
        columns.push(Column::left("authoritative"));
    }
    let mut table = Table::new(columns);
    for of_key in keys {
        let key = || of_key.key.values().map(|value| cell(Some(value)));
        for point in of_key.points.iter().flatten() {
            table.push(key().chain(point_cells(answer, point)).collect());
        }
        if !answer.is_series() {
            let values = answer.names().map(|name| cell(of_key.values.get(name)));
            let authoritative = Cell::new(if of_key.authoritative { "yes" } else { "no" });
            table.push(key().chain(values).chain([authoritative]).collect());
        }
    }
    page.push_str(&table.text(screen));
    page.push('\n');
    push_row(page, answer, &answer.values, screen);
}

fn columns_of_points(answer: &Answer) -> Vec<Column> {
    let head = if answer.says_ends() { &["start", "end", "layer"][..] } else { &["start", "layer"] };
    head.iter().map(|name| Column::left(name)).chain(answer.names().map(Column::right)).collect()
}

fn point_cells<'a>(answer: &'a Answer, point: &'a Point) -> impl Iterator<Item = Cell> {
    let end = answer.says_ends().then(|| point.end.as_deref().unwrap_or(NULL));
    let head = [Some(point.start.as_str()), end, Some(point.layer.as_str())].into_iter().flatten().map(Cell::new);
    head.chain(answer.names().map(|name| cell(point.values.get(name))))
}

fn push_sparkline(page: &mut String, name: &str, points: &[Point], screen: Screen) {
    let values: Vec<Option<&Number>> = points.iter().map(|point| point.values.get(name)?.as_number()).collect();
    if values.is_empty() {
        return;
    }
    let heights: Vec<Option<f64>> = values.iter().map(|value| value.and_then(Number::as_f64)).collect();
    let sparkline = Sparkline::of(&heights, screen.width.unwrap_or(BLOCKS_MAX));
    let above_zero = values.into_iter().flatten().filter(|value| value.as_f64() > Some(0.0));
    let largest = above_zero.max_by(|a, b| a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal));
    let top = largest.map_or_else(|| "0".to_owned(), number);
    let each = match sparkline.values_per_block {
        1 => String::new(),
        points => format!(", each block the largest of {points} points"),
    };
    push_line(page, &format!("{name} from 0 to {top}{each}:\n{}\n", sparkline.line));
}

fn batch_share(answer: &Answer) -> String {
    let batch = &answer.provenance.batch;
    let Some(version) = batch.version else { return "batch: nothing, no reconcile has run yet".to_owned() };
    let of = batch.committed_at.as_ref().map_or_else(String::new, |at| format!(" of {at}"));
    format!("batch: {}version {}{of}", contributed(&batch.values), integer(version))
}

fn speed_share(answer: &Answer) -> String {
    let speed = &answer.provenance.speed;
    let lag = match speed.lag_ms {
        Some(lag_ms) => format!("{} behind", duration(lag_ms)),
        None => "how far it is behind is not known".to_owned(),
    };
    format!("speed: {}{lag}", contributed(&speed.values))
}

/// What a layer has contributed; that to several keys is not told.
fn contributed(values: &Map<String, Value>) -> String {
    if values.is_empty() { String::new() } else { format!("{}; ", named(values)) }
}

/// A line for each value that does not fit in 64 bits somewhere in the answer.
fn overflows<'a>(overflows: impl Iterator<Item = &'a Overflow>) -> Vec<String> {
    let mut places: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for Overflow { value, reason } in overflows {
        *places.entry((value.as_str(), reason.as_str())).or_default() += 1;
    }
    let line = |((value, reason), places): ((&str, &str), u64)| {
        let places = if places == 1 { String::new() } else { format!(" in {} places", integer(places)) };
        format!("{value} is null{places}: {}", printable(reason))
    };
    places.into_iter().map(line).collect()
}

/// How far the true value may be from what is shown; nothing if it is exact.
fn certainty(name: &str, bound: &Bound) -> Option<String> {
    match bound {
        Bound { exact: Some(true), .. } => None,
        Bound { low: Some(low), high: Some(high), .. } => {
            Some(format!("{name} is an estimate: {} to {} in 95 of 100 cases", number(low), number(high)))
        }
        Bound { exact: Some(false), .. } => {
            Some(format!("{name} had more values than are counted: see what each may be"))
        }
        Bound { relative_error: Some(error), .. } => {
            Some(format!("{name} is within {}% of the true value", error * 100.0))
        }
        _ => Some(format!("{name} may be any value beyond what is told apart")),
    }
}

/// Values by name, such as `views 24, dwell_ms 134,869`.
fn named(values: &Map<String, Value>) -> String {
    let named: Vec<String> = values.iter().map(|(name, value)| format!("{name} {}", shown(Some(value)))).collect();
    named.join(", ")
}

/// A value of an answer; `-` if there is none.
pub(in crate::commands) fn cell(value: Option<&Value>) -> Cell {
    Cell::new(&shown(value))
}

/// A value as a person reads it.
pub(in crate::commands) fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NULL.to_owned(),
        Some(Value::Number(value)) => number(value),
        Some(Value::Array(ranked)) if ranked.is_empty() => NULL.to_owned(),
        Some(Value::Array(ranked)) => ranked.iter().map(frequent).collect::<Vec<_>>().join(", "),
        Some(other) => plain(other),
    }
}

/// One of the most frequent values, such as `video-7 24`, or `video-7 24-26` if there may be two more.
fn frequent(ranked: &Value) -> String {
    let value = plain(&ranked["value"]);
    let [count, at_most] = ["count", "at_most"].map(|name| ranked[name].as_number().map_or_else(String::new, number));
    let value = printable(&value);
    if count == at_most { format!("{value} {count}") } else { format!("{value} {count}-{at_most}") }
}

/// A value of the group key as the request gave it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn push_line(page: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{line}");
}
