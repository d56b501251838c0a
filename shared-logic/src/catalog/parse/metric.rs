//! Reads `[metrics.…]`, and checks it against the fields of the metric's source.

use std::collections::BTreeMap;

use super::by;
use super::condition::filter;
use super::document::Table;
use super::measures::{Aggregates, Others, aggregates};
use super::retain::retain;
use super::source::Draft;
use super::table as tables;
use crate::catalog::{MAX_BY, Metric};
use crate::schema::{FieldType, Place};
use crate::suggest;
use crate::time::{DAY_US, SECOND_US, parse_duration_us};

/// Names of query parameters. A group-key column is a query parameter too, so it cannot have one of these names.
const PARAMETERS: &[&str] = &[
    "after", "by", "from", "key", "limit", "measure", "metric", "prefix", "require", "step", "to", "tz", "version",
    "window",
];

/// The batch view's column for the start of a bucket.
const BUCKET: &str = "bucket";

/// Reads a metric. Reports mistakes and leaves the wrong parts out.
pub(super) fn metric(name: &str, mut table: Table<'_>, drafts: &BTreeMap<String, Draft>) -> Metric {
    let source = table.required_text("source", drafts.keys().next().map_or("views", String::as_str));
    let draft = source.and_then(|source| drafts.get(source.value));
    if let Some(source) = source
        && draft.is_none()
    {
        let fix = suggest::fix(source.value, "sources", drafts.keys().map(String::as_str));
        table.mistakes.report(source.at, format!("metric `{name}` names the unknown source `{}`", source.value), fix);
    }
    if let Some(source) = source
        && draft.is_some_and(|draft| draft.source.is_table)
    {
        let what = format!("metric `{name}` counts the table `{}`, whose records are no events", source.value);
        table.mistakes.report(source.at, what, tables::way_out(source.value));
    }
    let filter = filter(&mut table, draft);
    let by = by(&mut table, draft);
    let grain_us = grain(&mut table).unwrap_or(60 * SECOND_US);
    let retain_us = retain(&mut table, DAY_US, "a day, as whole days go");
    let names = by.iter().map(String::as_str).chain([BUCKET]).collect();
    let others = Others { names, holder: "the view", with_derived: false, with_sketches: true };
    let Aggregates { measures, derived } = aggregates(&mut table, draft, &others);
    table.refuse_unknown_keys();
    let source = source.map(|source| source.value.to_owned()).unwrap_or_default();
    Metric { name: name.to_owned(), source, filter, by, grain_us, retain_us, measures, derived }
}

fn by(table: &mut Table<'_>, draft: Option<&Draft>) -> Vec<String> {
    let columns = by::by(table, draft);
    if let Some(excess) = columns.get(MAX_BY) {
        let what = format!("`by` has {} columns, at most {MAX_BY} are counted by", columns.len());
        table.mistakes.report(excess.at, what, "leave some out, or make it several metrics");
    }
    for column in &columns {
        let name = column.value;
        if PARAMETERS.contains(&name) {
            let what = format!("`by` names `{name}`, which is a parameter of queries");
            table.mistakes.report(column.at, what, another_name(draft, name));
        } else if name.eq_ignore_ascii_case(BUCKET) {
            let what = format!("`by` names `{name}`, which is a column of every view");
            table.mistakes.report(column.at, what, another_name(draft, name));
        }
    }
    columns.into_iter().map(|column| column.value.to_owned()).collect()
}

/// How a field of that name can be counted by all the same: under another name, and from the same place.
fn another_name(draft: Option<&Draft>, name: &str) -> String {
    if draft.is_some_and(|draft| draft.source.is_stream) {
        return format!("call it otherwise in the stream, such as event_{name}");
    }
    let field = draft.and_then(|draft| draft.source.field(name));
    if field.is_some_and(|field| matches!(field.place, Place::Path(_))) {
        return format!("give the field another name, such as event_{name}, and leave its path as it is");
    }
    let (kind, optional) = field.map_or((FieldType::String, false), |field| (field.kind, field.optional));
    let kind = format!("{}{}", kind.name(), if optional { "?" } else { "" });
    format!(
        "give the field another name and say where it stands: event_{name} = {{ type = \"{kind}\", path = \"{name}\" }}"
    )
}

fn grain(table: &mut Table<'_>) -> Option<i64> {
    let text = table.text("grain")?;
    let us = parse_duration_us(text.value).filter(|us| *us >= SECOND_US && DAY_US % us == 0);
    if us.is_none() {
        let what = format!("`grain` is \"{}\", which does not divide 24 hours or is below a second", text.value);
        table.mistakes.report(text.at, what, "write one such as \"10s\", \"1m\", \"15m\", \"1h\" or \"24h\"");
    }
    us
}
