//! `/metrics` and `/healthz` of a process that has no other HTTP interface.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

use super::{TelemetryError, render};
use crate::settings;

/// Answers on `telemetry.listen` until the process ends, and returns the address; does nothing if the setting is absent.
///
/// # Errors
///
/// [`TelemetryError::Listen`].
pub async fn listen(settings: &settings::Telemetry) -> Result<Option<SocketAddr>, TelemetryError> {
    let Some(address) = settings.listen else { return Ok(None) };
    let refused = |source| TelemetryError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let routes = Router::new()
        .route("/metrics", get(async || ([(CONTENT_TYPE, "text/plain; version=0.0.4")], render())))
        .route("/healthz", get(async || ([(CONTENT_TYPE, "application/json")], r#"{"status":"alive"}"#)));
    tokio::spawn(async { axum::serve(listener, routes).await });
    Ok(Some(bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let mut answer = String::new();
        // The server may reset the connection instead of answering; then the answer stays empty.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn counters_and_life_are_told_and_nothing_else() {
        let settings =
            settings::Telemetry { listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..Default::default() };
        super::super::init(&settings).expect("starts");
        metrics::counter!("braid_speed_endpoint_test_total").increment(7);
        let address = listen(&settings).await.expect("listens").expect("an address");
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let counters = ask(address, &get("/metrics")).await;
        assert!(counters.starts_with("HTTP/1.1 200 OK\r\n"), "{counters}");
        assert!(counters.contains("braid_speed_endpoint_test_total 7"), "{counters}");
        assert!(ask(address, &get("/healthz")).await.ends_with("{\"status\":\"alive\"}"));
        assert!(ask(address, &get("/other")).await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn nothing_listens_unless_it_is_asked_for() {
        assert_eq!(listen(&settings::Telemetry::default()).await.expect("nothing to do"), None);
    }
}
