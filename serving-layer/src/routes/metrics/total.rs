//! `GET /v1/metrics/{metric}/total`

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::response::Response;
use platform::clock;

use super::{Query, Reader, form, respond};
use crate::answer::{self, TotalBody};
use crate::app::App;
use crate::known::KnownTotal;
use crate::openapi::{
    AnswerRefusals, EventText, KnownAnswer, MetricName, Require, SeveralColumns, Times, WhichVersion,
};
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{NameInPath, requested};
use crate::versions::Version;

/// One value per measure over a range
///
/// Merged measures and derived values over [from, to). Each column of the metric's `by` is a parameter. A column that is left out is summed over.
/// Events that lack an optional column are a key of their own, asked for with `<column>.missing=true`. A text of more than 8192 bytes is
/// shortened to its first bytes, `…` and 32 hexadecimal digits of its hash, as in the answer's `key`; both spellings name the same key. Columns that
/// are repeated ask for several keys: the answer has `keys` instead of `key` and `values`.
///
/// With `Accept: text/event-stream`, the answer as server-sent events: each time it changes, an event without a name whose data is the answer as JSON.
/// `fresh` says as of when the same answer speaks, `problem` that there is none now, `dropped` and `end` why nothing more is told.
#[utoipa::path(
    get, path = "/v1/metrics/{metric}/total", operation_id = "total", tag = "metrics",
    params(MetricName, SeveralColumns, Times, Require, KnownAnswer, WhichVersion),
    responses(
        (status = 200, description = "The total. For a key without events, counts and sums are zero, and min and max are null.", headers(
            ("etag" = String, description = "Names the answer, for `If-None-Match`."),
            ("braid-complete" = String, description = "`true` if nothing is missing, or `false`."),
            ("braid-as-of" = String, description = "As of when the answer speaks, RFC 3339."),
        ), content(
            (TotalBody = "application/json"),
            (String = "text/csv"),
            (EventText = "text/event-stream"),
        )),
        AnswerRefusals,
    ),
)]
pub(crate) async fn total(
    State(app): State<Arc<App>>,
    RequestedTotal { version, total, headers }: RequestedTotal,
) -> Result<Response, Problem> {
    let metric = version.metric(&total.metric)?;
    let answer = answer::total(&version, metric, &total.selection, form(&headers), &app.http).await?;
    respond(&answer, total.require_complete, &headers)
}

/// A request for a total, and the version that answers it. No extractor behind this one finds headers.
pub(crate) struct RequestedTotal {
    version: Arc<Version>,
    total: Arc<KnownTotal>,
    headers: HeaderMap,
}

impl FromRequestParts<Arc<App>> for RequestedTotal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<RequestedTotal, Problem> {
        let (hosted, words) = (app.versions.hosted(), parts.uri.path_and_query().cloned());
        let words = words.as_ref().map_or("", PathAndQuery::as_str);
        let (version, total) = match app.known.get(&hosted, words) {
            Some(total) => (Arc::clone(hosted.requested(total.version.as_deref())?), total),
            None => {
                let (version, parameters) = requested(parts, &hosted)?;
                let NameInPath(metric) = NameInPath::<String>::from_request_parts(parts, app).await?;
                let total = read(app, &version, metric, &parameters)?;
                (version, app.known.keep(&hosted, words, total))
            }
        };
        Ok(RequestedTotal { version, total, headers: std::mem::take(&mut parts.headers) })
    }
}

/// Reads what a request says.
fn read(app: &App, version: &Version, metric: String, parameters: &Parameters) -> Result<KnownTotal, Problem> {
    let reader = Reader {
        catalog: &version.catalog,
        metric: version.metric(&metric)?,
        http: &app.http,
        now_us: clock::now_us(),
    };
    let Query { selection, require_complete } = reader.total(parameters)?;
    Ok(KnownTotal { version: parameters.version().map(str::to_owned), metric, selection, require_complete })
}
