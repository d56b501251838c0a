//! Reads `by`: the columns that events are grouped by.

use super::document::{Table, Text};
use super::source::Draft;
use crate::schema::FieldType;
use crate::suggest;

/// The columns in their order. Each is a field, named once, and not a float.
pub(super) fn by<'t>(table: &mut Table<'t>, draft: Option<&Draft>) -> Vec<Text<'t>> {
    let columns = table.texts("by");
    for (i, column) in columns.iter().enumerate() {
        if columns[..i].iter().any(|before| before.value == column.value) {
            table.mistakes.report(column.at, format!("`by` names `{}` twice", column.value), "name it once");
        }
        if let Some(draft) = draft {
            check(table, draft, "by", *column);
        }
    }
    columns
}

/// Checks that a key names a field which is not a float, since equal floats need not have equal texts.
pub(super) fn check(table: &Table<'_>, draft: &Draft, key: &str, column: Text<'_>) {
    let name = column.value;
    match draft.source.field(name) {
        None if draft.doubtful => {}
        None => {
            let fields = draft.source.fields.iter().map(|field| field.name.as_str());
            let fix = suggest::fix(name, "fields", fields);
            table.mistakes.report(column.at, format!("`{key}` names the undeclared field `{name}`"), fix);
        }
        Some(field) if field.kind == FieldType::Float => {
            let what = format!("`{key}` names `{name}`, which is float");
            table.mistakes.report(column.at, what, "name a string, int, bool or timestamp");
        }
        Some(_) => {}
    }
}
