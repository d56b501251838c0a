//! How events are written, as the HTML standard defines them. What is written once is sent to all clients of a question.

use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};

/// After how long a client that was disconnected connects again.
const RETRY: Duration = Duration::from_secs(1);

/// An event of that kind; an answer has none.
pub(super) fn event(kind: &str, id: Option<&str>, data: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(data.len() + 64);
    let mut field = |name: &str, value: &[u8]| {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.push(b'\n');
    };
    if !kind.is_empty() {
        field("event", kind.as_bytes());
    }
    if let Some(id) = id {
        field("id", id.as_bytes());
    }
    // JSON is written on one line.
    data.split(|byte| *byte == b'\n').for_each(|line| field("data", line));
    text.push(b'\n');
    text.into()
}

/// The id of an answer: it means the same to every process.
pub(super) fn id(tag: u64) -> String {
    format!("{tag:016x}")
}

/// How long a client waits before it connects again. It is no event.
pub(super) fn retry() -> Bytes {
    format!("retry: {}\n\n", RETRY.as_millis()).into()
}

/// A comment, by which a client knows that the connection lives.
pub(super) fn heartbeat() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// The answer that the client has is also the one as of that moment, which is JSON.
pub(super) fn fresh(as_of: &str) -> Bytes {
    event("fresh", None, format!("{{\"as_of\":{as_of}}}").as_bytes())
}

/// The last event of a client that was overtaken by that many.
pub(super) fn dropped(missed: u64) -> Bytes {
    let text = "the client takes events more slowly than they come: connect again, and the newest answer comes first";
    last("dropped", &json!({"reason": "behind", "missed": missed, "text": text}))
}

/// The last event of all clients of a process that stops.
pub(super) fn shutdown() -> Bytes {
    last("end", &json!({"reason": "shutdown"}))
}

/// The last event of all clients of a question that cannot be answered any more, which the problem explains.
pub(super) fn refused(problem: &[u8]) -> Bytes {
    let problem: Value = serde_json::from_slice(problem).unwrap_or_default();
    last("end", &json!({"reason": "refused", "problem": problem}))
}

fn last(kind: &str, data: &Value) -> Bytes {
    event(kind, None, data.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_written_as_the_standard_says() {
        assert_eq!(event("", Some("a1"), b"{\"x\":1}"), "id: a1\ndata: {\"x\":1}\n\n");
        assert_eq!(event("problem", None, b"one\ntwo"), "event: problem\ndata: one\ndata: two\n\n");
        assert_eq!(fresh("\"now\""), "event: fresh\ndata: {\"as_of\":\"now\"}\n\n");
        assert_eq!(shutdown(), "event: end\ndata: {\"reason\":\"shutdown\"}\n\n");
        assert_eq!((retry(), heartbeat()), (Bytes::from_static(b"retry: 1000\n\n"), Bytes::from_static(b":\n\n")));
        assert_eq!(id(10), "000000000000000a");
    }

    #[test]
    fn a_last_event_says_why() {
        let text = |event: Bytes| String::from_utf8(event.to_vec()).expect("UTF-8");
        assert!(text(dropped(7)).starts_with("event: dropped\ndata: {\"reason\":\"behind\",\"missed\":7,"));
        let refused = text(refused(br#"{"title":"The version is retired"}"#));
        assert_eq!(
            refused,
            "event: end\ndata: {\"reason\":\"refused\",\"problem\":{\"title\":\"The version is retired\"}}\n\n"
        );
    }
}
