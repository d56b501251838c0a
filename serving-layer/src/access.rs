//! Who may ask, what, and how much. A request is admitted before any handler runs.
//!
//! Without keys in the settings everything is answered, and the server listens to this machine only. With keys,
//! each request but those of health checks sends one, as `Authorization: Bearer KEY`, or as the password of HTTP Basic, which a browser asks
//! its user for. What is held of keys is their hashes.
//!
//! - `required`: what each path asks of a key;
//! - `presented`: the key that a request sends;
//! - `bucket`: how many requests a key may make;
//! - `body`: what a request brings, with bounds on its size and time;
//! - `headers`: what browsers are told of every answer.

mod body;
mod bucket;
mod headers;
mod presented;
mod required;

use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use metrics::Counter;
use platform::api_key::{KeyHash, Scope};
use platform::settings::{self, GrantedKey, Size};

use crate::problem::Problem;
use bucket::Bucket;

pub(crate) use headers::protect;
pub(crate) use required::{Required, of as required_of};

/// What admits requests.
pub(crate) struct Gate {
    holders: Vec<Holder>,
}

/// Who holds a key.
struct Holder {
    key: GrantedKey,
    bucket: Bucket,
    requests: Counter,
}

impl Gate {
    /// Asks for one of these keys, if there are any.
    pub(crate) fn new(keys: Vec<GrantedKey>, settings: &settings::Access) -> Gate {
        let holder = |key: GrantedKey| Holder {
            bucket: Bucket::new(settings.requests_per_second, settings.burst),
            requests: metrics::counter!("braid_serving_key_requests_total", "key" => key.name.clone()),
            key,
        };
        Gate { holders: keys.into_iter().map(holder).collect() }
    }

    /// Whether requests have to send a key.
    pub(crate) fn asks_for_keys(&self) -> bool {
        !self.holders.is_empty()
    }

    /// A request that may be answered, with its body in memory, of at most `max` bytes, which arrived `within` that time.
    ///
    /// # Errors
    /// What it lacks, or what is wrong with its body.
    pub(crate) async fn admitted(&self, request: Request, max: Size, within: Duration) -> Result<Request, Problem> {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let admitted = self.admit(path, request.headers(), Instant::now());
        let brought = match admitted {
            Ok(()) if request.body().is_end_stream() => Ok(request),
            // Boxed, as what few requests need: it is large, and all of them would have room for it.
            Ok(()) => Box::pin(body::whole(request, max, within)).await,
            Err(problem) => {
                Box::pin(body::discard(request.into_body(), max)).await;
                Err(problem)
            }
        };
        brought.inspect_err(|refused| {
            metrics::counter!("braid_serving_refused_total", "reason" => refused.kind).increment(1);
        })
    }

    /// Admits a request to a path of the route table, or to `None` of them.
    ///
    /// # Errors
    /// What it lacks.
    fn admit(&self, route: Option<&str>, headers: &HeaderMap, now: Instant) -> Result<(), Problem> {
        if self.holders.is_empty() {
            return Ok(());
        }
        let scope = match required::of(route) {
            Required::Nothing => return Ok(()),
            Required::AnotherAddress => return Err(Problem::telemetry_elsewhere()),
            Required::Scope(scope) => scope,
        };
        let key = presented::key(headers)?;
        let holder = self.holder(&KeyHash::of(&key)).ok_or_else(Problem::unknown_key)?;
        holder.requests.increment(1);
        holder.bucket.take(now).map_err(|wait| Problem::too_many_requests(&holder.key.name, wait))?;
        if holder.key.scope < scope { Err(holder.forbidden(scope)) } else { Ok(()) }
    }

    /// Who holds the key of that hash. All are compared, so the time says nothing of where it differs from one.
    fn holder(&self, hash: &KeyHash) -> Option<&Holder> {
        self.holders
            .iter()
            .fold(None, |found, holder| if holder.key.hash.is(hash).into() { Some(holder) } else { found })
    }
}

impl Holder {
    fn forbidden(&self, needed: Scope) -> Problem {
        Problem::forbidden(&self.key.name, self.key.scope.name(), needed.name())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};
    use axum::response::IntoResponse;

    use super::*;

    fn gate(burst: u32) -> Gate {
        let key = |name: &str, scope, key: &str| GrantedKey { name: name.to_owned(), scope, hash: KeyHash::of(key) };
        let settings = settings::Access { requests_per_second: 1, burst, ..settings::Access::default() };
        Gate::new(vec![key("wall", Scope::Read, "r"), key("ops", Scope::Admin, "a")], &settings)
    }

    fn status(gate: &Gate, route: Option<&str>, key: Option<&str>, now: Instant) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let value = HeaderValue::from_str(&format!("Bearer {key}")).expect("a header");
            headers.insert(header::AUTHORIZATION, value);
        }
        gate.admit(route, &headers, now).map_or_else(|problem| problem.into_response().status().as_u16(), |()| 200)
    }

    #[test]
    fn each_path_asks_for_its_scope() {
        let (gate, now) = (gate(100), Instant::now());
        for (route, without, wrong, read, admin) in [
            (Some("/healthz"), 200, 200, 200, 200),
            (Some("/readyz"), 200, 200, 200, 200),
            (Some("/metrics"), 404, 404, 404, 404),
            (Some("/v1/metrics/{metric}/total"), 401, 401, 200, 200),
            (Some("/openapi.json"), 401, 401, 200, 200),
            (Some("/v1/rejected"), 401, 401, 403, 200),
            (None, 401, 401, 200, 200),
        ] {
            let found = [None, Some("x"), Some("r"), Some("a")].map(|key| status(&gate, route, key, now));
            assert_eq!(found, [without, wrong, read, admin], "{route:?}");
        }
        let open = Gate::new(Vec::new(), &settings::Access::default());
        assert_eq!(status(&open, Some("/metrics"), None, now), 200);
        assert_eq!(status(&open, Some("/v1/rejected"), None, now), 200);
    }

    #[test]
    fn each_key_has_requests_of_its_own() {
        let (gate, now) = (gate(2), Instant::now());
        let ask = |key, after| status(&gate, Some("/v1/metrics"), Some(key), now + Duration::from_millis(after));
        assert_eq!([ask("r", 0), ask("r", 0), ask("r", 0), ask("a", 0)], [200, 200, 429, 200]);
        assert_eq!([ask("x", 0), ask("r", 999), ask("r", 1_000), ask("r", 1_000)], [401, 429, 200, 429]);
    }
}
