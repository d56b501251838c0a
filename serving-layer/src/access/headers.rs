//! What browsers are told of every answer: to guess no type, to put no answer into another site's page, and to load nothing from elsewhere.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The pages are embedded: all of their scripts, styles and fonts come from this server, and none stands within a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Every header, with its value. Answers change with every event and must not be cached. They are judged once, and not for each answer.
static HEADERS: LazyLock<[(HeaderName, HeaderValue); 6]> = LazyLock::new(|| {
    let header = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    [
        header(header::CACHE_CONTROL, "no-store"),
        header(header::CONTENT_SECURITY_POLICY, POLICY),
        header(header::REFERRER_POLICY, "no-referrer"),
        header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        header(header::X_FRAME_OPTIONS, "DENY"),
        header(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ]
});

/// Adds the headers that an answer does not have of its own.
pub(crate) fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS.iter() {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}
