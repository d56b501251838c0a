//! The table of all routes, and what applies to every request: a time-out, telemetry, and a problem for any other path.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use futures::FutureExt;
use tracing::error;

use crate::app::App;
use crate::problem::Problem;
use crate::routes::metrics::{definitions, series, total};
use crate::routes::{health, openapi, reconciliations, reports, search, status, streams, tables, versions};

/// All paths. `openapi.json` describes the same ones; a test compares them.
pub(crate) fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/v1/metrics", get(definitions::all)),
        ("/v1/metrics/{metric}", get(definitions::one)),
        ("/v1/metrics/{metric}/total", get(total::total)),
        ("/v1/metrics/{metric}/series", get(series::series)),
        ("/v1/streams", get(streams::list::all)),
        ("/v1/streams/{stream}", get(streams::read::read)),
        ("/v1/tables", get(tables::list::all)),
        ("/v1/tables/{table}/{key}", get(tables::row::row)),
        ("/v1/search/{index}", get(search::search)),
        ("/v1/reports", get(reports::list::all)),
        ("/v1/reports/{report}", get(reports::row::row)),
        ("/v1/reconciliations", get(reconciliations::newest)),
        ("/v1/status", get(status::status)),
        ("/v1/versions", get(versions::all)),
        ("/healthz", get(health::alive)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(health::telemetry)),
        ("/openapi.json", get(openapi::document)),
    ]
}

/// The service that answers all requests.
pub(crate) fn router(app: Arc<App>) -> Router {
    let router = routes().into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
    router
        .method_not_allowed_fallback(|request: Request| async move { Problem::method(request.method().as_str()) })
        .fallback(|request: Request| async move { Problem::no_path(request.uri().path()) })
        .layer(from_fn_with_state(Arc::clone(&app), bounded_and_counted))
        .with_state(app)
}

/// Ends a request after `http.request_timeout`, turns a panic into a problem, and counts requests.
async fn bounded_and_counted(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    let answer = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    let within = app.http.request_timeout.get();
    let mut response = match tokio::time::timeout(within, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            error!(route, "a request panicked");
            Problem::internal().into_response()
        }
        Err(_) => Problem::too_slow(within).into_response(),
    };
    // Answers change with every event and must not be cached.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    app.requests.count(route, response.status(), begun.elapsed());
    response
}
