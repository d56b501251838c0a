//! `GET /healthz`, `/readyz` and `/metrics`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use platform::telemetry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::openapi::{Unavailable, Unready};

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// Always `alive`.
    status: &'static str,
}

/// That the process can answer, or why it cannot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ready` or `not ready`.
    status: &'static str,
    /// Why it is not ready; absent if it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// Liveness
///
/// The process lives. Nothing else is checked.
#[utoipa::path(
    get, path = "/healthz", operation_id = "healthz", tag = "process",
    responses((status = 200, description = "It lives.", body = Alive)),
)]
pub(crate) async fn alive() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

/// Readiness
///
/// The process can answer: every batch view and archive of the active version was read at least once, and Redis answers.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "process",
    responses((status = 200, description = "It can answer.", body = Readiness), Unready),
)]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    let (hosted, mut reasons) = (app.versions.hosted(), Vec::new());
    let version = hosted.active();
    match version.snapshots.current() {
        None => reasons.push("the batch views are still being loaded".to_owned()),
        Some(snapshot) if !snapshot.is_whole(&version.catalog) => {
            reasons.extend(snapshot.store_errors().map(|error| format!("the store cannot be read: {error}")));
            reasons
                .extend(snapshot.loading().map(|metric| format!("the batch view of {metric} is still being loaded")));
        }
        Some(_) => {}
    }
    reasons.extend(app.redis().ping().await.err().map(|error| error.to_string()));
    if reasons.is_empty() {
        (StatusCode::OK, Json(Readiness { status: "ready", reasons }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status: "not ready", reasons }))
    }
}

/// The process's own counters
///
/// In the text format of Prometheus, version 0.0.4.
#[utoipa::path(
    get, path = "/metrics", operation_id = "telemetry", tag = "process",
    responses((status = 200, description = "The counters.", body = String, content_type = "text/plain"), Unavailable),
)]
pub(crate) async fn telemetry() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], telemetry::render())
}
