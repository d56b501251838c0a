//! `decode_events_per_second`: the decoder alone, on one core, for every format. JSON stands beside serde_json, which reads the
//! same payloads into trees.
//!
//! No process does only this, so nothing can be measured from outside: this calls the layers' own decoder.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::decode::Decoder;
use shared_logic::format::FieldValue;
use shared_logic::schema::{Field, FieldType};

use crate::figures::Figures;
use crate::load::{Events, Keys};

/// Few enough that they stay in a core's cache, as records do that were just received.
const PAYLOADS: usize = 5_000;
/// How long each is measured, at least.
const LASTS: Duration = Duration::from_secs(2);

const FLAT: &str = r#"
event_id = "string"
occurred_at = "timestamp"
video_id = "string"
user_id = "string"
url = "string?"
status = "int"
dwell_ms = "int?"
"#;

/// The same fields where a tracker has them.
const NESTED: &str = r#"
event_id = { type = "string", path = "event.id" }
occurred_at = { type = "timestamp", path = "event.at" }
video_id = { type = "string", path = "page.video.id" }
user_id = { type = "string", path = "user.id" }
url = { type = "string?", path = "page.url" }
status = { type = "int", path = "requests[0].status" }
dwell_ms = { type = "int?", path = "requests[0].dwell_ms" }
"#;

/// The same fields in an access log.
const LOG: &str = r#"
event_id = { type = "string", path = "user_agent" }
occurred_at = { type = "timestamp", path = "time" }
video_id = { type = "string", path = "target" }
user_id = { type = "string", path = "remote_host" }
url = { type = "string?", path = "referer" }
status = "int"
dwell_ms = { type = "int?", path = "bytes" }
"#;

pub(crate) fn measure(figures: &mut Figures) -> Result<()> {
    let mut events = Events::new(Keys::Zipf, 1);
    let flat: Vec<Vec<u8>> = (0..PAYLOADS).map(|_| events.next().payload).collect();
    let nested = flat.iter().map(|payload| nested(payload)).collect::<Result<Vec<_>>>()?;
    for (name, fields, payloads) in [("json_flat", FLAT, &flat), ("json_nested", NESTED, &nested)] {
        let mut decoder = Decoder::new(&source("json", fields)?);
        let decoded = rate(payloads, |payload| decoder.decode(Some(payload), None).is_ok())?;
        let parsed = rate(payloads, |payload| black_box(serde_json::from_slice::<Value>(payload)).is_ok())?;
        figures.beside(format!("decode_events_per_second_{name}"), decoded, "events/s", parsed);
    }
    for (format, fields) in [("tsv", FLAT), ("csv", FLAT), ("combined", LOG)] {
        let source = source(format, fields)?;
        let payloads = flat.iter().map(|payload| written(&source, payload)).collect::<Result<Vec<_>>>()?;
        let mut decoder = Decoder::new(&source);
        let decoded = rate(&payloads, |payload| decoder.decode(Some(payload), None).is_ok())?;
        figures.add(format!("decode_events_per_second_{format}"), decoded, "events/s");
    }
    Ok(())
}

/// The event in the format of the source.
fn written(source: &Source, flat: &[u8]) -> Result<Vec<u8>> {
    let event: Value = serde_json::from_slice(flat)?;
    let value = |field: &Field| match &event[field.name.as_str()] {
        Value::Number(ms) if field.kind == FieldType::Timestamp => {
            ms.as_i64().map(|ms| FieldValue::Instant(ms * 1_000))
        }
        Value::String(text) => Some(FieldValue::Text(text)),
        Value::Number(number) => number.as_i64().map(FieldValue::Int),
        _ => None,
    };
    Ok(source.write(&source.fields.iter().map(value).collect::<Vec<_>>()))
}

/// How many payloads a second are read, again and again.
fn rate(payloads: &[Vec<u8>], mut read: impl FnMut(&[u8]) -> bool) -> Result<f64> {
    let (mut count, began) = (0, Instant::now());
    while began.elapsed() < LASTS {
        for payload in payloads {
            ensure!(black_box(read(black_box(payload))), "{} is not read", payload.escape_ascii());
        }
        count += payloads.len();
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// The event as a tracker sends it.
fn nested(flat: &[u8]) -> Result<Vec<u8>> {
    let event: Value = serde_json::from_slice(flat)?;
    let nested = json!({
        "event": {"id": event["event_id"], "at": event["occurred_at"]},
        "user": {"id": event["user_id"], "agent": "Mozilla/5.0 (X11; Linux x86_64)"},
        "page": {"url": event["url"], "video": {"id": event["video_id"], "tags": ["new", "short"]}},
        "requests": [{"status": event["status"], "dwell_ms": event["dwell_ms"]}, {"status": 304}],
    });
    Ok(nested.to_string().into_bytes())
}

fn source(format: &str, fields: &str) -> Result<Source> {
    let head = format!("[sources.views]\nformat = \"{format}\"\nevent_id = \"event_id\"\nevent_time = \"occurred_at\"");
    let text = format!(
        "{head}\n[sources.views.fields]\n{fields}\n\
         [metrics.views]\nsource = \"views\"\nby = [\"video_id\"]\nmeasures = {{ views = \"count()\" }}\n"
    );
    let mut catalog = Catalog::parse(&text).map_err(|mistakes| anyhow!("{mistakes:?}"))?;
    catalog.sources.remove("views").context("the catalog has no source")
}
