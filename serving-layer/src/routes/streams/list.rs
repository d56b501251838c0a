//! `GET /v1/streams`: every stream, what it reads and writes, and how far.

use axum::Json;
use axum::extract::RawQuery;
use serde_json::{Value, json};
use shared_logic::catalog::StreamKind;

use super::written::{partitions, standing, written};
use crate::answer::duration_text;
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{OfVersion, RequestedVersion, of_version};
use crate::stream_read::StreamReader;
use crate::versions::Version;

/// All streams, in the order of their names.
pub(crate) async fn all(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Value>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let described = version.streams.values().map(|stream| described(&version, stream));
    Ok(of_version(&version, json!({"streams": futures::future::join_all(described).await})))
}

async fn described(version: &Version, reader: &StreamReader) -> Value {
    let (stream, source) = (&reader.stream, &reader.source);
    let lanes = version.lanes(reader).newest().await;
    let fields = source
        .fields
        .iter()
        .map(|field| json!({"name": field.name, "type": field.kind.name(), "optional": field.optional}));
    let (kind, waits) = kind(&stream.kind);
    let standing = standing(reader, &lanes);
    let written = written(reader, &lanes, &standing);
    json!({
        "name": stream.name,
        "kind": kind,
        "from": stream.from,
        "where": stream.filter.as_ref().map(ToString::to_string),
        "topic": stream.topic,
        "late_topic": stream.has_side_output().then(|| stream.late_topic()),
        "key": source.key,
        "rekeys": stream.rekeys(),
        "fields": fields.collect::<Vec<Value>>(),
        "lateness": waits.then(|| duration_text(stream.lateness_us)),
        "definition": reader.definition.as_str(),
        "written": written.written,
        "why": written.why,
        "stopped": written.stopped,
        "warnings": written.warnings,
        "partitions": partitions(reader, &lanes, &standing),
    })
}

/// The name of a kind, and whether such a stream waits for late events.
fn kind(kind: &StreamKind) -> (&'static str, bool) {
    match kind {
        StreamKind::Map(_) => ("map", false),
        StreamKind::Window(_) => ("window", true),
        StreamKind::Session(_) => ("session", true),
        StreamKind::Detect(_) => ("detect", true),
    }
}
