//! Values → a line.

use super::request::{is_protocol, is_token};
use super::{
    BYTES, COLUMNS, IDENT, METHOD, PROTOCOL, REFERER, REMOTE_HOST, REQUEST, STATUS, TARGET, TIME_OF_REQUEST, USER,
    USER_AGENT, column, escapes,
};
use crate::format::{FieldValue, Layout, text};

/// What servers write where there is no value.
const NONE: &str = "-";

/// Writes the values of the fields that a source declares.
///
/// A request can be told by its parts or as a whole, and has all of its parts or none. So it is written from its parts, those
/// that may be absent have a usual value, and none is written if one is missing that is required.
pub(super) fn line(layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> String {
    let mut texts: [Option<String>; COLUMNS.len()] = Default::default();
    let mut incomplete = false;
    for (field, value) in layout.fields.iter().zip(values) {
        let Some(column) = column(field) else { continue };
        match value {
            Some(value) => texts[column] = Some(text::written(layout, field, *value)),
            None => incomplete |= (REQUEST..=PROTOCOL).contains(&column) && !field.optional,
        }
    }
    texts[REQUEST] = if incomplete { None } else { request(&texts) };

    let mut line = String::new();
    for (before, column, after) in [
        ("", REMOTE_HOST, " "),
        ("", IDENT, " "),
        ("", USER, " "),
        ("[", TIME_OF_REQUEST, "] "),
        ("\"", REQUEST, "\" "),
        ("", STATUS, " "),
        ("", BYTES, " "),
        ("\"", REFERER, "\" "),
        ("\"", USER_AGENT, "\""),
    ] {
        line.push_str(before);
        let text = texts[column].as_deref().unwrap_or(NONE);
        match column {
            TIME_OF_REQUEST => line.push_str(text),
            // A text that is not in quotes cannot be empty.
            _ if before.is_empty() && text.is_empty() => line.push_str(NONE),
            _ => escapes::push_escaped(&mut line, text, !before.is_empty()),
        }
        line.push_str(after);
    }
    line
}

fn request(texts: &[Option<String>]) -> Option<String> {
    let [method, target, protocol] = [METHOD, TARGET, PROTOCOL].map(|column| texts[column].as_deref());
    if method.or(target).or(protocol).is_none() {
        return texts[REQUEST].clone();
    }
    let method = method.filter(|text| !text.is_empty() && text.bytes().all(is_token)).unwrap_or("GET");
    let target = target.filter(|text| !text.is_empty()).unwrap_or("/");
    let protocol = protocol.filter(|text| is_protocol(text.as_bytes())).unwrap_or("HTTP/1.1");
    Some(format!("{method} {target} {protocol}"))
}
