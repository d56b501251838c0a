//! What a request is called in logs, and which trace it belongs to. A client may say both; the answer says what it is called.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header with the name, in a request and in its answer.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The header with the trace that a request belongs to, as W3C's Trace Context writes it.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The longest name that a client may give.
const MAX: usize = 64;

/// The trace that a request says it belongs to, if that can stand in a log.
pub(crate) fn followed(headers: &HeaderMap) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    let value = headers.get(TRACEPARENT).filter(|value| value.len() <= MAX);
    value.filter(|value| value.as_bytes().iter().all(is_plain))?.to_str().ok()
}

/// What a request is called.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The name that the request gives, if it can stand in a log; else a new one.
    pub(crate) fn of(headers: &HeaderMap) -> RequestId {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let is_name = |value: &&HeaderValue| (1..=MAX).contains(&value.len()) && value.as_bytes().iter().all(is_plain);
        RequestId(headers.get(HEADER).filter(is_name).cloned().unwrap_or_else(random))
    }

    /// The name as a text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Tells the client.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.insert(HEADER, self.0);
    }
}

fn random() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let name = Uuid::new_v4().simple().encode_lower(&mut text);
    HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(value: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(value).expect("a header"));
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_client_may_name_its_request_if_that_can_stand_in_a_log() {
        assert_eq!(named(b"order-7.a_B"), "order-7.a_B");
        for other in [&b""[..], b"a b", b"a\tb", "ü".as_bytes(), &[b'x'; 65], b"a\"b"] {
            let name = named(other);
            assert_eq!(name.len(), 32, "{name}");
            assert_ne!(name, named(other), "each is another");
        }
    }
}
