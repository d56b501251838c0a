//! `GET /healthz`, `/readyz` and `/metrics`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use platform::telemetry;
use serde_json::{Value, json};

use crate::app::App;

/// The process lives.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({"status": "alive"}))
}

/// The process can answer: every view and archive of the active version was read at least once, and Redis answers.
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
        (StatusCode::OK, Json(json!({"status": "ready"})))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "not ready", "reasons": reasons})))
    }
}

/// The process's own counters.
pub(crate) async fn telemetry() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], telemetry::render())
}
