//! `GET /v1/streams/{stream}`: the newest outputs of a stream or, with `Accept: text/event-stream`, those that it writes from now on.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use platform::clock;
use serde::Serialize;
use serde_json::Value;
use shared_logic::log::Offsets;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use super::query::{Asked, filter};
use super::watched::Watched;
use crate::app::App;
use crate::gap_text::GapText;
use crate::live::{LAST_EVENT_ID, accepts_events};
use crate::openapi::{EventText, Fields, Output, Refusals, WhichVersion};
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{NameInPath, OfVersion, of_version};
use crate::stream_read::{Outputs, Positions, StreamReader};

/// The body of an answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamOutputs)]
pub(crate) struct Body {
    stream: String,
    #[schema(required = true, format = DateTime)]
    from: Option<String>,
    #[schema(required = true, format = DateTime)]
    to: Option<String>,
    /// As they were written, the newest first. Of one with `raw = "rejected"` in its source, the declared fields alone are archived.
    #[schema(value_type = Vec<Output>)]
    outputs: Vec<Value>,
    /// Whether there are older ones within the range.
    more: bool,
    /// Whether nothing that was committed before `offsets` is missing.
    complete: bool,
    gaps: Vec<GapText>,
    /// Per log and partition of the stream's topic: every record below was regarded. Null if there is no topic.
    #[schema(required = true)]
    offsets: Option<Offsets>,
    /// The same, to be sent as Last-Event-ID by a client that watches from there on.
    #[schema(required = true)]
    last_event_id: Option<String>,
}

/// The newest outputs of a stream, or those that it writes from now on
///
/// The newest outputs whose `output_time` lies in [from, to): those that are archived, and behind them those that only the log holds yet. Each
/// output is given once, and only those of committed transactions are. Marks and erased records are left out. Each field of the stream is a
/// parameter, for the outputs with that value.
///
/// With `Accept: text/event-stream`, the outputs that are written from now on as server-sent events, or with `Last-Event-ID` those behind the
/// event of that id; `from`, `to` and `limit` are refused then. The data of an event is an output, its id is where the client is behind it.
/// The first event is `version`, whose data names the version and the topic. It comes again when the version changes that is told: a client
/// that names no version goes over to the one that becomes active, and if the stream has another topic there, it is told what is written to
/// that one from then on. Other events are `gap`, whose data is a Gap (with the reason `log_replaced` as well), and `end`, when the process
/// stops, or the version is retired or has no such stream. A client that is told nothing else gets its id every 15 seconds.
#[utoipa::path(
    get, path = "/v1/streams/{stream}", operation_id = "readStream", tag = "streams",
    params(
        ("stream" = String, Path, description = "A stream of the catalog."),
        Fields,
        ("from" = Option<String>, Query, description = "The start of the range of `output_time`, included: RFC 3339, `now`, or a time before now \
            such as `-1h`. Default: the first output. A range that names a start before the first day that the archive keeps has the gap \
            `retired`.", example = "-1h"),
        ("to" = Option<String>, Query, description = "The end of the range, excluded, in the same forms. It must be after `from`. Default: the \
            last output.", example = "now"),
        ("limit" = Option<usize>, Query, description = "How many outputs at most, the newest ones. There are fewer if they have more than \
            16 MiB. Default: 100.", minimum = 1, maximum = 1000, example = 10),
        ("Last-Event-ID" = Option<String>, Header, description = "With `Accept: text/event-stream`: the id of an event, or the `last_event_id` \
            of an answer. The client is told what comes behind it."),
        WhichVersion,
    ),
    responses(
        (status = 200, description = "The outputs.", content(
            (OfVersion<Body> = "application/json"),
            (EventText = "text/event-stream"),
        )),
        Refusals,
    ),
)]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    NameInPath(name): NameInPath,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query.as_deref())?;
    let hosted = app.versions.hosted();
    let version = hosted.requested(parameters.version())?;
    let reader = version.stream(&name)?;
    if accepts_events(&headers) {
        let filter = filter(&parameters, &reader.source, &[])?;
        let watched = Watched::new(&app.versions, Arc::clone(&hosted), &name, parameters);
        // A client that comes back after another version became the active one goes on at the end of that one's topic.
        let at = last_event_id(&headers)?.filter(|at| !watched.is_of_another_version(reader, at.log()));
        let watcher = reader.watch(version.version_name(), filter, Box::new(watched), at);
        return Ok(Sse::new(watcher.ok_or_else(|| app.live.too_many())?.events()).into_response());
    }
    let asked = Asked::read(&parameters, &reader.source, clock::now_us())?;
    let outputs = reader.newest(&asked.question, asked.from_us).await?;
    Ok(of_version(version, Body::new(reader, &asked, outputs)).into_response())
}

impl Body {
    fn new(reader: &StreamReader, asked: &Asked, outputs: Outputs) -> Body {
        let (from, to) = (asked.from_us.map(format_rfc3339), asked.to_us.map(format_rfc3339));
        let Outputs { outputs, has_more, at, gaps } = outputs;
        let name = &reader.source.name;
        Body {
            stream: name.clone(),
            outputs,
            more: has_more,
            complete: gaps.is_empty(),
            gaps: gaps.iter().map(|gap| GapText::new(gap, name, &from, &to)).collect(),
            offsets: at.as_ref().map(Positions::offsets),
            last_event_id: at.as_ref().map(ToString::to_string),
            from,
            to,
        }
    }
}

/// From where on the client wants to be told, if it says that.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Positions>, Problem> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else { return Ok(None) };
    let positions = id.to_str().ok().and_then(|id| id.parse().ok());
    positions.map(Some).ok_or_else(|| {
        let detail = "Last-Event-ID is not the id of an event of this path, nor the last_event_id of an answer: leave it out, \
                      and ask for what was missed with `from`";
        Problem::parameter("Last-Event-ID", detail.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn an_id_that_is_none_is_refused() {
        let read = |id: &'static str| {
            let headers =
                HeaderMap::from_iter([(LAST_EVENT_ID.parse().expect("a name"), HeaderValue::from_static(id))]);
            last_event_id(&headers)
        };
        assert_eq!(last_event_id(&HeaderMap::new()).expect("none"), None);
        assert_eq!(read("").expect("none"), None);
        assert_eq!(read("L:7,9").expect("one").map(|at| at.to_string()), Some("L:7,9".to_owned()));
        assert_eq!(read("41").expect_err("no positions").parameter.as_deref(), Some("Last-Event-ID"));
    }
}
