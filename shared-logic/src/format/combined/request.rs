//! A request line → its method, target and protocol.

use std::ops::Range;

/// Splits `GET /start?q=1 HTTP/1.1`, and `GET /start` as of HTTP/0.9, which has no protocol. `None` for whatever else clients
/// send: then a request has no parts.
///
/// The target is what stands between the first blank and the last one. It is not checked further: it may be `*`, an absolute
/// URL, `//favicon.ico`, or hold blanks.
pub(super) fn parts(request: &[u8]) -> Option<[Option<Range<usize>>; 3]> {
    let method_end = memchr::memchr(b' ', request)?;
    let method = &request[..method_end];
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return None;
    }
    let target_start = method_end + 1;
    let last_blank = memchr::memrchr(b' ', request)?;
    let protocol_start = last_blank + 1;
    if last_blank > target_start && is_protocol(&request[protocol_start..]) {
        return Some([Some(0..method_end), Some(target_start..last_blank), Some(protocol_start..request.len())]);
    }
    let is_old = method == b"GET" && last_blank == method_end && target_start < request.len();
    is_old.then_some([Some(0..method_end), Some(target_start..request.len()), None])
}

/// Whether a method may hold the byte (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `HTTP/` and a version.
pub(super) fn is_protocol(text: &[u8]) -> bool {
    let version = text.strip_prefix(b"HTTP/").unwrap_or_default();
    !version.is_empty() && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}
