//! `POST /v1/query`: several questions about metrics in one request.
//!
//! All are answered by the same version. Those about one source that are asked at the same time share a look at its shards, but each answer
//! is complete, or not, for itself, and says as of when it speaks. If one of them has a problem, the whole request has it: a client
//! never has to find out which part of an answer is none.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::try_join_all;
use platform::clock;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared_logic::catalog::Metric;
use utoipa::ToSchema;

use super::respond::check_complete;
use super::{Query, Reader};
use crate::answer::{self, Answers, Listed, Top};
use crate::app::App;
use crate::asked::Stepping;
use crate::openapi::{Refusals, WhichVersion};
use crate::problem::Problem;
use crate::routes::RequestedVersion;
use crate::routes::parameters::Parameters;
use crate::versions::Version;
use crate::written::{Form, Written};

/// The body of a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Questions {
    /// At most as many as `http.max_queries` allows.
    #[schema(min_items = 1, max_items = 20)]
    queries: Vec<Question>,
}

/// One question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    metric: String,
    answer: Kind,
    /// The parameters of that answer, as in the query string of its own path. A list repeats a parameter.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
}

/// What is asked of a metric.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AnswerKind)]
pub(crate) enum Kind {
    Total,
    Series,
    Top,
    Keys,
}

/// A question whose parameters were read; of the last two, whether an incomplete answer is refused.
enum Asked<'a> {
    Total(&'a Metric, Query),
    Series(&'a Metric, Query, Stepping),
    Top(&'a Metric, Top, bool),
    Keys(&'a Metric, Listed, bool),
}

/// Several questions about metrics in one request
///
/// The answers stand in the order of the questions, each as its own path gives it. All are answered by the same version. If one of them has a
/// problem, the whole request has it, and `parameter` says of which question.
#[utoipa::path(
    post, path = "/v1/query", operation_id = "query", tag = "metrics",
    params(WhichVersion),
    request_body = Questions,
    responses((status = 200, description = "The answers.", body = Answers), Refusals),
)]
pub(crate) async fn several(
    State(app): State<Arc<App>>,
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    let Questions { queries } = serde_json::from_slice(&body).map_err(|error| Problem::body(&error.to_string()))?;
    if queries.is_empty() || queries.len() > app.http.max_queries {
        let most = app.http.max_queries;
        let detail =
            format!("there are {} queries: write at least one, and at most {most} (http.max_queries)", queries.len());
        return Err(Problem::parameter("queries", detail));
    }
    let now_us = clock::now_us();
    // All of them are understood before anything is read.
    let asked = queries.iter().enumerate();
    let asked =
        asked.map(|(at, question)| question.read(&version, &app, now_us).map_err(|problem| problem.of_query(at)));
    let asked: Vec<Asked<'_>> = asked.collect::<Result<_, _>>()?;
    let answers = asked.iter().enumerate().map(|(at, asked)| {
        let answered = asked.answered(&version, &app);
        async move { answered.await.map_err(|problem| problem.of_query(at)) }
    });
    let answers = try_join_all(answers).await?;
    Ok(sent(version.version_name(), &answers))
}

impl Question {
    fn read<'a>(&self, version: &'a Version, app: &App, now_us: i64) -> Result<Asked<'a>, Problem> {
        let metric = version.metric(&self.metric)?;
        let parameters = self.parameters()?;
        let reader = Reader { catalog: &version.catalog, metric, http: &app.http, now_us };
        match self.answer {
            Kind::Total => Ok(Asked::Total(metric, reader.total(&parameters)?)),
            Kind::Series => reader.series(&parameters).map(|(query, stepping)| Asked::Series(metric, query, stepping)),
            Kind::Top => reader.top(&parameters).map(|(top, required)| Asked::Top(metric, top, required)),
            Kind::Keys => reader.keys(&parameters).map(|(listed, required)| Asked::Keys(metric, listed, required)),
        }
    }

    /// The parameters as they would stand in a query string.
    fn parameters(&self) -> Result<Parameters, Problem> {
        let mut pairs = Vec::new();
        for (name, value) in &self.parameters {
            if name == crate::problem::VERSION {
                let detail = "one version answers all queries: write version= in the query string of the request";
                return Err(Problem::parameter(name, detail.to_owned()));
            }
            let values = match value {
                Value::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            for value in values {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    Value::Null | Value::Array(_) | Value::Object(_) => {
                        let detail =
                            format!("{name} is {value}: write a text, a number, true or false, or a list of these");
                        return Err(Problem::parameter(name, detail));
                    }
                };
                pairs.push((name.clone(), text));
            }
        }
        Parameters::of(pairs)
    }
}

impl Asked<'_> {
    async fn answered(&self, version: &Arc<Version>, app: &App) -> Result<Arc<Written>, Problem> {
        let (http, form) = (&app.http, Form::Json);
        let (answer, require_complete) = match self {
            Asked::Total(metric, query) => {
                let answer = answer::total(version, metric, &query.selection, form, http).await?;
                (answer, query.require_complete)
            }
            Asked::Series(metric, query, stepping) => {
                let answer = answer::series(version, metric, &query.selection, stepping, form, http).await?;
                (answer, query.require_complete)
            }
            Asked::Top(metric, top, required) => {
                (app.sweeps.top(version, metric, top.clone(), form, http).await?, *required)
            }
            Asked::Keys(metric, listed, required) => {
                (app.sweeps.keys(version, metric, listed.clone(), form, http).await?, *required)
            }
        };
        check_complete(&answer, require_complete)?;
        Ok(answer)
    }
}

/// One body of all answers, which are JSON already.
fn sent(version: &str, answers: &[Arc<Written>]) -> Response {
    let version = Value::from(version);
    let mut body = format!("{{\"version\":{version},\"answers\":[").into_bytes();
    for (at, answer) in answers.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&answer.body);
    }
    body.extend_from_slice(b"]}");
    (StatusCode::OK, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
