//! What a stream groups events by, and whether the events of a group lie in one partition (T12).

use crate::catalog::parse::by;
use crate::catalog::parse::document::{Table, Text};
use crate::catalog::parse::source::Draft;
use crate::schema::FieldType;

/// The columns of a window or session. `own` are the fields that all its outputs have.
pub(super) fn by(table: &mut Table<'_>, from: Option<&Draft>, own: &[&str]) -> Vec<String> {
    if !table.holds("by") {
        let example = from.and_then(|from| from.source.key.as_deref()).unwrap_or("user_id");
        let what = format!("{} has no `by`", table.title);
        table.mistakes.report(table.at, what, format!("add by = [\"{example}\"]"));
    }
    let columns = by::by(table, from);
    for column in &columns {
        if own.iter().any(|own| own.eq_ignore_ascii_case(column.value)) {
            let what = format!("`by` names `{}`, which every such stream writes itself", column.value);
            table.mistakes.report(column.at, what, "rename the field by a map first");
        }
    }
    if table.holds("by") {
        check(table, "by", &columns, from);
    }
    columns.into_iter().map(|column| column.value.to_owned()).collect()
}

/// The key of a detector.
pub(super) fn key(table: &mut Table<'_>, from: Option<&Draft>) -> String {
    let example = from.and_then(|from| from.source.key.as_deref()).unwrap_or("user_id");
    let Some(key) = table.required_text("key", example) else { return String::new() };
    if let Some(from) = from {
        by::check(table, from, "key", key);
    }
    check(table, "key", &[key], from);
    key.value.to_owned()
}

/// T12: unless the topic has one partition, events are grouped by the column that its records are keyed by, and maybe by more.
fn check(table: &Table<'_>, key: &str, columns: &[Text<'_>], from: Option<&Draft>) {
    let Some(source) = from.filter(|from| !from.doubtful).map(|from| &from.source) else { return };
    let keyed_by = source.key.as_deref();
    let meet = source.partitions == 1 || columns.iter().any(|column| Some(column.value) == keyed_by);
    // A column that is no field, or a float, is reported already.
    let is_reported = |column: &Text<'_>| source.field(column.value).is_none_or(|field| field.kind == FieldType::Float);
    if meet || columns.iter().any(is_reported) {
        return;
    }
    let name = &source.name;
    let column = columns.first().map_or("user_id", |column| column.value);
    let first = format!("[streams.{name}_by_{column}] with from = \"{name}\" and key = \"{column}\"");
    let apart = "so events of one group lie in several partitions";
    let (what, mend) = match keyed_by {
        Some(keyed_by) if key == "by" => (
            format!("`by` lacks `{keyed_by}`, by which the records of `{name}` are keyed, {apart}"),
            format!("add \"{keyed_by}\""),
        ),
        Some(keyed_by) => (
            format!("`{key}` is not `{keyed_by}`, by which the records of `{name}` are keyed, {apart}"),
            format!("write {key} = \"{keyed_by}\""),
        ),
        None if source.is_stream => (
            format!("the records of `{name}` have lost the field that they are keyed by, {apart}"),
            "keep that field".to_owned(),
        ),
        None => (
            format!("the catalog does not say by what the records of `{name}` are keyed, {apart}"),
            format!("write key = \"{column}\" in [sources.{name}] if its producers do so"),
        ),
    };
    let fix = format!("{mend}, or re-key by a map first, {first}, and read that");
    table.mistakes.report(table.key_at(key).unwrap_or(table.at), what, fix);
}
