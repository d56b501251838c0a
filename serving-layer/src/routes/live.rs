//! `Accept: text/event-stream` on paths whose answers change: the same question, and the answer whenever it is another.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::live::accepts_events;

/// The paths whose answers can be watched.
const PATHS: [&str; 3] = ["/v1/metrics/{metric}/total", "/v1/metrics/{metric}/series", "/v1/metrics/{metric}/top"];

/// Lets the path's own handler answer a request: once, or again and again for a client that watches.
pub(crate) async fn or_answered(app: &App, request: Request, next: Next) -> Response {
    if request.method() != Method::GET || !accepts_events(request.headers()) || !can_be_watched(&request) {
        return next.run(request).await;
    }
    let (request, _) = request.into_parts();
    // Less than the request itself may take: an answer that takes too long is then an event, as any problem that may pass, and not a response
    // after which a browser gives up.
    let watched = app.live.watch(request, next, app.http.request_timeout.get() * 4 / 5);
    // Boxed: few requests watch, and all would have room for it.
    Box::pin(watched).await.into_response()
}

fn can_be_watched(request: &Request) -> bool {
    request.extensions().get::<MatchedPath>().is_some_and(|path| PATHS.contains(&path.as_str()))
}
