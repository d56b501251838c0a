//! Reads an event time whose date and time of day are fields of their own.

use super::document::{Table, Text};
use super::instant;
use crate::format::{Format, Pattern};
use crate::schema::{Field, FieldType, InstantFormat, Place};

/// The key, and the name of the field that is added for it.
const NAME: &str = "event_time";
/// From a date and a time of day to these, a zone and one more.
const PARTS_MAX: usize = 4;

/// An event time that is put together.
pub(super) struct JoinedTime<'t> {
    /// The key, where it stands.
    pub(super) name: Text<'t>,
    /// The names of the fields that it is read from.
    pub(super) parts: Vec<Text<'t>>,
    /// The field that holds it, which no payload has by itself.
    pub(super) field: Field,
}

/// `["date", "time"]`, or `{ fields = ["date", "time"], format = "%d.%m.%Y %H:%M:%S" }`; `None` if the key holds neither.
///
/// That the parts are declared and fit is for the caller to check. `zoned`: the source names a zone for texts that name none.
pub(super) fn joined<'t>(
    table: &mut Table<'t>,
    format: Format,
    fields: &[Field],
    zoned: bool,
) -> Option<JoinedTime<'t>> {
    let at = table.key_at(NAME)?;
    let (parts, instants) = if table.holds_list(NAME) {
        (table.texts(NAME), None)
    } else if table.holds_table(NAME) {
        let mut described = table.table(NAME)?;
        let (parts, instants) = (described.texts("fields"), instant::format(&mut described, zoned));
        described.refuse_unknown_keys();
        (parts, instants)
    } else {
        return None;
    };
    let names = parts.iter().map(|part| part.value.to_owned()).collect();
    let instants = instants.unwrap_or(InstantFormat::Usual);
    let field = Field { place: Place::Joined(names), instants, ..Field::new(NAME, FieldType::Timestamp, false) };
    if let Some((what, fix)) = refusal(format, fields, &field, parts.len()) {
        table.mistakes.report(at, what, fix);
    }
    for (i, part) in parts.iter().enumerate() {
        if parts[..i].iter().any(|before| before.value == part.value) {
            table.mistakes.report(part.at, format!("`{NAME}` names `{}` twice", part.value), "name it once");
        }
    }
    Some(JoinedTime { name: Text { value: NAME, at }, parts, field })
}

/// What is wrong with such an event time, and what to write instead.
fn refusal(format: Format, fields: &[Field], joined: &Field, parts: usize) -> Option<(String, String)> {
    let refused = |what: String, fix: &str| Some((what, fix.to_owned()));
    if let Some(taken) = fields.iter().find(|field| field.name.eq_ignore_ascii_case(NAME)) {
        let what = format!("`{NAME}` is put together from fields, and there is a field `{}`", taken.name);
        return refused(what, "call that field otherwise, or name it alone as the event time");
    }
    if !format.named_columns().is_empty() {
        let what = format!("`{NAME}` lists fields, and {} has one column for the time", format.name());
        return refused(what, "name the field that takes it");
    }
    if !(2..=PARTS_MAX).contains(&parts) {
        let fix = "list the fields of the date and the time of day, such as event_time = [\"date\", \"time\"]";
        return refused(format!("`{NAME}` lists {parts} fields"), fix);
    }
    let words = match &joined.instants {
        // A date, a time of day and an offset.
        InstantFormat::Usual => 3,
        InstantFormat::Epoch(_) => 1,
        InstantFormat::Pattern(text) => {
            Pattern::new(text).map_or(parts, |pattern| pattern.sample().split_whitespace().count())
        }
    };
    if words < parts {
        let what = format!("`{NAME}` lists {parts} fields, which are read with blanks between them");
        return refused(what, "write a format with as many blanks, such as format = \"%d.%m.%Y %H:%M:%S\"");
    }
    None
}
