//! What is told of a span: its place in a trace, when it was, and its fields.

use std::fmt;
use std::time::Instant;

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use uuid::Uuid;

/// The field that names the span of another program from which this one follows, as W3C's Trace Context writes it.
const TRACEPARENT: &str = "traceparent";
/// OTLP's numbers for a span inside a program, and for one that answers another.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;

/// A trace, and a span in it.
pub(super) type TraceContext = (u128, u64);

/// A span that has begun.
pub(super) struct Begun {
    name: &'static str,
    trace: u128,
    id: u64,
    parent: Option<u64>,
    kind: u8,
    begun_us: i64,
    begun: Instant,
    attributes: Vec<Value>,
}

/// A span that has ended.
pub(super) struct Ended {
    begun: Begun,
    took_ns: u64,
}

impl Begun {
    pub(super) fn new(name: &'static str, parent: Option<TraceContext>, begun_us: i64, begun: Instant) -> Begun {
        let (trace, parent) = match parent {
            Some((trace, parent)) => (trace, Some(parent)),
            None => (Uuid::new_v4().as_u128(), None),
        };
        let id = Uuid::new_v4().as_u64_pair().1;
        Begun { name, trace, id, parent, kind: INTERNAL, begun_us, begun, attributes: Vec::new() }
    }

    pub(super) fn context(&self) -> TraceContext {
        (self.trace, self.id)
    }

    pub(super) fn end(self) -> Ended {
        let took_ns = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Ended { begun: self, took_ns }
    }

    fn say(&mut self, field: &Field, value: Value) {
        self.attributes.push(json!({"key": field.name(), "value": value}));
    }
}

impl Visit for Begun {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != TRACEPARENT {
            return self.say(field, json!({"stringValue": value}));
        }
        if let Some((trace, parent)) = followed(value) {
            (self.trace, self.parent, self.kind) = (trace, Some(parent), SERVER);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        // 64 bits are texts in OTLP's JSON.
        self.say(field, json!({"intValue": value.to_string()}));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.say(field, json!({"boolValue": value}));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.say(field, json!({"stringValue": format!("{value:?}")}));
    }
}

impl Ended {
    /// As OTLP writes it.
    pub(super) fn json(&self) -> Value {
        let Ended { begun, took_ns } = self;
        let begun_ns = begun.begun_us.unsigned_abs() * 1_000;
        let mut span = json!({
            "traceId": format!("{:032x}", begun.trace),
            "spanId": format!("{:016x}", begun.id),
            "name": begun.name,
            "kind": begun.kind,
            "startTimeUnixNano": begun_ns.to_string(),
            "endTimeUnixNano": (begun_ns + took_ns).to_string(),
            "attributes": begun.attributes,
        });
        if let Some(parent) = begun.parent {
            span["parentSpanId"] = format!("{parent:016x}").into();
        }
        span
    }
}

/// The trace and the span that a header `traceparent` names, if it is one.
fn followed(text: &str) -> Option<TraceContext> {
    let mut parts = text.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex(version, 2) || version.eq_ignore_ascii_case("ff") || !is_hex(trace, 32) || !is_hex(span, 16) {
        return None;
    }
    let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    (trace != 0 && span != 0).then_some((trace, span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_followed_if_it_names_a_trace_and_a_span() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let expected = Some((0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7));
        assert_eq!(followed(&format!("00-{trace}-{span}-01")), expected);
        assert_eq!(followed(&format!("01-{trace}-{span}-01-more")), expected);
        let zeros = "0".repeat(32);
        for wrong in [
            "",
            "00",
            trace,
            &format!("ff-{trace}-{span}-01"),
            &format!("00-{zeros}-{span}-01"),
            &format!("00-{span}-{trace}-01"),
        ] {
            assert_eq!(followed(wrong), None, "{wrong}");
        }
    }
}
