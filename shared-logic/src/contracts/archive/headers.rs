//! The headers of a record as text, which the archive keeps and a record's witness is made from.

use serde::Serialize;

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
    }
}
