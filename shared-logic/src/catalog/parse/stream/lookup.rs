//! Reads what maps look up in tables, and refuses looked-up columns wherever they would decide something (B4).

use std::collections::BTreeMap;

use crate::catalog::parse::document::{Table, Text};
use crate::catalog::parse::source::Draft;
use crate::catalog::stream::OF_MAPS;
use crate::catalog::{Lookup, Source};
use crate::expression::{Expression, Scope};
use crate::schema::{Field, FieldType};
use crate::suggest;

/// What stands below `lookup`: a table for each table of the catalog that is looked into.
pub(super) fn lookups(table: &mut Table<'_>, from: Option<&Draft>, drafts: &BTreeMap<String, Draft>) -> Vec<Lookup> {
    let Some(mut all) = table.table("lookup") else { return Vec::new() };
    let mut lookups = Vec::new();
    for name in all.keys_in_order() {
        let Some(mut entry) = all.table(name.value) else { continue };
        let rows = rows_of(&all, name, drafts);
        let on = entry.required_text("on", from.and_then(|from| from.source.key.as_deref()).unwrap_or("user_id"));
        let take = entry.texts("take");
        let require = entry.flag("require").unwrap_or_default();
        if take.is_empty() {
            let what = format!("{} takes no field", entry.title);
            let example = rows.and_then(|rows| rows.source.fields.first()).map_or("name", |field| field.name.as_str());
            entry.mistakes.report(entry.at, what, format!("add take = [\"{example}\"]"));
        }
        if let (Some(on), Some(from), Some(rows)) = (on, from, rows) {
            check_on(&entry, on, from, rows);
        }
        for field in &take {
            check_taken(&entry, *field, rows);
        }
        entry.refuse_unknown_keys();
        lookups.push(Lookup {
            table: name.value.to_owned(),
            on: on.map(|on| on.value.to_owned()).unwrap_or_default(),
            take: take.into_iter().map(|field| field.value.to_owned()).collect(),
            require,
        });
    }
    if lookups.is_empty() {
        all.mistakes.report(all.at, format!("{} names no table", all.title), "name one, or leave it out");
    }
    lookups
}

/// The table that is looked into.
fn rows_of<'d>(all: &Table<'_>, name: Text<'_>, drafts: &'d BTreeMap<String, Draft>) -> Option<&'d Draft> {
    let tables = || drafts.iter().filter(|(_, draft)| draft.source.is_table).map(|(name, _)| name.as_str());
    match drafts.get(name.value) {
        Some(draft) if draft.source.is_table => Some(draft),
        Some(_) => {
            let what = format!("{} names `{}`, which is no table", all.title, name.value);
            all.mistakes.report(name.at, what, "declare its topic as [tables.…], if its records are keyed changes");
            None
        }
        None => {
            let what = format!("{} names the unknown table `{}`", all.title, name.value);
            all.mistakes.report(name.at, what, suggest::fix(name.value, "tables", tables()));
            None
        }
    }
}

/// The field that names a row has the type of the table's key, so that equal values have equal texts.
fn check_on(entry: &Table<'_>, on: Text<'_>, from: &Draft, rows: &Draft) {
    let Some(field) = from.source.field(on.value) else {
        if !from.doubtful {
            let fields = from.source.fields.iter().map(|field| field.name.as_str());
            let what = format!("`on` names the undeclared field `{}` of `{}`", on.value, from.source.name);
            entry.mistakes.report(on.at, what, suggest::fix(on.value, "fields", fields));
        }
        return;
    };
    let Some(key) = rows.source.key.as_deref().and_then(|key| rows.source.field(key)) else { return };
    if field.kind != key.kind && !rows.doubtful {
        let (table, key, of_key) = (&rows.source.name, &key.name, key.kind.name());
        let what =
            format!("`on` names `{}`, which is {}, and `{table}` is keyed by {of_key}", on.value, field.kind.name());
        entry.mistakes.report(on.at, what, format!("name the field that holds `{key}`"));
    }
}

fn check_taken(entry: &Table<'_>, field: Text<'_>, rows: Option<&Draft>) {
    let Some(rows) = rows.filter(|rows| !rows.doubtful && rows.source.field(field.value).is_none()) else { return };
    let fields = rows.source.fields.iter().map(|field| field.name.as_str());
    let what = format!("`take` names `{}`, which `{}` does not declare", field.value, rows.source.name);
    entry.mistakes.report(field.at, what, suggest::fix(field.value, "fields", fields));
}

/// Checks that what outputs have from tables is called like nothing else that they have.
pub(super) fn check_names(table: &mut Table<'_>, lookups: &[Lookup], fields: &[(String, Expression)]) {
    let mut taken: Vec<String> =
        OF_MAPS.iter().map(|own| (*own).to_owned()).chain(fields.iter().map(|(name, _)| name.clone())).collect();
    let Some(mut all) = table.table("lookup") else { return };
    for lookup in lookups {
        let Some(entry) = all.table(&lookup.table) else { continue };
        for name in lookup.take.iter().cloned().chain([lookup.seen()]) {
            if taken.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
                let what = format!("outputs would have two fields `{name}`, one of them from `{}`", lookup.table);
                entry.mistakes.report(entry.at, what, "name `fields`, and call the other one otherwise");
            }
            taken.push(name);
        }
    }
}

/// Whether an expression under that key reads a looked-up column, which is reported then. A field of the source that is called so is
/// meant first.
pub(super) fn is_refused(
    table: &mut Table<'_>,
    key: &str,
    from: Option<&Draft>,
    lookups: &[Lookup],
    drafts: &BTreeMap<String, Draft>,
) -> bool {
    let Some(from) = from.filter(|_| !lookups.is_empty() && table.holds(key)) else { return false };
    // What is no text is reported by now.
    let Some(text) = table.text(key) else { return true };
    let looked_up = looked_up(&from.source, lookups, drafts);
    let both: Vec<Field> = from.source.fields.iter().chain(&looked_up).cloned().collect();
    let Ok(of) = Expression::parse(text.value, &Scope::of_fields(&both)) else { return false };
    let columns = of.columns();
    let Some(column) = looked_up.iter().find(|field| columns.contains(field.name.as_str())) else { return false };
    report(table, text.at, key, &column.name);
    true
}

/// Reports a part of a stream that names a column which the same stream looks up.
pub(super) fn report(table: &Table<'_>, at: usize, key: &str, column: &str) {
    let what = format!("`{key}` reads `{column}`, which the same stream looks up");
    let fix = "read it in a second stream, a map with `from` this one: so no row decides whether there is an output";
    table.mistakes.report(at, what, fix);
}

/// The fields that outputs have from tables, but for those that are called like a field of the source.
fn looked_up(from: &Source, lookups: &[Lookup], drafts: &BTreeMap<String, Draft>) -> Vec<Field> {
    let mut fields = Vec::new();
    for lookup in lookups {
        let rows = drafts.get(&lookup.table);
        fields.extend(lookup.take.iter().filter_map(|name| rows?.source.field(name)).cloned());
        fields.push(Field::new(&lookup.seen(), FieldType::String, true));
    }
    fields.retain(|field| from.field(&field.name).is_none());
    fields
}
