//! Connections: bounds, and an ordered stop.

use platform::shutdown::Shutdown;
use shared_logic::log::PartitionId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{LOG, Stage};

#[tokio::test]
async fn a_stop_lets_open_requests_end() {
    let mut stage = Stage::new().await;
    stage.archive(|facts| facts.begin(&PartitionId::new(LOG, 0), 0)).await;
    stage.open(0, 0).await;
    stage.serve().await;
    stage.until("/v1/metrics/views/total", |_, body| body["complete"] == true).await;
    let address = stage.address();
    let mut open = TcpStream::connect(address).await.expect("connected");
    open.write_all(b"GET /healthz HTTP/1.1\r\nhost: braid\r\n\r\n").await.expect("sent");
    let mut alive = Vec::new();
    while !alive.ends_with(br#"{"status":"alive"}"#) {
        assert_ne!(open.read_buf(&mut alive).await.expect("an answer"), 0);
    }
    // Redis is silent, so that the request is open while the stop begins.
    stage.command(&["CLIENT", "PAUSE", "600", "ALL"]).await;
    open.write_all(b"GET /v1/metrics/views/total HTTP/1.1\r\nhost: braid\r\n\r\n").await.expect("sent");
    // The server reads the request before this answer comes back on another connection.
    assert_eq!(stage.get("/healthz").await.0, 200);
    stage.shutdown.begin("test");
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.expect("an answer, and then the end");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stage.ended().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_silent_client_does_not_keep_the_server() {
    let mut stage = Stage::new().await;
    stage.settings.http.shutdown = platform::settings::Span::from_millis(200);
    stage.serve().await;
    let mut silent = TcpStream::connect(stage.address()).await.expect("connected");
    silent.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.expect("sent");
    assert_eq!(stage.get("/healthz").await.0, 200);
    stage.shutdown.begin("test");
    stage.ended().await;
    stage.shutdown = Shutdown::new();
    stage.serve().await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let mut stage = Stage::new().await;
    stage.serve().await;
    let long = "x".repeat(200 * 1024);
    for head in [
        format!("GET /healthz?{long} HTTP/1.1\r\nhost: braid\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nx: {long}\r\n\r\n"),
    ] {
        let mut client = TcpStream::connect(stage.address()).await.expect("connected");
        // The server may close before it has read everything.
        let _ = client.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(stage.get("/healthz").await.0, 200);
}
