//! `GET /v1/metrics/{metric}/total`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use platform::clock;

use super::{Reader, form, respond};
use crate::answer::{self, TotalBody};
use crate::app::App;
use crate::openapi::{
    AnswerRefusals, EventText, KnownAnswer, MetricName, Require, SeveralColumns, Times, WhichVersion,
};
use crate::problem::Problem;
use crate::routes::{NameInPath, Requested};

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
    Requested { version, parameters, headers }: Requested,
    NameInPath(name): NameInPath,
) -> Result<Response, Problem> {
    let metric = version.metric(&name)?;
    let reader = Reader { catalog: &version.catalog, metric, http: &app.http, now_us: clock::now_us() };
    let query = reader.total(&parameters)?;
    let answer = answer::total(&version, metric, &query.selection, form(&headers), &app.http).await?;
    respond(&answer, query.require_complete, &headers)
}
