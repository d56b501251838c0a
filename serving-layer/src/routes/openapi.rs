//! `GET /openapi.json`

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use platform::clock;
use serde_json::Value;

use super::RequestedVersion;
use super::parameters::Parameters;
use crate::app::App;
use crate::openapi::{Refusals, WhichVersion};
use crate::problem::Problem;

/// This document
///
/// OpenAPI 3.1, about the catalog of the version that answers: each of its metrics, streams, tables, search indexes and
/// reports has paths of its own.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "process",
    params(WhichVersion),
    responses((status = 200, description = "This document.", body = Object, content_type = "application/json"), Refusals),
)]
pub(crate) async fn document(
    State(app): State<Arc<App>>,
    RequestedVersion(version): RequestedVersion,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    Parameters::refuse_all(query.as_deref())?;
    Ok(Json((app.describe)(&version.catalog, app.gate.asks_for_keys(), clock::now_us())))
}
