//! `GET /v1/streams`: every stream, what it reads and writes, and how far.

use axum::Json;
use axum::extract::RawQuery;
use serde::Serialize;
use shared_logic::catalog::StreamKind;
use utoipa::ToSchema;

use super::written::{PartitionWritten, partitions, standing, written};
use crate::answer::duration_text;
use crate::openapi::{Refusals, WhichVersion};
use crate::problem::Problem;
use crate::routes::declared::DeclaredField;
use crate::routes::parameters::Parameters;
use crate::routes::{OfVersion, RequestedVersion, of_version};
use crate::stream_read::StreamReader;
use crate::versions::Version;

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Streams)]
pub(crate) struct Body {
    streams: Vec<Described>,
}

/// What a stream reads and writes, and how far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stream)]
struct Described {
    name: String,
    /// `map`, `window`, `session` or `detect`.
    kind: &'static str,
    /// The source or stream that it reads.
    from: String,
    /// Which events it takes; null: all.
    #[serde(rename = "where")]
    #[schema(required = true)]
    filter: Option<String>,
    /// The topic that it writes.
    topic: String,
    /// The topic of events that came too late; null for a map, for which none does.
    #[schema(required = true)]
    late_topic: Option<String>,
    /// The field that its records are keyed by.
    #[schema(required = true)]
    key: Option<String>,
    /// Whether its records are keyed anew. Then its topic holds marks, records without key and value, which consumers skip.
    rekeys: bool,
    fields: Vec<DeclaredField>,
    /// How long it waits for events that are out of order; null for a map.
    #[schema(required = true)]
    lateness: Option<String>,
    /// Names what it writes.
    definition: String,
    /// Whether the stream is written at all. It is not by `braid up` with the in-process broker, which knows no transactions. Null if that is
    /// not known.
    #[schema(required = true)]
    written: Option<bool>,
    /// Why it is not written, or why that is not known.
    #[schema(required = true)]
    why: Option<String>,
    /// What stops it in some partition at least, as sentences: a topic is missing or has too few partitions, nothing is archived, the progress
    /// topic or data of the broker was lost, another definition than the catalog's is in use, a stream fills the memory of lanes, nothing is
    /// published, or what its lanes say themselves.
    stopped: Vec<String>,
    /// What an operator should know: the source's timestamps are those of producers, or outputs are decided from an incomplete past.
    warnings: Vec<String>,
    /// The partitions of the source.
    partitions: Vec<PartitionWritten>,
}

/// All streams, and how far they are written
///
/// What each stream reads and writes, and per partition of its source what was published of it last, as the lanes say in Kafka. It is at most
/// a few seconds old. What cannot be read is null, with the reason in `why`.
#[utoipa::path(
    get, path = "/v1/streams", operation_id = "listStreams", tag = "streams",
    params(WhichVersion),
    responses((status = 200, description = "All streams, in the order of their names.", body = OfVersion<Body>), Refusals),
)]
pub(crate) async fn all(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Body>>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let described = version.streams.values().map(|stream| described(&version, stream));
    let streams = futures::future::join_all(described).await;
    Ok(of_version(&version, Body { streams }))
}

async fn described(version: &Version, reader: &StreamReader) -> Described {
    let (stream, source) = (&reader.stream, &reader.source);
    let lanes = version.lanes(reader).newest().await;
    let (kind, waits) = kind(&stream.kind);
    let standing = standing(reader, &lanes);
    let written = written(reader, &lanes, &standing);
    Described {
        name: stream.name.clone(),
        kind,
        from: stream.from.clone(),
        filter: stream.filter.as_ref().map(ToString::to_string),
        topic: stream.topic.clone(),
        late_topic: stream.has_side_output().then(|| stream.late_topic()),
        key: source.key.clone(),
        rekeys: stream.rekeys(),
        fields: source.fields.iter().map(DeclaredField::new).collect(),
        lateness: waits.then(|| duration_text(stream.lateness_us)),
        definition: reader.definition.as_str().to_owned(),
        written: written.written,
        why: written.why,
        stopped: written.stopped,
        warnings: written.warnings,
        partitions: partitions(reader, &lanes, &standing),
    }
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
