//! What is asked, and by which handler.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::error;

use crate::problem::Problem;

/// A path with parameters. Their order does not matter, but for that of the values of one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question(String);

impl Question {
    /// What a request asks.
    pub(super) fn of(uri: &Uri) -> Question {
        let name = |pair: &&str| pair.split('=').next().unwrap_or_default().to_owned();
        let mut pairs: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
        // A stable sort: an answer about several keys has them in the order in which they were asked for.
        pairs.sort_by_key(name);
        Question(format!("{}?{}", uri.path(), pairs.join("&")))
    }
}

/// The handler of a request, which can answer it again and again.
pub(super) struct Handler {
    request: Parts,
    next: Next,
    within: Duration,
}

/// What the handler gives.
#[derive(Debug, Clone)]
pub(super) enum Answered {
    /// The body of an answer.
    Answer(Bytes),
    /// A problem that may pass, such as a Redis that is gone: its body.
    Problem(Bytes),
    /// A problem that stays until the client asks something else.
    Refused(Refusal),
}

/// The response to a request that cannot be answered as it is.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    headers: Box<HeaderMap>,
    pub(super) body: Bytes,
}

impl Handler {
    /// What answers that request, within that time.
    pub(super) fn new(mut request: Parts, next: Next, within: Duration) -> Handler {
        // They say how this client wants its answer, which others share.
        request.headers = HeaderMap::new();
        Handler { request, next, within }
    }

    /// Answers as the handler would answer a request of this moment.
    pub(super) async fn answer(&self) -> Answered {
        let request = Request::from_parts(self.request.clone(), Body::empty());
        let response = AssertUnwindSafe(self.next.clone().run(request)).catch_unwind();
        let response = match tokio::time::timeout(self.within, response).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => {
                error!(path = self.request.uri.path(), "an answer that is watched panicked");
                Problem::internal().into_response()
            }
            Err(_) => Problem::too_slow(self.within).into_response(),
        };
        answered(response).await
    }
}

async fn answered(response: Response) -> Answered {
    let (head, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        // No handler gives a body that can fail.
        return Answered::Problem(problem_text(&Problem::internal()));
    };
    match head.status {
        StatusCode::OK => Answered::Answer(body),
        status if status.is_client_error() => {
            Answered::Refused(Refusal { status, headers: Box::new(head.headers), body })
        }
        _ => Answered::Problem(body),
    }
}

fn problem_text(problem: &Problem) -> Bytes {
    serde_json::to_vec(problem).expect("a problem is plain data").into()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, *self.headers, self.body).into_response()
    }
}

/// A response with that status and body.
#[cfg(test)]
pub(super) fn refusal(status: StatusCode, body: &'static str) -> Refusal {
    Refusal { status, headers: Box::default(), body: Bytes::from_static(body.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(uri: &'static str) -> Question {
        Question::of(&Uri::from_static(uri))
    }

    #[test]
    fn parameters_in_another_order_are_the_same_question() {
        let one = question("/v1/metrics/m/total?a=1&b=2&from=-1h");
        assert_eq!(one, question("/v1/metrics/m/total?from=-1h&&b=2&a=1"));
        for other in ["/v1/metrics/m/series?a=1&b=2&from=-1h", "/v1/metrics/m/total?a=1&b=2", "/v1/metrics/m/total"] {
            assert_ne!(one, question(other), "{other}");
        }
    }

    #[test]
    fn keys_in_another_order_are_another_answer() {
        assert_ne!(question("/t?a=1&a=2&b=0"), question("/t?a=2&a=1&b=0"));
        assert_eq!(question("/t?a=1&a=2&b=0"), question("/t?b=0&a=1&a=2"));
    }
}
