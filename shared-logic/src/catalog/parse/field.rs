//! Reads `[sources.….fields]`: a type, or a table that also says where the value stands and how it is written.

use super::document::{Table, Text};
use super::{instant, name};
use crate::format::Format;
use crate::schema::{Field, FieldType, InstantFormat, Place, Step};
use crate::suggest;

/// What the table of a field may hold.
const KEYS: [&str; 4] = ["type", "path", "format", "numbers"];
/// Paths of more steps are refused.
const STEPS_MAX: usize = 32;
/// Elements behind this position cannot be named.
const POSITION_MAX: usize = 999;

/// The declared fields in the order of the file, and whether any of them was wrong. `zoned`: the source names a zone for
/// instants that name none.
pub(super) fn fields(table: &mut Table<'_>, format: Format, zoned: bool) -> (Vec<Field>, bool) {
    let Some(mut declared) = table.table("fields").filter(|fields| !fields.is_empty()) else {
        let what = format!("{} declares no fields", table.title);
        let fix = format!("add [{}.fields]", table.title.trim_matches(['[', ']']));
        table.mistakes.report(table.at, what, fix);
        return (Vec::new(), true);
    };
    let mut fields: Vec<Field> = Vec::new();
    let mut doubtful = false;
    for name in declared.keys_in_order() {
        name::check_field(declared.mistakes, name, format.is_positional());
        // Columns of the archive are told apart without regard to case.
        if let Some(other) = fields.iter().find(|other| other.name.eq_ignore_ascii_case(name.value)) {
            let what = format!("fields `{}` and `{}` differ in case only", other.name, name.value);
            declared.mistakes.report(name.at, what, "call one of them otherwise");
        }
        match field(&mut declared, name, format, zoned) {
            Some(field) => fields.push(field),
            None => doubtful = true,
        }
    }
    (fields, doubtful)
}

/// The field of that name: `"int?"`, or a table with `type` and more. `None` if its type is unknown.
fn field(declared: &mut Table<'_>, name: Text<'_>, format: Format, zoned: bool) -> Option<Field> {
    if !declared.holds_table(name.value) {
        let text = declared.text(name.value)?;
        return typed(declared, name, text);
    }
    let mut table = declared.table(name.value)?;
    if let Some(below) = dotted(&table) {
        let dotted = format!("{}.{below}", name.value);
        let fix = name::fix_of_field(&dotted, format.is_positional());
        table.mistakes.report(name.at, format!("`{dotted}` is no name for a field"), fix);
        return None;
    }
    let text = table.required_text("type", "string");
    let mut field = text.and_then(|text| typed(&table, name, text));
    let (place, written, numbers) = (place(&mut table), table.text("format"), table.flag("numbers"));
    if let Some(field) = &mut field {
        if place != Place::Path(vec![Step::Member(field.name.clone())]) {
            field.place = place;
        }
        let misplaced = |key: &str, kind: &str| {
            let what = format!("field `{}` is {}, and `{key}` is for {kind}", field.name, field.kind.name());
            table.mistakes.report(table.at, what, format!("leave {key} out"));
        };
        if field.kind != FieldType::Timestamp && written.is_some() {
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

/// The key below a table that holds nothing that a field has: TOML makes such a table of `user.id = "string"`.
fn dotted<'t>(table: &Table<'t>) -> Option<&'t str> {
    let keys = table.keys_in_order();
    let meant = |key: &Text<'_>| suggest::closest(key.value, KEYS).is_some();
    keys.first().filter(|_| !keys.iter().any(meant)).map(|key| key.value)
}

/// `path`: a text such as `user.id` or `items[0].sku`, or a list of the steps, each as it is written.
fn place(table: &mut Table<'_>) -> Place {
    let (at, shown, steps) = if table.holds_list("path") {
        let names = table.texts("path");
        let steps = names.iter().map(|name| Step::Member(name.value.to_owned())).collect();
        (names.first().map_or(table.at, |name| name.at), "a list".to_owned(), Some(steps))
    } else {
        let Some(text) = table.text("path") else { return Place::Own };
        (text.at, format!("\"{}\"", text.value), steps(text.value))
    };
    match steps {
        Some(steps) if !steps.is_empty() && steps.len() <= STEPS_MAX => Place::Path(steps),
        Some(steps) => {
            let what = format!("`path` is {shown} of {} steps", steps.len());
            table.mistakes.report(at, what, format!("write 1 to {STEPS_MAX} steps"));
            Place::Own
        }
        None => {
            let fix = format!(
                "write names with dots between them and positions from 0 to {POSITION_MAX} in brackets, such as \
                 \"user.id\" or \"items[0].sku\"; or a list of names, such as [\"foo.bar\", \"id\"]"
            );
            table.mistakes.report(at, format!("`path` is {shown}"), fix);
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
            let digits = position.bytes().all(|byte| byte.is_ascii_digit());
            let position = position.parse::<usize>().ok().filter(|position| digits && *position <= POSITION_MAX)?;
            steps.push(Step::Element(position));
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
