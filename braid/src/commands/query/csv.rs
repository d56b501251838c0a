//! An answer as CSV (RFC 4180), for programs: a header, numbers with all their digits, and nothing where a value is null.
//!
//! A series has a line for each point. What concerns the whole answer, such as its gaps, has no place in it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::answer::Answer;

/// The answer's lines, each ended by CR and LF.
pub(super) fn csv(answer: &Answer) -> String {
    let mut csv = String::new();
    match &answer.points {
        Some(points) => {
            push(&mut csv, ["start", "layer"].into_iter().chain(answer.names()));
            for point in points {
                let values = fields(answer, &point.values);
                let head = [point.start.as_str(), point.layer.as_str()].map(Cow::Borrowed);
                push(&mut csv, head.into_iter().chain(values));
            }
        }
        None => {
            push(&mut csv, answer.names().chain(["complete", "authoritative", "as_of"]));
            let judgement = [answer.complete, answer.authoritative].map(|is_so| Cow::<str>::Owned(is_so.to_string()));
            let as_of = Cow::Borrowed(answer.as_of.as_deref().unwrap_or_default());
            push(&mut csv, fields(answer, &answer.values).chain(judgement).chain([as_of]));
        }
    }
    csv
}

/// The values in the order of the header.
fn fields<'a>(answer: &'a Answer, values: &'a Map<String, Value>) -> impl Iterator<Item = Cow<'a, str>> {
    answer.names().map(move |name| match values.get(name) {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
        // Numbers are written as they were parsed: integers of 64 bits, or the shortest digits that give the same float.
        Some(other) => Cow::Owned(other.to_string()),
    })
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
