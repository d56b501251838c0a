//! Reads `[sources.….fields]`: a type, or a table that also says where the value stands and how it is written.

use super::document::{Table, Text};
use super::{instant, name};
use crate::schema::{Field, FieldType, InstantFormat, Place, Step};
use crate::suggest;

/// The declared fields in the order of the file, and whether any of them was wrong. `zoned`: the source names a zone for
/// instants that name none.
pub(super) fn fields(table: &mut Table<'_>, zoned: bool) -> (Vec<Field>, bool) {
    let Some(mut declared) = table.table("fields").filter(|fields| !fields.is_empty()) else {
        let what = format!("{} declares no fields", table.title);
        let fix = format!("add [{}.fields]", table.title.trim_matches(['[', ']']));
        table.mistakes.report(table.at, what, fix);
        return (Vec::new(), true);
    };
    let mut fields: Vec<Field> = Vec::new();
    let mut doubtful = false;
    for name in declared.keys_in_order() {
        name::check_field(declared.mistakes, name);
        // Columns of the archive are told apart without regard to case.
        if let Some(other) = fields.iter().find(|other| other.name.eq_ignore_ascii_case(name.value)) {
            let what = format!("fields `{}` and `{}` differ in case only", other.name, name.value);
            declared.mistakes.report(name.at, what, "call one of them otherwise");
        }
        match field(&mut declared, name, zoned) {
            Some(field) => fields.push(field),
            None => doubtful = true,
        }
    }
    (fields, doubtful)
}

/// The field of that name: `"int?"`, or a table with `type` and more. `None` if its type is unknown.
fn field(declared: &mut Table<'_>, name: Text<'_>, zoned: bool) -> Option<Field> {
    if !declared.holds_table(name.value) {
        let text = declared.text(name.value)?;
        return typed(declared, name, text);
    }
    let mut table = declared.table(name.value)?;
    let text = table.required_text("type", "string");
    let mut field = text.and_then(|text| typed(&table, name, text));
    let (place, format, numbers) = (place(&mut table), table.text("format"), table.flag("numbers"));
    if let Some(field) = &mut field {
        field.place = place;
        let misplaced = |key: &str, kind: &str| {
            let what = format!("field `{}` is {}, and `{key}` is for {kind}", field.name, field.kind.name());
            table.mistakes.report(table.at, what, format!("leave {key} out"));
        };
        if field.kind != FieldType::Timestamp && format.is_some() {
            misplaced("format", "timestamps");
        }
        if field.kind != FieldType::String && numbers == Some(true) {
            misplaced("numbers", "strings");
        }
        if field.kind == FieldType::Timestamp {
            field.instants = instant::format(&mut table, zoned).unwrap_or(InstantFormat::Usual);
        }
        field.numbers = numbers.unwrap_or_default();
    }
    table.refuse_unknown_keys();
    field
}

/// A field of the type that the text names; `?` at its end makes it optional.
fn typed(table: &Table<'_>, name: Text<'_>, text: Text<'_>) -> Option<Field> {
    let (word, optional) = text.value.strip_suffix('?').map_or((text.value, false), |word| (word, true));
    match field_type(word) {
        Ok(kind) => Some(Field::new(name.value, kind, optional)),
        Err(fix) => {
            let what = format!("field `{}` has the unknown type \"{word}\"", name.value);
            table.mistakes.report(text.at, what, fix);
            None
        }
    }
}

/// `path`: a text such as `user.id` or `items[0].sku`, or a list of the steps, each as it is written.
fn place(table: &mut Table<'_>) -> Place {
    if table.holds_list("path") {
        let steps = table.texts("path");
        let step = |text: &Text<'_>| Step::Member(text.value.to_owned());
        return if steps.is_empty() { Place::Own } else { Place::Path(steps.iter().map(step).collect()) };
    }
    let Some(text) = table.text("path") else { return Place::Own };
    match steps(text.value) {
        Some(steps) => Place::Path(steps),
        None => {
            let fix = "write names with dots between them and positions in brackets, such as \"user.id\" or \"items[0].sku\"; \
                       or a list of names, such as [\"foo.bar\", \"id\"]";
            table.mistakes.report(text.at, format!("`path` is \"{}\"", text.value), fix);
            Place::Own
        }
    }
}

/// The steps of a path that is written as one text.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, positions) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() {
            return None;
        }
        steps.push(Step::Member(name.to_owned()));
        let mut rest = positions;
        while !rest.is_empty() {
            let (position, behind) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Element(position.parse().ok()?));
            rest = behind;
        }
    }
    Some(steps)
}

/// The type of that name, or else the fix that names the type that is probably meant.
fn field_type(word: &str) -> Result<FieldType, String> {
    use FieldType::{Bool, Float, Int, String, Timestamp};
    let all = [String, Int, Float, Bool, Timestamp];
    if let Some(kind) = all.into_iter().find(|kind| kind.name() == word) {
        return Ok(kind);
    }
    let meant = match word.to_lowercase().as_str() {
        "text" | "str" | "varchar" | "uuid" => Some(String),
        "integer" | "long" | "bigint" | "int64" | "int32" | "i64" => Some(Int),
        "double" | "number" | "real" | "float64" | "f64" | "decimal" => Some(Float),
        "boolean" => Some(Bool),
        "date" | "datetime" | "time" | "timestamptz" => Some(Timestamp),
        _ => None,
    };
    Err(match meant {
        Some(kind) => format!("write \"{}\"", kind.name()),
        None => suggest::fix(word, "types", all.map(FieldType::name)),
    })
}
