//! Reads `[metrics.…]`, and checks it against the fields of the metric's source.

use std::collections::BTreeMap;

use super::document::{Table, Text};
use super::name;
use super::retain::retain;
use super::source::Draft;
use crate::catalog::{Derived, MAX_BY, Measure, Metric};
use crate::expression::{Expression, Refused, Scope};
use crate::schema::{FieldType, Place};
use crate::suggest;
use crate::time::{DAY_US, SECOND_US, parse_duration_us};

/// Names of query parameters. A group-key column is a query parameter too, so it cannot have one of these names.
const PARAMETERS: &[&str] = &["from", "key", "limit", "measure", "metric", "require", "step", "to"];

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
    let filter = filter(&mut table, draft);
    let by = by(&mut table, draft);
    let grain_us = grain(&mut table).unwrap_or(60 * SECOND_US);
    let retain_us = retain(&mut table, DAY_US, "a day, as whole days go");
    let (measures, all_read) = measures(&mut table, draft, &by);
    let derived = derived(&mut table, &measures, all_read);
    table.refuse_unknown_keys();
    let source = source.map(|source| source.value.to_owned()).unwrap_or_default();
    Metric { name: name.to_owned(), source, filter, by, grain_us, retain_us, measures, derived }
}

/// Reports why an expression was refused, unless it may only contradict declarations that are wrong themselves.
fn report(table: &Table<'_>, text: Text<'_>, place: &str, refused: Refused, doubtful: bool) {
    if !doubtful {
        table.mistakes.report(text.at, format!("{place}: {}", refused.what), refused.fix);
    }
}

fn filter(table: &mut Table<'_>, draft: Option<&Draft>) -> Option<Expression> {
    let text = table.text("where")?;
    let draft = draft?;
    match Expression::parse(text.value, &Scope::of_fields(&draft.source.fields)) {
        Ok(condition) if condition.kind() == FieldType::Bool => Some(condition),
        Ok(other) => {
            let what = format!("`where` is {}, not a condition: `{}`", other.kind().name(), text.value);
            table.mistakes.report(text.at, what, "write a comparison, such as `status = 200`");
            None
        }
        Err(refused) => {
            report(table, text, "`where`", refused, draft.doubtful);
            None
        }
    }
}

fn by(table: &mut Table<'_>, draft: Option<&Draft>) -> Vec<String> {
    let columns = table.texts("by");
    if let Some(excess) = columns.get(MAX_BY) {
        let what = format!("`by` has {} columns, at most {MAX_BY} are counted by", columns.len());
        table.mistakes.report(excess.at, what, "leave some out, or make it several metrics");
    }
    for (i, column) in columns.iter().enumerate() {
        let name = column.value;
        if columns[..i].iter().any(|before| before.value == name) {
            table.mistakes.report(column.at, format!("`by` names `{name}` twice"), "name it once");
        }
        if PARAMETERS.contains(&name) {
            let what = format!("`by` names `{name}`, which is a parameter of queries");
            table.mistakes.report(column.at, what, another_name(draft, name));
        } else if name.eq_ignore_ascii_case(BUCKET) {
            let what = format!("`by` names `{name}`, which is a column of every view");
            table.mistakes.report(column.at, what, another_name(draft, name));
        }
        if let Some(draft) = draft {
            by_column(table, draft, *column);
        }
    }
    columns.into_iter().map(|column| column.value.to_owned()).collect()
}

/// How a field of that name can be counted by all the same: under another name, and from the same place.
fn another_name(draft: Option<&Draft>, name: &str) -> String {
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

/// Checks a group-key column: it is declared, and not a float, since equal floats need not have equal texts.
fn by_column(table: &Table<'_>, draft: &Draft, column: Text<'_>) {
    let name = column.value;
    match draft.source.field(name) {
        None if draft.doubtful => {}
        None => {
            let fields = draft.source.fields.iter().map(|field| field.name.as_str());
            let fix = suggest::fix(name, "fields", fields);
            table.mistakes.report(column.at, format!("`by` names the undeclared field `{name}`"), fix);
        }
        Some(field) if field.kind == FieldType::Float => {
            let what = format!("`by` names `{name}`, which is float");
            table.mistakes.report(column.at, what, "count by a string, int, bool or timestamp");
        }
        Some(_) => {}
    }
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

/// The measures, and whether all could be read.
fn measures(table: &mut Table<'_>, draft: Option<&Draft>, by: &[String]) -> (Vec<Measure>, bool) {
    let Some(mut declared) = table.table("measures").filter(|measures| !measures.is_empty()) else {
        let what = format!("{} has no measures", table.title);
        let fix =
            format!("add [{}.measures] with, for example, events = \"count()\"", table.title.trim_matches(['[', ']']));
        table.mistakes.report(table.at, what, fix);
        return (Vec::new(), false);
    };
    let mut measures = Vec::new();
    let mut all_read = true;
    for name in declared.keys_in_order() {
        name::check(declared.mistakes, name, "measure");
        if name.value == BUCKET || by.iter().any(|column| column.eq_ignore_ascii_case(name.value)) {
            let what = format!("measure `{}` is called like another column of the view", name.value);
            declared.mistakes.report(name.at, what, "call the measure otherwise");
        }
        let (Some(text), Some(draft)) = (declared.text(name.value), draft) else {
            all_read = false;
            continue;
        };
        match Expression::parse_measure(text.value, &Scope::of_fields(&draft.source.fields)) {
            Ok((kind, of)) => measures.push(Measure { name: name.value.to_owned(), kind, of }),
            Err(refused) => {
                all_read = false;
                report(&declared, text, &format!("measure `{}`", name.value), refused, draft.doubtful);
            }
        }
    }
    (measures, all_read)
}

fn derived(table: &mut Table<'_>, measures: &[Measure], all_read: bool) -> Vec<Derived> {
    let Some(mut declared) = table.table("derived") else { return Vec::new() };
    let columns = measures.iter().map(|measure| (measure.name.clone(), measure.kind.value_type()));
    let scope = Scope::of_measures(columns);
    let mut derived = Vec::new();
    for name in declared.keys_in_order() {
        name::check(declared.mistakes, name, "derived value");
        if measures.iter().any(|measure| measure.name == name.value) {
            let what = format!("derived `{}` is called like a measure", name.value);
            declared.mistakes.report(name.at, what, "call one of them otherwise");
        }
        let Some(text) = declared.text(name.value) else { continue };
        let place = format!("derived `{}`", name.value);
        match Expression::parse(text.value, &scope) {
            Ok(of) if matches!(of.kind(), FieldType::Int | FieldType::Float) => {
                derived.push(Derived { name: name.value.to_owned(), of });
            }
            Ok(other) => {
                let what = format!("{place} is {}, not a number: `{}`", other.kind().name(), text.value);
                declared.mistakes.report(text.at, what, "write a calculation, such as `dwell_ms / views`");
            }
            Err(refused) => report(&declared, text, &place, refused, !all_read),
        }
    }
    derived
}
