//! An answer as CSV (RFC 4180), for programs: a header, numbers with all their digits, and nothing where a value is null.
//!
//! A series has a line for each point, and an answer to several keys begins each line with the key. What concerns the whole answer, such as its
//! gaps, has no place in it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::answer::{Answer, Point};

/// The answer's lines, each ended by CR and LF.
pub(super) fn csv(answer: &Answer) -> String {
    let mut csv = String::new();
    let columns = answer.columns();
    if answer.is_series() {
        let times = if answer.says_ends() { &["start", "end", "layer"][..] } else { &["start", "layer"] };
        push(&mut csv, columns.chain(times.iter().copied()).chain(answer.names()));
        push_points(&mut csv, answer, None, answer.points.as_deref().unwrap_or_default());
        for of_key in answer.keys.iter().flatten() {
            push_points(&mut csv, answer, Some(&of_key.key), of_key.points.as_deref().unwrap_or_default());
        }
        return csv;
    }
    push(&mut csv, columns.chain(answer.names()).chain(["complete", "authoritative", "as_of"]));
    let mut push_total = |key: Option<&Map<String, Value>>, values, authoritative: bool| {
        let judgement = [answer.complete, authoritative].map(|is_so| Cow::<str>::Owned(is_so.to_string()));
        let as_of = Cow::Borrowed(answer.as_of.as_deref().unwrap_or_default());
        push(&mut csv, key_fields(key).chain(fields(answer, values)).chain(judgement).chain([as_of]));
    };
    match &answer.keys {
        None => push_total(None, &answer.values, answer.authoritative),
        Some(keys) => {
            keys.iter().for_each(|of_key| push_total(Some(&of_key.key), &of_key.values, of_key.authoritative));
        }
    }
    csv
}

fn push_points(csv: &mut String, answer: &Answer, key: Option<&Map<String, Value>>, points: &[Point]) {
    for point in points {
        let end = answer.says_ends().then(|| point.end.as_deref().unwrap_or_default());
        let head = [Some(point.start.as_str()), end, Some(point.layer.as_str())];
        let head = head.into_iter().flatten().map(Cow::Borrowed);
        push(csv, key_fields(key).chain(head).chain(fields(answer, &point.values)));
    }
}

/// The columns of a key.
fn key_fields(key: Option<&Map<String, Value>>) -> impl Iterator<Item = Cow<'_, str>> {
    key.into_iter().flat_map(Map::values).map(|value| field(Some(value)))
}

/// The values in the order of the header.
fn fields<'a>(answer: &'a Answer, values: &'a Map<String, Value>) -> impl Iterator<Item = Cow<'a, str>> {
    answer.names().map(move |name| field(values.get(name)))
}

fn field(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
        // Numbers are written as they were parsed: integers of 64 bits, or the shortest digits that give the same float.
        Some(other) => Cow::Owned(other.to_string()),
    }
}

fn push<T: AsRef<str>>(csv: &mut String, fields: impl Iterator<Item = T>) {
    for (at, field) in fields.enumerate() {
        if at > 0 {
            csv.push(',');
        }
        csv.push_str(&quoted(field.as_ref()));
    }
    csv.push_str("\r\n");
}

/// A field, in quotes if it needs them.
fn quoted(field: &str) -> Cow<'_, str> {
    if field.contains(['"', ',', '\r', '\n']) {
        Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_only_if_it_has_to_be() {
        assert_eq!(quoted("a b"), "a b");
        assert_eq!(quoted("日本"), "日本");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("a \"b\""), "\"a \"\"b\"\"\"");
        assert_eq!(quoted("a\r\nb"), "\"a\r\nb\"");
        let mut csv = String::new();
        push(&mut csv, ["", "x", "1,5"].into_iter());
        assert_eq!(csv, ",x,\"1,5\"\r\n");
    }
}
