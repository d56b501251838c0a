//! The headers of a record as text, which the archive keeps and a record's witness is made from.

use serde::Serialize;
use serde_json::Value as Json;

/// The value of a header in the archive's JSON: text, or where it is not UTF-8, `{"hex": …}`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum HeaderValue<'a> {
    Absent(()),
    Text(&'a str),
    Bytes { hex: String },
}

impl<'a> HeaderValue<'a> {
    fn of(value: Option<&'a [u8]>) -> HeaderValue<'a> {
        let Some(bytes) = value else { return HeaderValue::Absent(()) };
        match std::str::from_utf8(bytes) {
            Ok(text) => HeaderValue::Text(text),
            Err(_) => HeaderValue::Bytes { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }
}

/// The headers of a record, names and values in their order, as in the column [`HEADERS`](super::HEADERS); `None` if there are
/// none.
pub fn headers_text<'a>(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> Option<String> {
    let headers: Vec<(&str, HeaderValue<'_>)> = headers.map(|(name, value)| (name, HeaderValue::of(value))).collect();
    (!headers.is_empty()).then(|| serde_json::to_string(&headers).unwrap_or_default())
}

/// The headers that [`headers_text`] has written; none if it has not written that text.
pub fn headers_of(text: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let headers: Vec<(String, Json)> = serde_json::from_str(text).unwrap_or_default();
    headers.into_iter().map(|(name, value)| (name, value_of(&value))).collect()
}

fn value_of(value: &Json) -> Option<Vec<u8>> {
    match value {
        Json::String(text) => Some(text.clone().into_bytes()),
        Json::Object(bytes) => {
            let digits = bytes.get("hex").and_then(Json::as_str).unwrap_or_default();
            let byte = |at: usize| digits.get(at..at + 2).and_then(|byte| u8::from_str_radix(byte, 16).ok());
            Some((0..digits.len()).step_by(2).filter_map(byte).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_header_values_survive() {
        let values: [(&str, Option<&[u8]>); 4] =
            [("a", Some(b"caf\xc3\xa9")), ("b", Some(&[0xff, 0x0a])), ("c", Some(b"")), ("d", None)];
        let written = headers_text(values.into_iter());
        assert_eq!(written.as_deref(), Some(r#"[["a","café"],["b",{"hex":"ff0a"}],["c",""],["d",null]]"#));
        assert_eq!(headers_text(std::iter::empty()), None);
        let read = headers_of(&written.expect("there are some"));
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(read, values);
        assert_eq!(headers_of("no headers"), []);
    }
}
