//! The key that a request sends: as `Authorization: Bearer KEY`, or as the password of HTTP Basic, with any name.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::problem::Problem;

/// The key.
///
/// # Errors
/// If there is none, several are sent, or what is sent cannot be read. No problem repeats what was sent.
pub(super) fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let header = sent.next().ok_or_else(Problem::no_key)?;
    let unreadable = || Problem::unreadable_key();
    if sent.next().is_some() {
        return Err(unreadable());
    }
    let (scheme, credentials) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unreadable)?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(credentials.to_owned());
    }
    let pair = STANDARD.decode(credentials).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
    let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
    pair.and_then(|pair| Some(pair.split_once(':')?.1.to_owned())).ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn sent(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
        }
        key(&headers).ok()
    }

    #[test]
    fn a_key_is_a_bearer_token_or_a_password() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (value, key) in [
            ("Bearer braid_1".to_owned(), Some("braid_1")),
            ("bearer  braid_1 ".to_owned(), Some("braid_1")),
            (basic("anna:braid_1"), Some("braid_1")),
            (basic(":a:b"), Some("a:b")),
            (basic("braid_1"), None),
            ("Basic braid_1".to_owned(), None),
            (format!("Digest {}", STANDARD.encode("a:b")), None),
            ("braid_1".to_owned(), None),
        ] {
            assert_eq!(sent(&[&value]).as_deref(), key, "{value}");
        }
        assert_eq!(sent(&[]), None);
        assert_eq!(sent(&["Bearer a", "Bearer b"]), None);
    }
}
