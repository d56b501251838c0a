//! What a request gets that is not admitted. None of these repeats what was sent as a key.

use std::time::Duration;

use axum::http::StatusCode;
use platform::settings::Size;

use super::Problem;

impl Problem {
    /// A key is needed, and none was sent.
    pub(crate) fn no_key() -> Problem {
        let detail = "this needs an API key: send it as `Authorization: Bearer KEY`, or as the password of HTTP Basic; \
                      `braid key new --scope read` makes one";
        Problem::unauthorized("no-key", "An API key is needed", detail)
    }

    /// What was sent as a key cannot be read.
    pub(crate) fn unreadable_key() -> Problem {
        let detail = "the header Authorization cannot be read: send it once, as `Bearer KEY`, or as HTTP Basic with the key as the password";
        Problem::unauthorized("unreadable-key", "The API key cannot be read", detail)
    }

    /// A key was sent that is not in the settings.
    pub(crate) fn unknown_key() -> Problem {
        let detail = "this API key is not known here: it may be mistyped or withdrawn; `braid key new` makes another one, whose hash \
                      belongs into the settings of the serving layer";
        Problem::unauthorized("unknown-key", "The API key is not known", detail)
    }

    fn unauthorized(kind: &'static str, title: &'static str, detail: &str) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, kind, title, detail.to_owned())
    }

    /// A key may not do what was asked.
    pub(crate) fn forbidden(name: &str, has: &str, needs: &str) -> Problem {
        let detail = format!("the key {name} has the scope {has}, and this needs {needs}: ask with a key that has it");
        Problem::new(StatusCode::FORBIDDEN, "forbidden", "The API key may not do this", detail)
    }

    /// A key has made as many requests as it may.
    pub(crate) fn too_many_requests(name: &str, wait: Duration) -> Problem {
        // Rounded up: to try again a moment too early would be refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!(
            "the key {name} has made more requests than it may (access.requests_per_second, access.burst): ask again in {seconds} s"
        );
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests", detail);
        Problem { retry_after: Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1)), ..problem }
    }

    /// The process's own counters are elsewhere.
    pub(crate) fn telemetry_elsewhere() -> Problem {
        let detail = "as there are API keys, /metrics is answered on the address of telemetry.listen alone".to_owned();
        Problem::new(StatusCode::NOT_FOUND, "unknown-path", "No such path", detail)
    }

    /// A request brings more than it may.
    pub(crate) fn body_too_large(max: Size) -> Problem {
        let detail = format!("the body has more than {max} (http.max_body): ask for less at once");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large", detail)
    }

    /// What a request brings does not arrive.
    pub(crate) fn body_too_slow(within: Duration) -> Problem {
        let detail =
            format!("the body did not arrive within {within:?} (http.request_timeout): send it again, at once");
        let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "The body took too long", detail);
        Problem { retry_after: Some(1), ..problem }
    }

    /// What a request brings ends before its end.
    pub(crate) fn body_broke_off() -> Problem {
        let detail = "the body breaks off before its end: send it again, whole".to_owned();
        Problem::new(StatusCode::BAD_REQUEST, "body-broke-off", "The body breaks off", detail)
    }
}
