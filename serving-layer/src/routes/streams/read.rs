//! `GET /v1/streams/{stream}`: the newest outputs of a stream or, with `Accept: text/event-stream`, those that it writes from now on.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use platform::clock;
use serde::Serialize;
use serde_json::Value;
use shared_logic::log::Offsets;
use shared_logic::time::format_rfc3339;

use super::query::{Asked, filter};
use super::watched::Watched;
use crate::app::App;
use crate::gap_text::GapText;
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{NameInPath, of_version};
use crate::stream_read::{Outputs, Positions, StreamReader};

const EVENTS: &str = "text/event-stream";
const LAST_EVENT_ID: &str = "last-event-id";

/// The body of an answer.
#[derive(Debug, Serialize)]
struct Body {
    stream: String,
    from: Option<String>,
    to: Option<String>,
    /// As they were written, the newest first.
    outputs: Vec<Value>,
    /// Whether there are older ones within the range.
    more: bool,
    complete: bool,
    gaps: Vec<GapText>,
    /// Every output below is regarded; null if there is no topic.
    offsets: Option<Offsets>,
    /// The same, for a client that watches from there on.
    last_event_id: Option<String>,
}

/// What was written, or what is written from now on.
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
    if headers.get_all(header::ACCEPT).iter().any(accepts_events) {
        let filter = filter(&parameters, &reader.source, &[])?;
        let watched = Watched::new(&app.versions, Arc::clone(&hosted), &name, parameters);
        // A client that comes back after another version became the active one goes on at the end of that one's topic.
        let at = last_event_id(&headers)?.filter(|at| !watched.is_of_another_version(reader, at.log()));
        let watcher = reader.watch(version.version_name(), filter, Box::new(watched), at);
        return Ok(Sse::new(watcher.ok_or_else(Problem::too_many_watchers)?.events()).into_response());
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

/// Whether the client takes server-sent events.
fn accepts_events(accept: &HeaderValue) -> bool {
    let kinds = accept.to_str().unwrap_or_default().split(',');
    let mut names = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    names.any(|name| name.eq_ignore_ascii_case(EVENTS))
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
    use super::*;

    #[test]
    fn events_are_asked_for_by_their_type() {
        let accepts = |text: &'static str| accepts_events(&HeaderValue::from_static(text));
        assert!(accepts("text/event-stream") && accepts("*/*;q=0.1, Text/Event-Stream; q=1"));
        assert!(!accepts("*/*") && !accepts("application/json") && !accepts("text/event-streams"));
    }

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
