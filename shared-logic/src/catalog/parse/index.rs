//! Reads `[indexes.…]`, and checks each against the table or stream that it follows.

use std::collections::BTreeMap;

use super::document::{Table as Section, Text};
use super::name;
use super::source::Draft;
use crate::catalog::index::occurs_once;
use crate::catalog::{Index, IndexField, IndexFrom, IndexKind, OUTPUT_ID, SEARCH_WORDS, SLICE};
use crate::schema::FieldType;
use crate::suggest;

/// More fields are refused: a server keeps structures for each of them.
const FIELDS_MAX: usize = 200;

/// Reads all indexes. Reports mistakes and leaves the wrong parts out.
pub(super) fn indexes(section: Option<Section<'_>>, drafts: &BTreeMap<String, Draft>) -> BTreeMap<String, Index> {
    let mut indexes = BTreeMap::new();
    let Some(mut section) = section else { return indexes };
    for name in section.keys_in_order() {
        name::check(section.mistakes, name, "index");
        let Some(entry) = section.table(name.value) else { continue };
        indexes.extend(index(name.value, entry, drafts).map(|index| (name.value.to_owned(), index)));
    }
    indexes
}

/// Reads one index; `None` if nothing can stand for what is wrong with it.
fn index(name: &str, mut table: Section<'_>, drafts: &BTreeMap<String, Draft>) -> Option<Index> {
    let from = from(name, &mut table, drafts);
    let id = id(&mut table, from.as_ref());
    let fields = fields(&mut table, from.as_ref().map(|(_, draft)| *draft));
    table.refuse_unknown_keys();
    let (from, _) = from?;
    Some(Index { name: name.to_owned(), from, id: id?, fields })
}

/// Reads what the index follows, such as `tables.users`.
fn from<'a>(
    name: &str,
    table: &mut Section<'_>,
    drafts: &'a BTreeMap<String, Draft>,
) -> Option<(IndexFrom, &'a Draft)> {
    let known: Vec<String> = drafts.values().filter_map(|draft| Some(followed(draft)?.to_string())).collect();
    let text = table.required_text("from", known.first().map_or("tables.users", String::as_str))?;
    let found = drafts.values().find_map(|draft| {
        let from = followed(draft)?;
        (from.to_string() == text.value).then_some((from, draft))
    });
    let Some((from, draft)) = found else {
        let fix = suggest::fix(text.value, "tables and streams", known.iter().map(String::as_str));
        let is_source = drafts.get(text.value.trim_start_matches("sources.")).filter(|draft| followed(draft).is_none());
        let what = match is_source {
            Some(_) => {
                format!("index `{name}` follows `{}`, a source, whose records are no rows of any id", text.value)
            }
            None => format!("index `{name}` follows the unknown `{}`", text.value),
        };
        table.mistakes.report(text.at, what, fix);
        return None;
    };
    if draft.source.retain_us.is_some() {
        let what = format!("index `{name}` follows `{from}`, whose records are taken out after `retain`");
        let fix = "an index has every id: leave `retain` out of the source that the stream reads, or follow a table";
        table.mistakes.report(text.at, what, fix);
    }
    Some((from, draft))
}

/// What an index that follows this source would name; `None`: nothing can follow it.
fn followed(draft: &Draft) -> Option<IndexFrom> {
    let source = &draft.source;
    if source.is_table {
        return Some(IndexFrom::Table(source.name.clone()));
    }
    source.is_stream.then(|| IndexFrom::Stream(source.name.clone()))
}

/// Reads the field that is the id. All changes of an id have to lie in one partition, or to be one alone.
fn id(table: &mut Section<'_>, from: Option<&(IndexFrom, &Draft)>) -> Option<String> {
    let own = from.and_then(|(_, draft)| draft.source.key.clone());
    let example = own.clone().unwrap_or_else(|| OUTPUT_ID.to_owned());
    let Some((from, draft)) = from else {
        return table.text("id").map(|id| id.value.to_owned());
    };
    let text = match from {
        IndexFrom::Table(_) if !table.holds("id") => return own,
        _ => table.required_text("id", &example)?,
    };
    let Some(field) = draft.source.field(text.value) else {
        if !draft.doubtful {
            report_unknown(table, text, draft, "`id` names");
        }
        return None;
    };
    if own.as_deref() != Some(text.value) && !occurs_once(from, text.value) {
        let what = format!(
            "`id` names `{}`, and records of one {} may lie in several partitions of `{from}`, whose order is not known",
            text.value, text.value
        );
        let fix = match (from, &own) {
            (IndexFrom::Table(_), _) => format!("write id = \"{example}\", the key of the table, or leave it out"),
            (IndexFrom::Stream(_), Some(key)) => {
                format!(
                    "write id = \"{key}\", by which the stream is keyed, or id = \"{OUTPUT_ID}\", or key the stream anew"
                )
            }
            (IndexFrom::Stream(_), None) => {
                format!("write id = \"{OUTPUT_ID}\", or key the stream anew: key = \"{}\"", text.value)
            }
        };
        table.mistakes.report(text.at, what, fix);
        return None;
    }
    if field.optional || !matches!(field.kind, FieldType::String | FieldType::Int) {
        let optional = if field.optional { ", and may be absent" } else { "" };
        let what = format!("`id` names `{}`, which is {}{optional}", text.value, field.kind.name());
        table.mistakes.report(text.at, what, "an id is a required string or int");
        return None;
    }
    Some(text.value.to_owned())
}

/// Reads the fields, each with its kind.
fn fields(table: &mut Section<'_>, draft: Option<&Draft>) -> Vec<IndexField> {
    let mut fields = Vec::new();
    let kinds = IndexKind::ALL.map(IndexKind::name);
    let Some(mut section) = table.table("fields") else {
        if !table.holds("fields") {
            let fix =
                format!("say which fields can be searched, and how: [{}.fields] name = \"text\"", path(&table.title));
            table.mistakes.report(table.at, format!("{} has no `fields`", table.title), fix);
        }
        return fields;
    };
    if section.is_empty() {
        section.mistakes.report(
            section.at,
            format!("{} is empty", section.title),
            "name at least one field: name = \"text\"",
        );
    }
    let names = section.keys_in_order();
    if let Some(one_more) = names.get(FIELDS_MAX) {
        let what = format!("{} has {} fields", section.title, names.len());
        section.mistakes.report(one_more.at, what, format!("index at most {FIELDS_MAX} fields"));
    }
    for name in names {
        let Some(text) = section.text(name.value) else { continue };
        let kind = IndexKind::ALL.into_iter().find(|kind| kind.name() == text.value);
        if kind.is_none() {
            let what = format!("`{}` is indexed as the unknown kind \"{}\"", name.value, text.value);
            section.mistakes.report(text.at, what, suggest::fix(text.value, "kinds", kinds));
        }
        let Some(draft) = draft else { continue };
        let Some(field) = draft.source.field(name.value) else {
            if !draft.doubtful {
                report_unknown(&section, name, draft, "it indexes");
            }
            continue;
        };
        if SEARCH_WORDS.contains(&name.value) || name.value.eq_ignore_ascii_case(SLICE) {
            let what =
                format!("a search has a parameter `{}`, and so no index can have a field of that name", name.value);
            let fix = "give the field another name where it is declared, and say where it stands: \
                       other = { type = \"…\", path = \"…\" }";
            section.mistakes.report(name.at, what, fix);
            continue;
        }
        let Some(kind) = kind else { continue };
        if !kind.takes(field.kind) {
            let able: Vec<String> = IndexKind::ALL
                .iter()
                .filter(|kind| kind.takes(field.kind))
                .map(|kind| format!("\"{}\"", kind.name()))
                .collect();
            let what = format!("`{}` is {}, and indexed as \"{}\"", name.value, field.kind.name(), kind.name());
            section.mistakes.report(text.at, what, format!("write {}", able.join(" or ")));
            continue;
        }
        fields.push(IndexField { name: name.value.to_owned(), kind });
    }
    fields
}

fn report_unknown(table: &Section<'_>, text: Text<'_>, draft: &Draft, does: &str) {
    let known: Vec<&str> = draft.source.fields.iter().map(|field| field.name.as_str()).collect();
    let what = format!("{does} the undeclared field `{}`", text.value);
    table.mistakes.report(text.at, what, suggest::fix(text.value, "fields", known));
}

/// A title without its brackets.
fn path(title: &str) -> &str {
    title.trim_start_matches('[').trim_end_matches(']')
}
