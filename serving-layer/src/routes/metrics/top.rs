//! `GET /v1/metrics/{metric}/top`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use platform::clock;
use shared_logic::catalog::Metric;

use super::all_keys::Columns;
use super::query::{range, require};
use super::{Reader, form, respond};
use crate::answer::{RankedBy, Top, TopBody};
use crate::app::App;
use crate::openapi::{AnswerRefusals, EventText, KnownAnswer, MetricName, OtherColumns, Require, Times, WhichVersion};
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{NameInPath, Requested};

/// The parameters besides the columns.
const OTHERS: [&str; 6] = ["by", "measure", "limit", "from", "to", "require"];
/// How many keys an answer has if the request does not say so, and at most.
const USUAL: usize = 10;
const MOST: usize = 1_000;

/// The largest keys of a range
///
/// The keys that the columns of `by` make, those with the largest `measure` first; of equal ones, that whose text comes first. Other columns are
/// parameters, and are summed over if they are left out.
///
/// With `Accept: text/event-stream`, the answer as server-sent events: each time it changes, an event without a name whose data is the answer as JSON.
/// `fresh` says as of when the same answer speaks, `problem` that there is none now, `dropped` and `end` why nothing more is told.
#[utoipa::path(
    get, path = "/v1/metrics/{metric}/top", operation_id = "top", tag = "metrics",
    params(
        MetricName,
        ("by" = Option<Vec<String>>, Query, description = "The columns whose values are listed, with commas between them. Default: those that the \
            request gives no value of.", style = Form, explode = false),
        ("measure" = Option<String>, Query, description = "The measure or derived value that ranks. Default: the first number."),
        ("limit" = Option<usize>, Query, description = "How many keys at most. Default: 10.", minimum = 1, maximum = 1000, example = 5),
        OtherColumns, Times, Require, KnownAnswer, WhichVersion),
    responses(
        (status = 200, description = "The keys.", headers(
            ("etag" = String, description = "Names the answer, for `If-None-Match`."),
            ("braid-complete" = String, description = "`true` if nothing is missing, or `false`."),
            ("braid-as-of" = String, description = "As of when the answer speaks, RFC 3339."),
        ), content(
            (TopBody<'static> = "application/json"),
            (String = "text/csv"),
            (EventText = "text/event-stream"),
        )),
        AnswerRefusals,
    ),
)]
pub(crate) async fn top(
    State(app): State<Arc<App>>,
    Requested { version, parameters, headers }: Requested,
    NameInPath(name): NameInPath,
) -> Result<Response, Problem> {
    let metric = version.metric(&name)?;
    let reader = Reader { catalog: &version.catalog, metric, http: &app.http, now_us: clock::now_us() };
    let (top, require_complete) = reader.top(&parameters)?;
    let answer = app.sweeps.top(&version, metric, top, form(&headers), &app.http).await?;
    respond(&answer, require_complete, &headers)
}

impl Reader<'_> {
    /// Reads the parameters of `top`, and whether an incomplete answer is refused.
    ///
    /// # Errors
    /// As [`Reader::total`], and if the request leaves no column to be listed.
    pub(crate) fn top(&self, parameters: &Parameters) -> Result<(Top, bool), Problem> {
        parameters.repeat_only(|_| false)?;
        let columns = Columns::read(parameters, self.catalog, self.metric, &OTHERS)?;
        let by = match parameters.get("by") {
            None => columns.not_given(),
            Some(names) => columns.named(names.split(','))?,
        };
        let asked = columns.asked(&by, range(parameters, self.metric.grain_us, self.now_us)?);
        let require_complete = require(parameters)?;
        let top = Top {
            asked,
            by: by.iter().map(|at| self.metric.by[*at].clone()).collect(),
            ranked_by: ranked_by(parameters, self.metric)?,
            limit: parameters.limit(USUAL, MOST)?,
        };
        Ok((top, require_complete))
    }
}

/// Reads `measure`; without one, it is the first number.
fn ranked_by(parameters: &Parameters, metric: &Metric) -> Result<RankedBy, Problem> {
    let measures = metric.measures.iter().enumerate().filter(|(_, measure)| measure.kind.is_number());
    let measures = measures.map(|(at, measure)| (measure.name.as_str(), RankedBy::Measure(at)));
    let derived = metric.derived.iter().enumerate();
    let derived = derived.map(|(at, derived)| (derived.name.as_str(), RankedBy::Derived(at)));
    let all: Vec<(&str, RankedBy)> = measures.chain(derived).collect();
    let asked = parameters.get("measure");
    let found = match asked {
        None => all.first(),
        Some(name) => all.iter().find(|(known, _)| *known == name),
    };
    found.map(|(_, ranked_by)| ranked_by.clone()).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let detail = format!(
            "measure={} is no number of the metric {}, by which keys could be ranked: write one of {}",
            asked.unwrap_or_default(),
            metric.name,
            known.join(", ")
        );
        Problem::parameter("measure", detail)
    })
}
