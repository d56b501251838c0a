//! What is told of a mistake in a settings file: the line with it, unless that may hold an API key.

use crate::api_key::PREFIX;

/// The section whose values are not repeated: who mistakes where a hash belongs may have written a key there.
pub(super) const UNTOLD: &str = "access";

/// Says where the mistake is, and what is expected there.
pub(super) fn explained(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span().filter(|span| text.is_char_boundary(span.start)) else {
        return without_texts(error.message());
    };
    let begin = text[..span.start].rfind('\n').map_or(0, |end| end + 1);
    let end = text.get(span.end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| span.end + length);
    let header = text[..begin].lines().rev().find(|line| line.trim_start().starts_with('[')).unwrap_or_default();
    let lines = text.get(begin..end).unwrap_or(text);
    let may_hold_key = header.contains(UNTOLD) || lines.contains(UNTOLD) || lines.contains(PREFIX);
    if !may_hold_key {
        return error.to_string().trim_end().to_owned();
    }
    let line = text[..begin].lines().count() + 1;
    let column = text[begin..span.start].chars().count() + 1;
    let message = without_texts(error.message());
    format!("line {line}, column {column}: {message} (the line is not shown, as it may hold an api key)")
}

/// A message without the text that it says is wrong.
pub(super) fn without_texts(message: &str) -> String {
    let message = message.trim_end();
    let around = message
        .split_once("string \"")
        .and_then(|(before, rest)| rest.rsplit_once("\", expected").map(|(_, after)| (before, after)));
    let untold =
        around.map_or_else(|| message.to_owned(), |(before, after)| format!("{before}a text, expected{after}"));
    // As the name of a setting, for example.
    if untold.contains(PREFIX) { "something else belongs there".to_owned() } else { untold }
}
