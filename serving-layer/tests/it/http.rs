//! Connections: bounds, and an ordered stop.

use platform::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::test_server::{TOTAL, TestServer};

#[tokio::test]
async fn a_stop_lets_open_requests_end() {
    let mut server = TestServer::new().await;
    server.archive_begins().await;
    server.open(0, 0).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    let address = server.address();
    let mut open = TcpStream::connect(address).await.expect("connected");
    open.write_all(b"GET /healthz HTTP/1.1\r\nhost: braid\r\n\r\n").await.expect("sent");
    let mut alive = Vec::new();
    while !alive.ends_with(br#"{"status":"alive"}"#) {
        assert_ne!(open.read_buf(&mut alive).await.expect("an answer"), 0);
    }
    // Redis is silent, so that the request is open while the stop begins.
    server.command(&["CLIENT", "PAUSE", "600", "ALL"]).await;
    open.write_all(b"GET /v1/metrics/views/total HTTP/1.1\r\nhost: braid\r\n\r\n").await.expect("sent");
    // The server reads the request before this answer comes back on another connection.
    assert_eq!(server.get("/healthz").await.0, 200);
    server.shutdown.begin("test");
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.expect("an answer, and then the end");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.ended().await;
    assert!(TcpStream::connect(address).await.is_err(), "the server still listens");
}

#[tokio::test]
async fn a_silent_client_does_not_keep_the_server() {
    let mut server = TestServer::new().await;
    server.settings.http.shutdown = platform::settings::Span::from_millis(200);
    server.serve().await;
    let mut silent = TcpStream::connect(server.address()).await.expect("connected");
    silent.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.expect("sent");
    assert_eq!(server.get("/healthz").await.0, 200);
    server.shutdown.begin("test");
    server.ended().await;
    server.shutdown = Shutdown::new();
    server.serve().await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let mut server = TestServer::new().await;
    server.serve().await;
    let long = "x".repeat(200 * 1024);
    for head in [
        format!("GET /healthz?{long} HTTP/1.1\r\nhost: braid\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nx: {long}\r\n\r\n"),
    ] {
        let mut client = TcpStream::connect(server.address()).await.expect("connected");
        // The server may close before it has read everything.
        let _ = client.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn a_head_has_at_most_a_hundred_headers() {
    let mut server = TestServer::new().await;
    server.serve().await;
    for (others, status) in [(98, "200"), (99, "431")] {
        let others: String = (0..others).map(|n| format!("x-{n}: y\r\n")).collect();
        let head = format!("GET /healthz HTTP/1.1\r\nhost: braid\r\nconnection: close\r\n{others}\r\n");
        let mut client = TcpStream::connect(server.address()).await.expect("connected");
        client.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer, and then the end");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}
