//! Real connections, and a handler whose answers tests choose.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::get;
use platform::settings::{Serving, Span};
use serde_json::Value;
use test_kit::DEADLINE;
use tokio::net::TcpListener;

use super::*;

const EVERY: Duration = Duration::from_millis(20);

/// A handler behind which clients watch.
struct Stage {
    address: std::net::SocketAddr,
    live: Arc<Live>,
    handler: Arc<Answering>,
    http: reqwest::Client,
}

/// Answers what a test has said, and counts how often.
struct Answering {
    asked: AtomicUsize,
    says: Mutex<(StatusCode, String)>,
}

impl Stage {
    async fn new(questions: usize, clients: usize) -> Stage {
        let serving = Serving {
            live_every: Span::from_millis(EVERY.as_millis() as u64),
            live_questions: questions,
            live_clients: clients,
            ..Serving::default()
        };
        let watchers = Arc::new(Watchers::new(serving.live_clients));
        let live = Arc::new(Live::new(watchers, &serving));
        let says = Mutex::new((StatusCode::OK, "{\"n\":0}".to_owned()));
        let handler = Arc::new(Answering { asked: AtomicUsize::new(0), says });
        let (answers, watched) = (Arc::clone(&handler), Arc::clone(&live));
        let answer = async move || {
            answers.asked.fetch_add(1, Ordering::SeqCst);
            answers.says.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let route = get(answer).layer(from_fn(move |request: Request, next: Next| {
            let live = Arc::clone(&watched);
            async move { live.watch(request.into_parts().0, next, DEADLINE).await }
        }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/{path}", route)).await });
        Stage { address, live, handler, http: reqwest::Client::new() }
    }

    fn says(&self, status: StatusCode, body: &str) {
        *self.handler.says.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_owned());
    }

    fn asked(&self) -> usize {
        self.handler.asked.load(Ordering::SeqCst)
    }

    async fn response(&self, path: &str, last_event_id: &str) -> reqwest::Response {
        let request = self.http.get(format!("http://{}{path}", self.address)).header(LAST_EVENT_ID, last_event_id);
        request.send().await.expect("a response")
    }

    async fn watch(&self, path: &str) -> Told {
        let response = self.response(path, "").await;
        assert_eq!(response.status(), StatusCode::OK);
        Told { response, buffer: String::new() }
    }
}

/// What a client is told.
struct Told {
    response: reqwest::Response,
    buffer: String,
}

impl Told {
    /// The lines of the next event; `None` if nothing comes any more.
    async fn next(&mut self) -> Option<Vec<String>> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event: String = self.buffer.drain(..end + 2).collect();
                let lines: Vec<String> = event.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
                if lines.iter().any(|line| line.starts_with("data: ")) {
                    return Some(lines);
                }
                continue;
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("in time");
            self.buffer.push_str(std::str::from_utf8(&chunk.expect("no error")?).expect("UTF-8"));
        }
    }

    /// The data of the next answer.
    async fn answer(&mut self) -> String {
        let event = self.next().await.expect("more comes");
        let [id, data] = event.as_slice() else { panic!("{event:?}") };
        assert!(id.starts_with("id: "), "{event:?}");
        data.trim_start_matches("data: ").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_clients_of_a_question_cost_what_one_does() {
    let (stage, begun) = (Stage::new(1, 40).await, Instant::now());
    let mut clients = Vec::new();
    for n in 0..40 {
        clients.push(stage.watch(if n % 2 == 0 { "/total?a=1&b=2" } else { "/total?b=2&a=1" }).await);
    }
    for n in 0..5 {
        stage.says(StatusCode::OK, &format!("{{\"n\":{n}}}"));
        for client in &mut clients {
            assert_eq!(client.answer().await, format!("{{\"n\":{n}}}"));
        }
    }
    let at_most = begun.elapsed().as_millis() / EVERY.as_millis() + 2;
    assert!((5..=at_most).contains(&(stage.asked() as u128)), "asked {} times, {at_most} at most", stage.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_watches_is_not_asked() {
    let stage = Stage::new(4, 4).await;
    let (mut one, mut other) = (stage.watch("/total").await, stage.watch("/series").await);
    one.answer().await;
    other.answer().await;
    drop((one, other));
    let deadline = Instant::now() + DEADLINE;
    loop {
        let before = stage.asked();
        tokio::time::sleep(10 * EVERY).await;
        if stage.asked() == before {
            break;
        }
        assert!(Instant::now() < deadline, "it is still asked, though nobody watches");
    }
    let mut again = stage.watch("/total").await;
    assert_eq!(again.answer().await, "{\"n\":0}", "whoever comes later is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_and_clients_are_bounded() {
    let stage = Stage::new(2, 3).await;
    let refused = async |path: &str| -> String {
        let response = stage.response(path, "").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let problem: Value = response.json().await.expect("a problem");
        problem["type"].as_str().expect("a type").to_owned()
    };
    let (_one, two) = (stage.watch("/a").await, stage.watch("/b").await);
    assert_eq!(refused("/c").await, "urn:braid:problem:too-many-questions");
    let _three = stage.watch("/a").await;
    assert_eq!(refused("/a").await, "urn:braid:problem:too-many-watchers");
    drop(two);
    let deadline = Instant::now() + DEADLINE;
    while stage.response("/c", "").await.status() != StatusCode::OK {
        assert!(Instant::now() < deadline, "what was left is not given to another question");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_that_may_pass_is_told_and_the_answer_after_it() {
    let stage = Stage::new(1, 2).await;
    stage.says(StatusCode::SERVICE_UNAVAILABLE, "{\"title\":\"Redis\"}");
    let mut client = stage.watch("/total").await;
    assert_eq!(client.next().await.expect("an event"), ["event: problem", "data: {\"title\":\"Redis\"}"]);
    stage.says(StatusCode::OK, "{\"n\":1}");
    assert_eq!(client.answer().await, "{\"n\":1}");
    stage.says(StatusCode::SERVICE_UNAVAILABLE, "{\"title\":\"Redis\"}");
    assert_eq!(client.next().await.expect("an event").first().map(String::as_str), Some("event: problem"));
    stage.says(StatusCode::OK, "{\"n\":1}");
    assert_eq!(client.answer().await, "{\"n\":1}", "also if it is the one of before");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_at_first_and_ends_later() {
    let stage = Stage::new(1, 2).await;
    stage.says(StatusCode::BAD_REQUEST, "{\"parameter\":\"a\"}");
    let response = stage.response("/total", "").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.text().await.expect("a body"), "{\"parameter\":\"a\"}");
    stage.says(StatusCode::OK, "{\"n\":1}");
    let mut client = stage.watch("/total").await;
    assert_eq!(client.answer().await, "{\"n\":1}", "a refusal takes no place");
    stage.says(StatusCode::NOT_FOUND, "{\"title\":\"gone\"}");
    let expected = "data: {\"reason\":\"refused\",\"problem\":{\"title\":\"gone\"}}";
    assert_eq!(client.next().await.expect("an event"), ["event: end", expected]);
    assert_eq!(client.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_newest_answer_is_not_told_it_again() {
    let stage = Stage::new(1, 3).await;
    stage.says(StatusCode::OK, "{\"n\":1,\"as_of\":\"9\"}");
    let mut client = stage.watch("/total").await;
    let event = client.next().await.expect("an event");
    let id = event[0].trim_start_matches("id: ");
    let mut again = Told { response: stage.response("/total", id).await, buffer: String::new() };
    assert_eq!(again.next().await.expect("an event"), ["event: fresh", "data: {\"as_of\":\"9\"}"]);
    stage.says(StatusCode::OK, "{\"n\":2,\"as_of\":\"9\"}");
    assert_eq!(again.answer().await, "{\"n\":2,\"as_of\":\"9\"}");
    let mut other = Told { response: stage.response("/total", id).await, buffer: String::new() };
    assert_eq!(other.answer().await, "{\"n\":2,\"as_of\":\"9\"}", "that one it does not have");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_gets_the_answer_as_of_now() {
    let stage = Stage::new(1, 2).await;
    stage.says(StatusCode::OK, "{\"n\":1,\"as_of\":\"1\"}");
    let mut client = stage.watch("/total").await;
    assert_eq!(client.answer().await, "{\"n\":1,\"as_of\":\"1\"}");
    stage.says(StatusCode::OK, "{\"n\":1,\"as_of\":\"2\"}");
    // The first one may have been answered before, the second one is told of before the third is asked.
    let (before, deadline) = (stage.asked(), Instant::now() + DEADLINE);
    while stage.asked() < before + 3 {
        assert!(Instant::now() < deadline, "it is not asked any more");
        tokio::time::sleep(EVERY).await;
    }
    let mut other = stage.watch("/total").await;
    assert_eq!(other.answer().await, "{\"n\":1,\"as_of\":\"2\"}", "though the first one was not told it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_every_client() {
    let stage = Stage::new(1, 2).await;
    let mut client = stage.watch("/total").await;
    client.answer().await;
    stage.live.stop();
    assert_eq!(client.next().await.expect("an event"), ["event: end", "data: {\"reason\":\"shutdown\"}"]);
    assert_eq!(client.next().await, None);
}

#[test]
fn events_are_asked_for_by_their_type() {
    let accepts =
        |text: &'static str| accepts_events(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(text))]));
    assert!(accepts("text/event-stream") && accepts("*/*;q=0.1, Text/Event-Stream; q=1"));
    assert!(!accepts("*/*") && !accepts("application/json") && !accepts("text/event-streams"));
    assert!(!accepts_events(&HeaderMap::new()));
}
