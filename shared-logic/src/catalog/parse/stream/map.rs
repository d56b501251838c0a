//! Reads maps.

use std::collections::BTreeMap;

use super::{lookup, own};
use crate::catalog::parse::condition::accepted;
use crate::catalog::parse::document::{Table, Text};
use crate::catalog::parse::name;
use crate::catalog::parse::source::Draft;
use crate::catalog::stream::OF_MAPS;
use crate::catalog::{Lookup, Map, stream_source};
use crate::expression::{Expression, Scope};
use crate::schema::FieldType;
use crate::suggest;

/// Reads the keys of a map, whose lookups are read already. `drafts` are the sources, tables among them.
pub(super) fn map(
    table: &mut Table<'_>,
    from: Option<&Draft>,
    lookups: Vec<Lookup>,
    drafts: &BTreeMap<String, Draft>,
) -> Map {
    let fields = if table.holds("fields") { fields(table, from, &lookups, drafts) } else { all_fields(table, from) };
    lookup::check_names(table, &lookups, &fields);
    let key = table.text("key");
    if let (Some(key), Some(from)) = (key, from) {
        check_key(table, from, key, &fields, &lookups);
    }
    Map { key: key.map(|key| key.value.to_owned()), fields, lookups }
}

/// All fields of the source, as they are.
fn all_fields(table: &Table<'_>, from: Option<&Draft>) -> Vec<(String, Expression)> {
    let Some(from) = from else { return Vec::new() };
    own::check(table, from, OF_MAPS, "map");
    let fields = stream_source::handed_on(&from.source);
    fields.map(|field| (field.name.clone(), Expression::column(&field.name, field.kind))).collect()
}

fn fields(
    table: &mut Table<'_>,
    from: Option<&Draft>,
    lookups: &[Lookup],
    drafts: &BTreeMap<String, Draft>,
) -> Vec<(String, Expression)> {
    let Some(mut declared) = table.table("fields") else { return Vec::new() };
    if declared.is_empty() {
        declared.mistakes.report(declared.at, "`fields` names no field", "name one, or leave `fields` out to keep all");
    }
    let mut fields: Vec<(String, Expression)> = Vec::new();
    for name in declared.keys_in_order() {
        name::check_output(declared.mistakes, name);
        if OF_MAPS.iter().any(|own| own.eq_ignore_ascii_case(name.value)) {
            let what = format!("field `{}` is called like one that every map writes itself", name.value);
            declared.mistakes.report(name.at, what, "call it otherwise");
        }
        // Columns of the archive are told apart without regard to case.
        if let Some((other, _)) = fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name.value)) {
            let what = format!("fields `{other}` and `{}` differ in case only", name.value);
            declared.mistakes.report(name.at, what, "call one of them otherwise");
        }
        if lookup::is_refused(&mut declared, name.value, from, lookups, drafts) {
            continue;
        }
        let (Some(text), Some(from)) = (declared.text(name.value), from) else { continue };
        let place = format!("field `{}`", name.value);
        let read = Expression::parse(text.value, &Scope::of_fields(&from.source.fields));
        if let Some(of) = accepted(&declared, text, &place, read, from.doubtful) {
            fields.push((name.value.to_owned(), of));
        }
    }
    fields
}

/// Checks the field that records are keyed by anew: it is one of the output, is there in each, and has one text for equal values.
fn check_key(table: &mut Table<'_>, from: &Draft, key: Text<'_>, fields: &[(String, Expression)], lookups: &[Lookup]) {
    let name = key.value;
    let Some((_, of)) = fields.iter().find(|(field, _)| field == name) else {
        if lookups.iter().any(|lookup| lookup.take.iter().any(|taken| taken == name) || lookup.seen() == name) {
            return lookup::report(table, key.at, "key", name);
        }
        // It may be one that was refused.
        let holds = |fields: Table<'_>| fields.holds(name);
        let is_held = table.holds_table("fields") && table.table("fields").is_some_and(holds);
        if !from.doubtful && !is_held {
            let fix = suggest::fix(name, "fields of its records", fields.iter().map(|(field, _)| field.as_str()));
            table.mistakes.report(key.at, format!("`key` names `{name}`, which the stream does not write"), fix);
        }
        return;
    };
    if of.kind() == FieldType::Float {
        let what = format!("`key` names `{name}`, which is float");
        table.mistakes.report(key.at, what, "key by a string, int, bool or timestamp");
    } else if stream_source::may_be_null(&from.source, of) && !from.doubtful {
        let what = format!("`key` names `{name}`, which may be absent, and a record without a key has no partition");
        let fix = format!("name `fields`, and give it a value wherever it is absent: {name} = \"coalesce({of}, …)\"");
        table.mistakes.report(key.at, what, fix);
    }
}
