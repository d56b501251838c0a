//! The telemetry of requests: how many there were and how long they took, by route and status.
//!
//! What is counted into is found once for each route and status, and kept. To find it means to put together and hash its labels, which
//! would take longer than the counting.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use metrics::{Counter, Histogram};

/// Counts requests. There are few routes and statuses, so what is kept is searched from front to back.
#[derive(Default)]
pub(crate) struct Requests {
    kept: Mutex<Vec<Kept>>,
}

/// What requests of one route with one status are counted into.
struct Kept {
    route: String,
    status: StatusCode,
    seconds: Histogram,
    total: Counter,
}

impl Requests {
    /// Counts a request to a path of the route table, or to `none` of them.
    pub(crate) fn count(&self, route: &str, status: StatusCode, took: Duration) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|kept| kept.status == status && kept.route == route);
        let at = known.unwrap_or_else(|| {
            kept.push(Kept::of(route, status));
            kept.len() - 1
        });
        kept[at].seconds.record(took.as_secs_f64());
        kept[at].total.increment(1);
    }
}

impl Kept {
    fn of(route: &str, status: StatusCode) -> Kept {
        let labels = [("route", route.to_owned()), ("status", status.as_u16().to_string())];
        Kept {
            route: route.to_owned(),
            status,
            seconds: metrics::histogram!("braid_serving_request_seconds", &labels),
            total: metrics::counter!("braid_serving_requests_total", &labels),
        }
    }
}
