//! Any bytes as JSON records: what every decoder promises, and agreement with serde_json on what is JSON and what stands where.

use std::sync::LazyLock;

use serde_json::Value as Json;
use shared_logic::catalog::Source;
use shared_logic::rejection::{Reason, Rejected};

use crate::decoder;

static SOURCE: LazyLock<Source> = LazyLock::new(|| decoder::source("json"));

/// Decodes a batch of JSON records and checks the results.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn json(batch: &[u8]) {
    for (payload, said) in decoder::judged(&SOURCE, batch) {
        let rejected = said.as_ref().err();
        let reason = rejected.map(|rejected| rejected.reason);
        if reason == Some(Reason::TooLong) {
            continue;
        }
        let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
        match serde_json::from_slice::<Json>(text) {
            Ok(document @ Json::Object(_)) => {
                assert!(!matches!(reason, Some(Reason::NotJson | Reason::NotObject)), "an object is {reason:?}");
                fields(payload, &document, rejected);
            }
            Ok(_) => assert_eq!(reason, Some(Reason::NotObject)),
            Err(error) if allowed(&error.to_string()) => {}
            Err(error) => {
                assert!(
                    matches!(reason, Some(Reason::NotJson | Reason::NotUtf8 | Reason::Empty)),
                    "{error}: {reason:?}"
                );
            }
        }
    }
}

/// What is JSON and serde_json refuses: numbers beyond a float, such as 1e400; many levels; and half a surrogate pair.
pub(crate) fn allowed(error: &str) -> bool {
    let strict =
        ["number out of range", "recursion limit exceeded", "lone leading surrogate", "unexpected end of hex escape"];
    strict.iter().any(|known| error.starts_with(known))
}

/// Each field's text is the value that stands at its place, and only a field whose value is absent is missing.
fn fields(payload: &[u8], document: &Json, rejected: Option<&Rejected>) {
    for (at, field) in SOURCE.fields.iter().enumerate() {
        let value = standing(document, &field.name);
        let text = SOURCE.field_text(payload, at);
        let text = text.map(|text| String::from_utf8(text.into_owned()).expect("UTF-8"));
        match (value, text) {
            (Json::String(value), text) => assert_eq!(text.as_ref(), Some(value), "{}", field.name),
            (Json::Bool(value), text) => assert_eq!(text, Some(value.to_string()), "{}", field.name),
            (Json::Number(value), text) => {
                let number = text.and_then(|text| text.parse::<f64>().ok());
                assert_eq!(number, value.as_f64(), "{}", field.name);
            }
            (Json::Null | Json::Array(_) | Json::Object(_), text) => assert_eq!(text, None, "{}", field.name),
        }
        if rejected == Some(&Rejected::at(Reason::MissingField, at)) {
            assert!(value.is_null(), "{} is there", field.name);
        }
    }
}

/// The value of a field, found by hand.
fn standing<'a>(document: &'a Json, field: &str) -> &'a Json {
    match field {
        "sku" | "size" => &document["o"]["items"][1][field],
        "tag" => &document["a.b"][field],
        own => &document[own],
    }
}
