//! `/metrics` and `/healthz` of a process that serves nothing else.
//!
//! Two answers that never change their shape need no HTTP library: a request is read up to its empty line, bounded in size
//! and in time, and the connection closes after the answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{TelemetryError, render};
use crate::settings;

/// The longest head of a request; what is longer is not answered.
const MAX_HEAD: usize = 8 * 1024;
/// The longest that a client may take, from its first byte to the end of the answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Clients at once; more wait.
const MAX_CLIENTS: usize = 16;
/// The wait after the operating system refused to accept, mostly because there are too many open files.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Answers on `telemetry.listen` until the process ends, and gives the address; does nothing where it is not set.
///
/// # Errors
///
/// [`TelemetryError::Listen`].
pub async fn listen(settings: &settings::Telemetry) -> Result<Option<SocketAddr>, TelemetryError> {
    let Some(address) = settings.listen else { return Ok(None) };
    let refused = |source| TelemetryError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    tokio::spawn(accept(listener));
    Ok(Some(bound))
}

async fn accept(listener: TcpListener) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_RETRY).await;
            continue;
        };
        tokio::spawn(async move {
            let _place = place;
            // Whoever hangs up early or is too slow gets no answer, which is all that there is to do about it.
            let _ = tokio::time::timeout(WITHIN, answer(stream)).await;
        });
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (status, content, body) = match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics")) => ("200 OK", "text/plain; version=0.0.4", render()),
        (Some(b"GET"), Some(b"/healthz")) => ("200 OK", "application/json", "{\"status\":\"alive\"}".to_owned()),
        _ => ("404 Not Found", "text/plain", "there are GET /metrics and GET /healthz\n".to_owned()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let mut answer = String::new();
        // What is not read to its end may be answered by a reset, which is no answer either.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn counters_and_life_are_told_and_nothing_else() {
        let settings =
            settings::Telemetry { listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..Default::default() };
        super::super::init(&settings).expect("starts");
        metrics::counter!("speed_endpoint_test_total").increment(7);
        let address = listen(&settings).await.expect("listens").expect("an address");
        let counters = ask(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(counters.starts_with("HTTP/1.1 200 OK\r\n"), "{counters}");
        assert!(counters.contains("speed_endpoint_test_total 7"), "{counters}");
        assert!(ask(address, "GET /healthz HTTP/1.0\r\n\r\n").await.ends_with("{\"status\":\"alive\"}"));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        assert_eq!(ask(address, &format!("GET /{} HTTP/1.1", "x".repeat(2 * MAX_HEAD))).await, "");
    }

    #[tokio::test]
    async fn nothing_listens_unless_it_is_asked_for() {
        assert_eq!(listen(&settings::Telemetry::default()).await.expect("nothing to do"), None);
    }
}
