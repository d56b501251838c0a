//! An answer to `total` or `series` as it is sent.

use axum::body::Bytes;
use serde_json::Value;

/// The bytes of an answer, and what a request that requires a complete answer has to know of it.
#[derive(Debug)]
pub(crate) struct Written {
    /// The body, as JSON.
    pub(crate) body: Bytes,
    /// The gaps as they stand in the body.
    pub(crate) gaps: Vec<Value>,
}
