//! The table of all routes, and what applies to every request: who may ask, a time-out, telemetry, a name for the log, and a problem for any
//! other path.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures::FutureExt;
use tower_http::CompressionLevel;
use tower_http::compression::Compression;
use tower_http::compression::predicate::{And, NotForContentType, Predicate, SizeAbove};
use tracing::field::Empty;
use tracing::{debug, error, info_span};

use crate::access;
use crate::app::App;
use crate::problem::{Problem, SEVERAL};
use crate::request_id::{RequestId, followed};
use crate::routes::metrics::{definitions, keys, series, several, top, total};
use crate::routes::{
    alerts, docs, health, live, openapi, page, reconciliations, rejected, reports, search, status, streams, tables,
    versions,
};

/// Answers of so many bytes are sent as they are: they go in one packet.
const COMPRESSED_ABOVE: u16 = 1_024;

/// All paths. The annotations of their handlers describe the same ones; a test compares them.
pub(crate) fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/", get(page::index)),
        ("/page/{tag}/{file}", get(page::file)),
        ("/v1/metrics", get(definitions::all)),
        ("/v1/metrics/{metric}", get(definitions::one)),
        ("/v1/metrics/{metric}/total", get(total::total)),
        ("/v1/metrics/{metric}/series", get(series::series)),
        ("/v1/metrics/{metric}/top", get(top::top)),
        ("/v1/metrics/{metric}/keys", get(keys::keys)),
        (SEVERAL, post(several::several)),
        ("/v1/streams", get(streams::list::all)),
        ("/v1/streams/{stream}", get(streams::read::read)),
        ("/v1/tables", get(tables::list::all)),
        ("/v1/tables/{table}/{key}", get(tables::row::row)),
        ("/v1/search/{index}", get(search::search)),
        ("/v1/reports", get(reports::list::all)),
        ("/v1/reports/{report}", get(reports::row::row)),
        ("/v1/reconciliations", get(reconciliations::newest)),
        ("/v1/rejected", get(rejected::newest)),
        ("/v1/alerts", get(alerts::all)),
        ("/v1/status", get(status::status)),
        ("/v1/versions", get(versions::all)),
        ("/healthz", get(health::alive)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(health::telemetry)),
        ("/openapi.json", get(openapi::document)),
        ("/docs", get(docs::index)),
        ("/docs/{file}", get(docs::file)),
    ]
}

/// The service that answers all requests. Answers are compressed for those who say that they read gzip: not short ones, and not events, each of
/// which is sent at once.
pub(crate) type Answers = Compression<Router, And<SizeAbove, NotForContentType>>;

/// All of them.
pub(crate) fn answers(app: Arc<App>) -> Answers {
    let predicate = SizeAbove::new(COMPRESSED_ABOVE).and(NotForContentType::SSE);
    Compression::new(router(app)).quality(CompressionLevel::Fastest).compress_when(predicate)
}

fn router(app: Arc<App>) -> Router {
    let routes = routes().into_iter();
    let router = routes.fold(Router::new(), |router, (path, route)| router.route(path, route));
    router
        .method_not_allowed_fallback(|request: Request| async move {
            Problem::method(request.method().as_str(), request.uri().path())
        })
        .fallback(|request: Request| async move { Problem::no_path(request.uri().path()) })
        // One layer for everything: each further one would clone and box what lies under it, for every request.
        .layer(from_fn_with_state(Arc::clone(&app), counted))
        .with_state(app)
}

/// Names a request in the log, counts it, and tells browsers what to do with its answer.
async fn counted(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (begun, id) = (Instant::now(), RequestId::of(request.headers()));
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    // Its path and its query are not logged: they may name people.
    let method = request.method().as_str();
    let span = info_span!("request", id = id.as_str(), method, route, status = Empty, traceparent = Empty);
    if let Some(followed) = followed(request.headers()) {
        span.record("traceparent", followed);
    }
    let mut answering = pin!(admitted(&app, request, next));
    let answered = std::future::poll_fn(|context| {
        span.in_scope(|| {
            let response = ready!(answering.as_mut().poll(context));
            let status = response.status().as_u16();
            // A log has it in the request's last line, and a span's fields are written again for each that is added.
            if app.telemetry.traces.is_some() {
                span.record("status", status);
            }
            debug!(status, took_us = begun.elapsed().as_micros(), "answered");
            Poll::Ready(response)
        })
    });
    let mut response = answered.await;
    access::protect(response.headers_mut());
    id.tell(response.headers_mut());
    app.requests.count(route, response.status(), begun.elapsed());
    response
}

/// Lets a request through to its handler if it may be answered and has brought its body, whole.
async fn admitted(app: &App, request: Request, next: Next) -> Response {
    match app.gate.admitted(request, app.http.max_body, app.http.request_timeout.get()).await {
        Ok(request) => bounded(app, request, next).await,
        Err(refused) => refused.into_response(),
    }
}

/// Ends a request after `http.request_timeout`, and turns a panic into a problem.
async fn bounded(app: &App, request: Request, next: Next) -> Response {
    let answer = std::panic::AssertUnwindSafe(live::or_answered(app, request, next)).catch_unwind();
    let within = app.http.request_timeout.get();
    match tokio::time::timeout(within, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            error!("a request panicked");
            Problem::internal().into_response()
        }
        Err(_) => Problem::too_slow(within).into_response(),
    }
}
