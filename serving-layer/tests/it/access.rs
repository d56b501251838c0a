//! Who may ask: no key, a wrong one, one that may not; too many requests, too large ones, and too slow ones.

use std::time::Duration;

use platform::api_key::{self, KeyHash};
use platform::settings::{Properties, Secret, Size, Span};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use serving_layer::{ServeError, granted_keys};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::test_server::{TOTAL, TestServer};

/// A key that nobody has.
fn made() -> Secret {
    Secret::from(api_key::random().expect("random"))
}

/// A serving layer that asks for keys, and two of them.
struct Guarded {
    server: TestServer,
    reader: Secret,
    admin: Secret,
}

impl Guarded {
    async fn serving(change: impl FnOnce(&mut TestServer)) -> Guarded {
        let (mut server, reader, admin) = (TestServer::new().await, made(), made());
        let line = |scope: &str, key: &Secret| format!("{scope} {}", KeyHash::of(key.reveal()));
        server.settings.access.keys =
            Properties::from_iter([("wall", line("read", &reader)), ("ops", line("admin", &admin))]);
        change(&mut server);
        server.archive_begins().await;
        server.open(0, 0).await;
        server.serve().await;
        Guarded { server, reader, admin }
    }

    fn request(&self, path: &str) -> RequestBuilder {
        self.server.http.get(format!("http://{}{path}", self.server.address())).timeout(Duration::from_secs(20))
    }

    async fn ask(&self, path: &str, key: &str) -> Response {
        self.request(path).bearer_auth(key).send().await.expect("an answer")
    }

    async fn until_complete(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.ask(TOTAL, self.admin.reveal()).await;
            let (status, body) = (answer.status(), answer.text().await.expect("a body"));
            if status == 200 && body.contains("\"complete\":true") {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{status} {body}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Status and kind of a problem, and what it says.
async fn problem(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{status}");
    let body: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    assert_eq!(body["status"], status);
    let text = |member: &str| body[member].as_str().expect("a text").to_owned();
    (status, text("type").trim_start_matches("urn:braid:problem:").to_owned(), text("detail"))
}

#[tokio::test]
async fn who_has_no_key_or_a_wrong_one_is_told_how_to_get_one() {
    let guarded = Guarded::serving(|_| {}).await;
    guarded.until_complete().await;
    let other = made();
    let hash = KeyHash::of(guarded.admin.reveal()).to_string();
    for (authorization, kind, word) in [
        (None, "no-key", "braid key new"),
        (Some(format!("Bearer {}", other.reveal())), "unknown-key", "not known"),
        (Some(format!("Bearer {hash}")), "unknown-key", "not known"),
        (Some("Bearer ".to_owned()), "unreadable-key", "Bearer KEY"),
        (Some(guarded.admin.reveal().to_owned()), "unreadable-key", "Bearer KEY"),
        (Some(format!("Token {}", guarded.admin.reveal())), "unreadable-key", "Bearer KEY"),
    ] {
        for path in [TOTAL, "/v1/status", "/openapi.json", "/v1/nothing"] {
            let request = guarded.request(path);
            let request = match &authorization {
                Some(value) => request.header("authorization", value),
                None => request,
            };
            let response = request.send().await.expect("an answer");
            let challenges: Vec<_> = response.headers().get_all("www-authenticate").iter().cloned().collect();
            assert_eq!(challenges.len(), 2, "{path}");
            let (status, found, detail) = problem(response).await;
            assert_eq!((status, found.as_str()), (401, kind), "{path} {detail}");
            assert!(detail.contains(word), "{detail}");
            for secret in [guarded.admin.reveal(), other.reveal(), &hash] {
                assert!(!detail.contains(secret), "{detail}");
            }
        }
    }
    for open in ["/healthz", "/readyz"] {
        assert_eq!(guarded.request(open).send().await.expect("an answer").status(), 200, "{open}");
    }
}

#[tokio::test]
async fn a_key_is_a_bearer_token_or_a_password() {
    let guarded = Guarded::serving(|_| {}).await;
    guarded.until_complete().await;
    for key in [&guarded.reader, &guarded.admin] {
        assert_eq!(guarded.ask(TOTAL, key.reveal()).await.status(), 200);
        let basic = guarded.request(TOTAL).basic_auth("anybody", Some(key.reveal())).send().await.expect("an answer");
        assert_eq!(basic.status(), 200);
    }
    let (status, kind, _) = problem(guarded.ask("/v1/nothing", guarded.reader.reveal()).await).await;
    assert_eq!((status, kind.as_str()), (404, "unknown-path"));
    // What clients have sent is not for everybody who may read answers.
    let rejected = "/v1/rejected?source=views";
    let (status, kind, detail) = problem(guarded.ask(rejected, guarded.reader.reveal()).await).await;
    assert_eq!((status, kind.as_str()), (403, "forbidden"));
    assert!(detail.contains("wall") && detail.contains("admin"), "{detail}");
    assert_eq!(guarded.ask(rejected, guarded.admin.reveal()).await.status(), 200);
    // The process's own counters name what only an operator needs, and are elsewhere.
    let (status, _, detail) = problem(guarded.ask("/metrics", guarded.admin.reveal()).await).await;
    assert_eq!(status, 404);
    assert!(detail.contains("telemetry.listen"), "{detail}");
    // What a key says of itself is nowhere told.
    for path in ["/v1/status", "/openapi.json", "/v1/versions", TOTAL] {
        let body = guarded.ask(path, guarded.admin.reveal()).await.text().await.expect("a body");
        let hash = KeyHash::of(guarded.admin.reveal()).to_string();
        assert!(!body.contains(guarded.admin.reveal()) && !body.contains(&hash), "{path}");
    }
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_ask_again() {
    let limits = |server: &mut TestServer| {
        server.settings.access.requests_per_second = 1;
        server.settings.access.burst = 3;
    };
    let guarded = Guarded::serving(limits).await;
    let mut refused = None;
    for _ in 0..20 {
        let response = guarded.ask("/v1/versions", guarded.reader.reveal()).await;
        if response.status() == 429 {
            refused = Some(response);
            break;
        }
        assert_eq!(response.status(), 200);
    }
    let response = refused.expect("three requests are possible at once");
    let seconds: u64 = response.headers()["retry-after"].to_str().expect("a number").parse().expect("a number");
    let (_, kind, detail) = problem(response).await;
    assert_eq!((seconds, kind.as_str()), (1, "too-many-requests"));
    assert!(detail.contains("wall") && detail.contains("access.burst"), "{detail}");
    assert_eq!(guarded.ask("/v1/versions", guarded.admin.reveal()).await.status(), 200, "another key is not affected");
    assert_eq!(guarded.request("/readyz").send().await.expect("an answer").status(), 200, "nor are health checks");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!(guarded.ask("/v1/versions", guarded.reader.reveal()).await.status(), 200);
}

#[tokio::test]
async fn what_a_request_brings_is_bounded() {
    let small = |server: &mut TestServer| server.settings.http.max_body = Size::from_bytes(1_024);
    let guarded = Guarded::serving(small).await;
    let post = |size: usize| {
        guarded
            .server
            .http
            .post(guarded.request("/v1/metrics").build().expect("a request").url().clone())
            .body(vec![b'x'; size])
    };
    let response = post(2_000).bearer_auth(guarded.reader.reveal()).send().await.expect("an answer");
    let (status, kind, detail) = problem(response).await;
    assert_eq!((status, kind.as_str()), (413, "body-too-large"));
    assert!(detail.contains("1KiB") && detail.contains("http.max_body"), "{detail}");
    let response = post(2_000).send().await.expect("an answer");
    assert_eq!(problem(response).await.1, "no-key", "who may not ask learns nothing of limits");
    let response = post(1_024).bearer_auth(guarded.reader.reveal()).send().await.expect("an answer");
    assert_eq!(response.status(), 405, "it is small enough, and nothing can be posted there");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let hasty = |server: &mut TestServer| server.settings.http.request_timeout = Span::from_millis(300);
    let guarded = Guarded::serving(hasty).await;
    let mut client = TcpStream::connect(guarded.server.address()).await.expect("connected");
    let key = guarded.reader.reveal();
    let head = format!(
        "POST /v1/metrics HTTP/1.1\r\nhost: braid\r\nauthorization: Bearer {key}\r\ncontent-length: 100\r\n\r\n{{"
    );
    client.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), client.read_to_string(&mut answer)).await;
    read.expect("in time").expect("an answer, and then the end");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("urn:braid:problem:body-too-slow"), "{answer}");
}

#[tokio::test]
async fn every_answer_names_itself_and_keeps_other_sites_out() {
    let guarded = Guarded::serving(|_| {}).await;
    for (path, status) in [("/healthz", 200), (TOTAL, 401)] {
        let response = guarded.request(path).header("x-request-id", "order-7").send().await.expect("an answer");
        assert_eq!(response.status(), status);
        let headers = response.headers();
        for (name, value) in [
            ("x-request-id", "order-7"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
        let policy = headers["content-security-policy"].to_str().expect("a text");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    let first = guarded.request("/healthz").send().await.expect("an answer").headers()["x-request-id"].clone();
    let second = guarded.request("/healthz").send().await.expect("an answer").headers()["x-request-id"].clone();
    assert_ne!(first, second);
}

#[tokio::test]
async fn without_keys_other_machines_are_not_listened_to() {
    let mut server = TestServer::new().await;
    server.settings.http.listen = "0.0.0.0:0".parse().expect("an address");
    let refused = granted_keys(&server.settings);
    let Err(error @ ServeError::Exposed { .. }) = refused else { panic!("{refused:?}") };
    for word in ["0.0.0.0:0", "braid key new", "127.0.0.1", "access.insecure = true"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = server.refused().await;
    assert!(matches!(error, ServeError::Exposed { .. }), "{error:?}");
    server.settings.access.insecure = true;
    assert!(granted_keys(&server.settings).expect("said to be right").is_empty());
    server.settings.access.insecure = false;
    let hash = KeyHash::of("x");
    server.settings.access.keys = Properties::from_iter([("wall", format!("read {hash}"))]);
    assert_eq!(granted_keys(&server.settings).expect("asks for a key").len(), 1);
}
