//! Spans for a collector of OpenTelemetry, by OTLP over HTTP as JSON (the feature `otel`).
//!
//! A span that has ended is handed to a thread, which posts what has come together each second. No code waits for it: what a collector does
//! not take in time is dropped and counted. What ended within the last second of a process may be lost.
//!
//! - `span`: what is told of a span, as JSON.

mod span;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::Subscriber;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use self::span::{Begun, Ended};
use super::TelemetryError;
use crate::clock::now_us;

/// How long spans wait for others.
const EVERY: Duration = Duration::from_secs(1);
/// How many spans are posted at once.
const AT_ONCE: usize = 512;
/// How many may wait.
const WAITING: usize = 8_192;
/// How long the collector may take to answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Where collectors take spans, below their address.
const PATH: &str = "/v1/traces";
/// The crates whose spans are told: not those of the client that posts them.
const OURS: [&str; 6] = ["batch_layer", "braid", "platform", "serving_layer", "speed_layer", "storage"];

/// Hands spans to the thread that posts them.
pub(super) struct Traces {
    ended: SyncSender<Ended>,
}

impl Traces {
    /// Posts spans to the collector at `url`, such as `http://collector:4318`.
    ///
    /// # Errors
    /// If that is no address, or the thread cannot be started.
    pub(super) fn to(url: &str) -> Result<Traces, TelemetryError> {
        let failed = |reason: String| TelemetryError::Traces { reason };
        let mut address = reqwest::Url::parse(url).map_err(|error| failed(format!("it is no address: {error}")))?;
        if !address.path().ends_with(PATH) {
            address.set_path(&format!("{}{PATH}", address.path().trim_end_matches('/')));
        }
        let client = reqwest::Client::builder().timeout(WITHIN).build().map_err(|error| failed(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let (ended, spans) = sync_channel(WAITING);
        let work = move || {
            while let Some(spans) = together(&spans) {
                let body = document(&spans).to_string();
                let post = client.post(address.clone()).header("content-type", "application/json").body(body);
                // Its time limit begins within the runtime.
                let answer = runtime.block_on(async { post.send().await?.error_for_status() });
                if answer.is_err() {
                    metrics::counter!("braid_telemetry_spans_dropped_total").increment(spans.len() as u64);
                }
            }
        };
        let thread = std::thread::Builder::new().name("traces".to_owned()).spawn(work);
        thread.map_err(|error| failed(error.to_string()))?;
        Ok(Traces { ended })
    }

    /// Whether spans of that code are told.
    pub(super) fn is_ours(metadata: &tracing::Metadata<'_>) -> bool {
        let of = metadata.target().split("::").next().unwrap_or_default();
        metadata.is_span() && OURS.contains(&of)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| parent.extensions().get::<Begun>().map(Begun::context));
        let mut begun = Begun::new(span.name(), parent, now_us(), Instant::now());
        attributes.record(&mut begun);
        span.extensions_mut().insert(begun);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(begun) = span.extensions_mut().get_mut::<Begun>()
        {
            values.record(begun);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(begun) = context.span(&id).and_then(|span| span.extensions_mut().remove::<Begun>()) else { return };
        if let Err(TrySendError::Full(_)) = self.ended.try_send(begun.end()) {
            metrics::counter!("braid_telemetry_spans_dropped_total").increment(1);
        }
    }
}

/// The spans of the next post; `None` once no more come.
fn together(spans: &Receiver<Ended>) -> Option<Vec<Ended>> {
    let mut all = vec![spans.recv().ok()?];
    let since = Instant::now();
    while all.len() < AT_ONCE {
        match spans.recv_timeout(EVERY.saturating_sub(since.elapsed())) {
            Ok(span) => all.push(span),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(all)
}

fn document(spans: &[Ended]) -> Value {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&program).file_name().map_or_else(|| "braid".into(), |name| name.to_string_lossy());
    let service = json!({"key": "service.name", "value": {"stringValue": name}});
    let spans: Vec<Value> = spans.iter().map(Ended::json).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [service]},
        "scopeSpans": [{"scope": {"name": "braid", "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
    }]})
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::State;
    use axum::routing::post;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tracing::info_span;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[tokio::test]
    async fn spans_arrive_with_their_parents_and_what_was_said_of_them() {
        let (told, mut posted) = mpsc::unbounded_channel();
        let take = async |State(told): State<mpsc::UnboundedSender<Value>>, body: String| {
            told.send(serde_json::from_str(&body).expect("JSON")).expect("the test waits");
        };
        let routes = Router::new().route(PATH, post(take)).with_state(told);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async { axum::serve(listener, routes).await });

        let traces = Traces::to(&format!("http://{address}/")).expect("starts").with_filter(filter_fn(Traces::is_ours));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(traces), || {
            let outer =
                info_span!("request", route = "/v1/status", status = tracing::field::Empty, traceparent = PARENT);
            let entered = outer.enter();
            let inner = info_span!("look", source = "views");
            drop(info_span!(target: "hyper", "a client's"));
            drop(inner);
            outer.record("status", 200_u16);
            drop(entered);
        });

        let mut spans: Vec<Value> = Vec::new();
        while spans.len() < 2 {
            let body =
                tokio::time::timeout(Duration::from_secs(20), posted.recv()).await.expect("in time").expect("one");
            let scope = &body["resourceSpans"][0]["scopeSpans"][0];
            spans.extend(scope["spans"].as_array().expect("spans").iter().cloned());
        }
        assert_eq!(spans.len(), 2, "{spans:?}");
        let [inner, outer] = [&spans[0], &spans[1]];
        assert_eq!((&inner["name"], &outer["name"]), (&json!("look"), &json!("request")));
        assert_eq!(inner["parentSpanId"], outer["spanId"]);
        assert_eq!(outer["parentSpanId"], "00f067aa0ba902b7");
        for span in [inner, outer] {
            assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
            let time = |name: &str| span[name].as_str().expect("a text").parse::<u64>().expect("nanoseconds");
            assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
        }
        let attributes = json!([
            {"key": "route", "value": {"stringValue": "/v1/status"}},
            {"key": "status", "value": {"intValue": "200"}},
        ]);
        assert_eq!(outer["attributes"], attributes);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let error = Traces::to("collector").err().expect("refused").to_string();
        assert!(error.contains("telemetry.traces") && error.contains("no address"), "{error}");
    }
}
