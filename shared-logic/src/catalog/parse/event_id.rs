//! Reads `event_id`: the fields that together identify an event.

use super::document::{Table, Text};
use crate::catalog::MAX_EVENT_ID;

/// The names of the fields, in the order of the file; none if the source has no event id. They are written as one text, or as
/// a list of a few different ones.
pub(super) fn event_id<'t>(table: &mut Table<'t>) -> Vec<Text<'t>> {
    let names = table.text_or_texts("event_id");
    if let Some(excess) = names.get(MAX_EVENT_ID) {
        let what = format!("`event_id` has {} fields, at most {MAX_EVENT_ID} identify an event", names.len());
        table.mistakes.report(excess.at, what, "leave some out");
    }
    for (i, name) in names.iter().enumerate() {
        if names[..i].iter().any(|before| before.value == name.value) {
            table.mistakes.report(name.at, format!("`event_id` names `{}` twice", name.value), "name it once");
        }
    }
    names
}
