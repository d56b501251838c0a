//! What is answered instead of what was asked for, as problems of RFC 9457.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

const BAD_PARAMETER: (&str, &str) = ("400", "BadParameter");
const NOT_MODIFIED: (&str, &str) = ("304", "NotModified");
const NOT_FOUND: (&str, &str) = ("404", "NotFound");
const UNAVAILABLE: (&str, &str) = ("503", "Unavailable");
const NOT_READY: (&str, &str) = ("503", "NotReady");

/// Declares refusals under one name, for handlers to list.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident => [$($refusal:expr),+];)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let refer = |(status, name): (&str, &str)| (status.to_owned(), Ref::from_response_name(name).into());
                [$($refusal),+].into_iter().map(refer).collect()
            }
        }
    )+};
}

refusals! {
    /// Of every path that is about a version.
    Refusals => [BAD_PARAMETER, NOT_FOUND, UNAVAILABLE];
    /// Of a path whose answers a client may know already.
    AnswerRefusals => [NOT_MODIFIED, BAD_PARAMETER, NOT_FOUND, UNAVAILABLE];
    /// Of a path that is about no single version.
    Unversioned => [BAD_PARAMETER, UNAVAILABLE];
    /// Of a path that has no parameters, and does not look whether a request has any.
    Unavailable => [UNAVAILABLE];
    /// Of a process that cannot answer yet.
    Unready => [NOT_READY];
}

/// The responses that paths refer to by name.
pub(crate) fn components() -> Value {
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    let retry_after =
        json!({"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}});
    json!({
        "BadParameter": {
            "description": "A parameter is unknown, is repeated, or has a value that cannot be used. `parameter` names it, and `detail` says \
                            what to write.",
            "content": problem,
        },
        "NotModified": {"description": "The answer is that which `If-None-Match` names. `braid-as-of` says as of when it speaks."},
        "NotFound": {
            "description": "There is nothing of that name in the catalog, or the version does not exist or is retired.",
            "content": problem,
        },
        "Unavailable": {
            "description": "No answer now: the process is starting, Redis or the store cannot be read, the answer would be incomplete although a \
                            complete one is required, no build of a search index serves or no search server answers, it would take more than a \
                            limit allows, too many clients watch, or the request took too long.",
            "headers": retry_after,
            "content": problem,
        },
        "NotReady": {
            "description": "It cannot answer, with the reasons; or the request took too long.",
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Readiness"}},
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
            },
        },
        "BodyTooSlow": {"description": "The body did not arrive in time.", "content": problem},
        "BodyTooLarge": {"description": "The body has more bytes than `http.max_body`.", "content": problem},
        "Unauthorized": {
            "description": "The request sends no key, or one that is not known.",
            "headers": {"WWW-Authenticate": {"description": "How to send one.", "schema": {"type": "string"}}},
            "content": problem,
        },
        "Forbidden": {"description": "The key does not have the scope that the path asks for.", "content": problem},
        "TooManyRequests": {
            "description": "The key has made as many requests as it may.",
            "headers": retry_after,
            "content": problem,
        },
    })
}
