//! Fields as a catalog declares them.

use super::super::guess::{Field, Kind};
use super::super::layout::Layout;
use super::block::Block;
use super::toml::{list, text};
use crate::number::integer;

/// The declarations of the fields, and how often each is absent in so many events.
pub(super) fn declared(layout: Layout, fields: &[Field], events: usize) -> String {
    let mut block = Block::default();
    for field in fields {
        block.line(format!("{} = {}", field.name, declaration(layout, field)), &remark(field, events));
    }
    block.text()
}

/// `"int?"`, or a table that also says where the value stands and how it is written.
fn declaration(layout: Layout, field: &Field) -> String {
    let (kind, more) = match &field.kind {
        Kind::Int => ("int", None),
        Kind::Float => ("float", None),
        Kind::Bool => ("bool", None),
        Kind::Instant(written) => {
            ("timestamp", written.format.as_ref().map(|format| format!("format = {}", text(format))))
        }
        Kind::Text { numbers } => ("string", numbers.then(|| "numbers = true".to_owned())),
        Kind::Lists | Kind::Objects | Kind::Mixed => ("string", None),
    };
    let kind = text(&format!("{kind}{}", if field.optional { "?" } else { "" }));
    let path = (field.steps != [field.name.as_str()]).then(|| format!("path = {}", path(layout, &field.steps)));
    let table: Vec<String> = path.into_iter().chain(more).collect();
    if table.is_empty() { kind } else { format!("{{ type = {kind}, {} }}", table.join(", ")) }
}

/// Names with dots between them, or a list of them where that would say something else: with dots in a name, or for a column.
fn path(layout: Layout, steps: &[String]) -> String {
    let is_plain = |step: &String| !step.is_empty() && !step.contains(['.', '[', ']']);
    if !layout.has_columns() && steps.iter().all(is_plain) { text(&steps.join(".")) } else { list(steps) }
}

fn remark(field: &Field, events: usize) -> String {
    let mut remarks = Vec::new();
    match field.absent {
        0 => {}
        absent if absent == events => remarks.push("absent in all of the sample".to_owned()),
        absent => remarks.push(format!("absent in {} of {}", integer(absent), integer(events))),
    }
    if let Kind::Instant(written) = &field.kind
        && let Some(or) = &written.or
    {
        remarks.push(format!("or {}: no day of the sample tells which", text(or)));
    }
    remarks.join("; ")
}
