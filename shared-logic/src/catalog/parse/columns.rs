//! Checks the fields of formats with columns: what their paths mean there, and columns that have their names from the format.

use super::document::Table;
use crate::format::{Format, Pattern};
use crate::schema::{Field, FieldType, InstantFormat, Place, Step};
use crate::suggest;

/// Checks the fields, and writes down how instants are written where only the format says it.
pub(super) fn check(table: &mut Table<'_>, format: Format, fields: &mut [Field]) {
    if format.null().is_none() || !table.holds_table("fields") {
        return;
    }
    let Some(declared) = table.table("fields") else { return };
    let names = declared.keys_in_order();
    for field in fields {
        let at = names.iter().find(|name| name.value == field.name).map_or(declared.at, |name| name.at);
        if let Some((what, fix)) = refusal(format, field) {
            declared.mistakes.report(at, what, fix);
        }
        if field.kind == FieldType::Timestamp && field.instants == InstantFormat::Usual {
            field.instants = format.usual_instants();
        }
    }
}

/// What is wrong with a field, and what to write instead.
fn refusal(format: Format, field: &Field) -> Option<(String, String)> {
    if let Place::Path(steps) = &field.place
        && !matches!(steps.as_slice(), [Step::Member(_)])
    {
        let what = format!("the path of `{}` has several steps, and {} has columns", field.name, format.name());
        return Some((what, "name one column, such as path = [\"User-Agent\"]".to_owned()));
    }
    let columns = format.named_columns();
    if columns.is_empty() {
        return None;
    }
    let Some(column) = columns.iter().find(|column| column.name == field.column()) else {
        let fix = suggest::fix(field.column(), "columns", columns.iter().map(|column| column.name));
        return Some((format!("{} has no column `{}`", format.name(), field.column()), fix));
    };
    if !column.kinds.contains(&field.kind) {
        let kinds: Vec<&str> = column.kinds.iter().map(|kind| kind.name()).collect();
        let what = format!("field `{}` is {}, and the column `{}` is not", field.name, field.kind.name(), column.name);
        return Some((what, format!("write {}", kinds.join(" or "))));
    }
    let in_brackets = |pattern: Pattern| pattern.sample().contains(['[', ']', '"', '\\']);
    match &field.instants {
        InstantFormat::Pattern(text) if Pattern::new(text).is_ok_and(in_brackets) => {
            let what =
                format!("the format of `{}` holds brackets or quotes, between which the time stands", field.name);
            Some((what, "leave them out".to_owned()))
        }
        _ => None,
    }
}
