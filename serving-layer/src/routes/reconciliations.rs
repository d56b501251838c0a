//! `GET /v1/reconciliations`: what the last reconciles moved, and the drift between the layers that they measured; and what the
//! checks of streams and search indexes have found.

use axum::Json;
use axum::extract::RawQuery;
use platform::telemetry::error_text;
use serde::Serialize;
use shared_logic::contracts::reconciliation::Reconciliation;
use storage::RowsOf;
use utoipa::ToSchema;

use super::parameters::Parameters;
use super::{OfVersion, RequestedVersion, of_version};
use crate::openapi::{Refusals, WhichVersion};
use crate::problem::Problem;
use crate::versions::Version;

/// How many rows are given if the request does not say.
const LIMIT: usize = 20;
/// How many rows a request can ask for.
const LIMIT_MAX: usize = 1_000;

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reconciliations)]
pub(crate) struct Body {
    /// The newest first.
    reconciliations: Vec<Reconciliation>,
}

/// What the last reconciles moved, and the drift between the layers
///
/// One row for each reconcile of a metric, the newest first. It compares what the speed layer had counted of the offsets that the reconcile
/// moved to the batch view with what it found there, everything together per bucket. About 500 rows of each metric are kept. A reconcile
/// that is killed right after its commit has no row. Rows with `stream_check` are checks of streams, which compare what a stream's topic
/// holds with what is decided again from the archive of its source. Rows with `index_check` are checks of search indexes, which compare each
/// with its table.
#[utoipa::path(
    get, path = "/v1/reconciliations", operation_id = "listReconciliations", tag = "status",
    params(
        WhichVersion,
        ("metric" = Option<String>, Query, description = "Only reconciles of this metric. Default: of all. Not together with `stream` or `index`."),
        ("stream" = Option<String>, Query, description = "Only checks of this stream. Not together with `metric` or `index`."),
        ("index" = Option<String>, Query, description = "Only checks of this search index. Not together with `metric` or `stream`."),
        ("limit" = Option<usize>, Query, description = "How many rows at most. Default: 20.", minimum = 1, maximum = 1000, example = 5),
    ),
    responses((status = 200, description = "The rows; none as long as nothing was reconciled.", body = OfVersion<Body>), Refusals),
)]
pub(crate) async fn newest(
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Body>>, Problem> {
    let parameters = Parameters::read(query.as_deref())?;
    parameters.only(["metric", "stream", "index", "limit"].into_iter())?;
    let of = match ["metric", "stream", "index"].map(|name| parameters.get(name)) {
        [None, None, None] => RowsOf::All,
        [Some(metric), None, None] => RowsOf::Metric(known(&version, metric)?),
        [None, Some(stream), None] => RowsOf::Stream(known_stream(&version, stream)?),
        [None, None, Some(index)] => RowsOf::Index(known_index(&version, index)?),
        [_, stream, _] => {
            let detail = "a row is about a metric, a stream or an index: give one of them".to_owned();
            return Err(Problem::parameter(if stream.is_some() { "stream" } else { "index" }, detail));
        }
    };
    let limit = parameters.limit(LIMIT, LIMIT_MAX)?;
    let newest = version.reconciliations.newest(of, limit).await;
    let reconciliations = newest.map_err(|error| Problem::store(&error_text(&error)))?;
    Ok(of_version(&version, Body { reconciliations }))
}

/// A metric's name, if the catalog declares it.
fn known<'a>(version: &Version, name: &'a str) -> Result<&'a str, Problem> {
    match version.metric(name) {
        Ok(_) => Ok(name),
        Err(problem) => Err(Problem::parameter("metric", problem.detail)),
    }
}

/// A stream's name, if the catalog declares it.
fn known_stream<'a>(version: &Version, name: &'a str) -> Result<&'a str, Problem> {
    match version.stream(name) {
        Ok(_) => Ok(name),
        Err(problem) => Err(Problem::parameter("stream", problem.detail)),
    }
}

/// An index's name, if the catalog declares it.
fn known_index<'a>(version: &Version, name: &'a str) -> Result<&'a str, Problem> {
    match version.search(name) {
        Ok(_) => Ok(name),
        Err(problem) => Err(Problem::parameter("index", problem.detail)),
    }
}
