//! `GET /v1/metrics/{metric}/series`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use platform::clock;

use super::{Reader, form, respond};
use crate::answer::{self, SeriesBody};
use crate::app::App;
use crate::openapi::{
    AnswerRefusals, EventText, KnownAnswer, MetricName, Require, SeveralColumns, Steps, Times, WhichVersion,
};
use crate::problem::Problem;
use crate::routes::{NameInPath, Requested};

/// One value per measure and step of a range
///
/// One point per step, including steps without events. If `from` or `to` is left out, the range begins or ends where the data does; with `from`
/// alone, it ends no earlier than the current step. `from` and `to` in the answer are what the points cover. Columns are as those of `total`.
///
/// With `Accept: text/event-stream`, the answer as server-sent events: each time it changes, an event without a name whose data is the answer as JSON.
/// `fresh` says as of when the same answer speaks, `problem` that there is none now, `dropped` and `end` why nothing more is told.
#[utoipa::path(
    get, path = "/v1/metrics/{metric}/series", operation_id = "series", tag = "metrics",
    params(MetricName, SeveralColumns, Times, Steps, Require, KnownAnswer, WhichVersion),
    responses(
        (status = 200, description = "The series.", headers(
            ("etag" = String, description = "Names the answer, for `If-None-Match`."),
            ("braid-complete" = String, description = "`true` if nothing is missing, or `false`."),
            ("braid-as-of" = String, description = "As of when the answer speaks, RFC 3339."),
        ), content(
            (SeriesBody = "application/json"),
            (String = "text/csv"),
            (EventText = "text/event-stream"),
        )),
        AnswerRefusals,
    ),
)]
pub(crate) async fn series(
    State(app): State<Arc<App>>,
    Requested { version, parameters, headers }: Requested,
    NameInPath(name): NameInPath,
) -> Result<Response, Problem> {
    let metric = version.metric(&name)?;
    let reader = Reader { catalog: &version.catalog, metric, http: &app.http, now_us: clock::now_us() };
    let (query, stepping) = reader.series(&parameters)?;
    let form = form(&headers);
    let answer = answer::series(&version, metric, &query.selection, &stepping, form, &app.http).await?;
    respond(&answer, query.require_complete, &headers)
}
