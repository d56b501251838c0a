//! Server-sent events of answers: what clients are told that watch a metric.

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::settings::Span;
use serde_json::{Value, json};
use shared_logic::catalog::Changed;
use storage::FollowedVersions;
use test_kit::catalogs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::redis_proxy::RedisProxy;
use crate::stream_fixture::{Event as Told, Watch};
use crate::test_server::{DEADLINE, Event, TOTAL, TestServer};
use crate::versions::{change, resolved, two};

const AS_OF: &str = "2026-04-24T09:30:12Z";
const EVENT: Event = ("2026-04-24T09:00:00Z", "v1", "de", 1);
const SERIES: &str = "/v1/metrics/views/series";
/// Within so long a client is told of an event that is counted.
const WITHIN: Duration = Duration::from_secs(1);

/// A server that has counted one view. `every`: how often it asks what clients watch, in milliseconds.
async fn counting(mut server: TestServer, every: u64) -> TestServer {
    server.settings.serving.live_every = Span::from_millis(every);
    server.topics.set(&[1_000]);
    server.archive_begins().await;
    server.open(0, 0).await;
    server.apply(0, &[EVENT], AS_OF).await;
    server
}

async fn serving() -> TestServer {
    let every = 250;
    let mut server = counting(TestServer::new().await, every).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    server
}

/// The next answer; other events are passed over that only say as of when it is one.
async fn answer(watch: &mut Watch) -> Value {
    loop {
        let Told { kind, data } = watch.next().await.expect("more comes");
        match kind.as_str() {
            "" => return serde_json::from_str(&data).expect("JSON"),
            kind => assert_eq!(kind, "fresh", "{data}"),
        }
    }
}

/// The same; problems are passed over, too.
async fn answer_at_last(watch: &mut Watch) -> Value {
    loop {
        let Told { kind, data } = watch.next().await.expect("more comes");
        if kind.is_empty() {
            return serde_json::from_str(&data).expect("JSON");
        }
    }
}

/// The type of the next problem, and the problem.
async fn problem(watch: &mut Watch) -> (String, Value) {
    loop {
        let Told { kind, data } = watch.next().await.expect("more comes");
        if kind == "problem" {
            let problem: Value = serde_json::from_str(&data).expect("JSON");
            return (problem["type"].as_str().expect("a type").to_owned(), problem);
        }
    }
}

fn views(answer: &Value) -> i64 {
    assert_eq!(answer["complete"], true, "{answer}");
    answer["values"]["views"].as_i64().expect("a count")
}

/// The one in the middle: one that the machine has delayed decides nothing.
fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

/// An answer without how fresh it is.
fn lasting(mut answer: Value) -> Value {
    answer["provenance"]["speed"]["lag_ms"] = Value::Null;
    answer["as_of"] = Value::Null;
    answer
}

#[tokio::test]
async fn an_answer_is_told_within_a_second_of_the_event_and_is_the_one_that_a_request_gets() {
    let server = serving().await;
    let paths = [TOTAL.to_owned(), format!("{TOTAL}?video=v1&country=de"), format!("{SERIES}?step=1h")];
    let mut watches = Vec::new();
    for path in &paths {
        watches.push(server.watch_path(path, None).await);
    }
    for (path, watch) in paths.iter().zip(&mut watches) {
        assert_eq!(lasting(answer(watch).await), lasting(server.ok(path).await), "{path}");
    }
    let mut took = Vec::new();
    for _ in 0..5 {
        server.apply(0, &[EVENT], AS_OF).await;
        let begun = Instant::now();
        for (path, watch) in paths.iter().zip(&mut watches) {
            assert_eq!(lasting(answer(watch).await), lasting(server.ok(path).await), "{path}");
        }
        took.push(begun.elapsed());
    }
    assert!(median(took.clone()) < WITHIN, "{took:?}");
}

#[tokio::test]
async fn nothing_is_told_while_the_answer_stays_and_a_later_as_of_is_no_other_one() {
    let server = serving().await;
    let (mut watch, mut of_another) =
        (server.watch_path(TOTAL, None).await, server.watch_path(&format!("{TOTAL}?video=v2"), None).await);
    assert_eq!((views(&answer(&mut watch).await), views(&answer(&mut of_another).await)), (1, 0));
    let first = of_another.id.clone();
    for second in 13..16 {
        server.apply(0, &[], &format!("2026-04-24T09:30:{second}Z")).await;
        server.apply(0, &[EVENT], &format!("2026-04-24T09:30:{second}Z")).await;
        assert_eq!(views(&answer(&mut watch).await), second - 11, "an answer is told once");
    }
    server.apply(0, &[("2026-04-24T09:00:00Z", "v2", "de", 1)], AS_OF).await;
    assert_eq!(views(&answer(&mut of_another).await), 1, "what was counted of others was not told");
    assert_ne!(of_another.id, first);
}

#[tokio::test]
async fn a_client_that_connects_again_goes_on_with_the_next_answer() {
    let server = serving().await;
    let mut watch = server.watch_path(TOTAL, None).await;
    assert_eq!(views(&answer(&mut watch).await), 1);
    let id = watch.id.clone();
    drop(watch);
    let mut again = server.watch_path(TOTAL, Some(&id)).await;
    let told = again.next().await.expect("an event");
    assert_eq!((told.kind.as_str(), told.data), ("fresh", json!({"as_of": AS_OF}).to_string()));
    server.apply(0, &[EVENT], AS_OF).await;
    assert_eq!(views(&answer(&mut again).await), 2);
}

/// A client that asks and reads nothing, with little room for what it does not read.
async fn stuck(server: &TestServer, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut client = socket.connect(server.address()).await.expect("connected");
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: braid\r\naccept: text/event-stream\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.expect("sent");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_dropped_with_a_reason_and_slows_no_other() {
    let mut server = counting(TestServer::new().await, 20).await;
    server.serve().await;
    // 4,320 points: an event of some hundred kilobytes, so that buffers between server and client are soon full.
    let path = format!("{SERIES}?from=2026-04-23T00:00:00Z&to=2026-04-26T00:00:00Z");
    server.until_complete(&path).await;
    let mut slow = stuck(&server, &path).await;
    let mut fast = server.watch_path(&path, None).await;
    answer(&mut fast).await;
    let mut took = Vec::new();
    for n in 2..40 {
        server.apply(0, &[EVENT], AS_OF).await;
        let begun = Instant::now();
        let told = answer(&mut fast).await;
        took.push(begun.elapsed());
        assert_eq!(told["provenance"]["speed"]["values"]["views"], n, "each answer is told");
    }
    assert!(median(took.clone()) < WITHIN, "{took:?}");
    let mut told = Vec::new();
    tokio::time::timeout(DEADLINE, slow.read_to_end(&mut told)).await.expect("an end").expect("no error");
    let told = String::from_utf8(told).expect("UTF-8");
    let last = told.rfind("event: dropped\n").map(|at| &told[at..]).expect("it is told that it was dropped");
    assert!(last.contains("\"reason\":\"behind\"") && last.contains("connect again"), "{last}");
    assert!(told.matches("\ndata: {\"version\"").count() < took.len(), "it was told everything");
}

#[tokio::test]
async fn what_is_missing_is_told_and_so_is_a_redis_that_is_away() {
    let mut server = TestServer::new().await;
    server.settings.redis.response_timeout = Span::from_millis(300);
    let proxy = RedisProxy::of(&server.redis).await;
    let mut server = counting(server, 50).await;
    server.serve_behind(&proxy).await;
    server.until_complete(TOTAL).await;
    let mut watch = server.watch_path(TOTAL, None).await;
    let mut strict = server.watch_path(&format!("{TOTAL}?require=complete"), None).await;
    assert_eq!((views(&answer_at_last(&mut watch).await), views(&answer_at_last(&mut strict).await)), (1, 1));
    proxy.hold();
    for watch in [&mut watch, &mut strict] {
        assert_eq!(problem(watch).await.0, "urn:braid:problem:redis-unavailable");
    }
    proxy.release();
    let again = (answer_at_last(&mut watch).await, answer_at_last(&mut strict).await);
    assert_eq!((views(&again.0), views(&again.1)), (1, 1), "once it is back");
    server.delete_shard(0).await;
    let incomplete = answer_at_last(&mut watch).await;
    assert_eq!(incomplete["complete"], false);
    assert!(incomplete["gaps"].as_array().is_some_and(|gaps| !gaps.is_empty()), "{incomplete}");
    let (kind, problem) = problem(&mut strict).await;
    assert_eq!((kind.as_str(), &problem["gaps"]), ("urn:braid:problem:incomplete", &incomplete["gaps"]));
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused() {
    let mut server = counting(TestServer::new().await, 50).await;
    server.settings.serving.live_questions = 1;
    server.settings.serving.live_clients = 2;
    server.serve().await;
    server.until_complete(TOTAL).await;
    let refused = async |path: &str| -> (u16, Value) {
        let request = server.http.get(format!("http://{}{path}", server.address()));
        let response = request.header("accept", "text/event-stream").send().await.expect("a response");
        (response.status().as_u16(), response.json().await.expect("a problem"))
    };
    for (path, status, kind) in [
        (format!("{TOTAL}?vidoe=a"), 400, "bad-parameter"),
        (format!("{SERIES}?step=7h"), 400, "bad-parameter"),
        ("/v1/metrics/veiws/total".to_owned(), 404, "unknown-metric"),
        (format!("{TOTAL}?version=v9"), 404, "unknown-version"),
    ] {
        let (answered, problem) = refused(&path).await;
        assert_eq!((answered, &problem["type"]), (status, &json!(format!("urn:braid:problem:{kind}"))), "{path}");
    }
    let mut watch = server.watch_path(TOTAL, None).await;
    answer(&mut watch).await;
    let (status, problem) = refused(SERIES).await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:braid:problem:too-many-questions")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("serving.live_questions")), "{problem}");
    let _second = server.watch_path(TOTAL, None).await;
    let (status, problem) = refused(TOTAL).await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:braid:problem:too-many-watchers")), "{problem}");
    assert_eq!(views(&server.ok(TOTAL).await), 1, "others are answered");
}

#[tokio::test]
async fn a_client_goes_over_to_the_version_that_becomes_active_and_is_told_of_one_that_goes() {
    let mut server = counting(TestServer::new().await, 50).await;
    let deployed =
        |number: u64, pointer, server: &TestServer| resolved(number, pointer, &server.catalog, catalogs::VIEWS);
    let (known, followed) = FollowedVersions::given(deployed(2, two(Changed::default()), &server));
    server.versions = Some(followed);
    server.serve().await;
    server.until_complete(TOTAL).await;
    let mut follows = server.watch_path(TOTAL, None).await;
    let (mut stays, mut goes) = (
        server.watch_path(&format!("{TOTAL}?version=v1"), None).await,
        server.watch_path(&format!("{TOTAL}?version=v2"), None).await,
    );
    assert_eq!(answer(&mut follows).await["version"], "v1");
    assert_eq!(
        (&answer(&mut stays).await["version"], &answer(&mut goes).await["version"]),
        (&json!("v1"), &json!("v2"))
    );
    let promote = two(Changed::default()).promote("v2", Some(1), vec!["unverified".to_owned()], change("promote v2"));
    known.send_replace(Arc::new(deployed(3, promote.expect("promoted"), &server)));
    let promoted = loop {
        let told = answer(&mut follows).await;
        if told["version"] == "v2" {
            break told;
        }
    };
    assert_eq!(lasting(promoted)["version"], "v2");
    server.apply(0, &[EVENT], AS_OF).await;
    assert_eq!(views(&answer(&mut stays).await), 2, "it is of the version that it names");

    let retired = two(Changed::default()).retire("v2", change("retire v2")).expect("retired");
    known.send_replace(Arc::new(deployed(4, retired, &server)));
    let end = loop {
        let told = goes.next().await.expect("a last event");
        if told.kind == "end" {
            break told;
        }
    };
    let end: Value = serde_json::from_str(&end.data).expect("JSON");
    assert_eq!(
        (&end["reason"], &end["problem"]["type"]),
        (&json!("refused"), &json!("urn:braid:problem:version-retired"))
    );
    assert_eq!(goes.next().await, None);
}

#[tokio::test]
async fn a_stop_ends_watches_in_order() {
    let mut server = serving().await;
    let mut watch = server.watch_path(TOTAL, None).await;
    answer(&mut watch).await;
    let begun = Instant::now();
    server.shutdown.begin("test");
    let end = loop {
        let told = watch.next().await.expect("a last event");
        if told.kind != "fresh" {
            break told;
        }
    };
    assert_eq!((end.kind.as_str(), end.data.as_str()), ("end", r#"{"reason":"shutdown"}"#));
    assert_eq!(watch.next().await, None);
    server.ended().await;
    assert!(begun.elapsed() < server.settings.http.shutdown.get(), "nothing waited for the deadline");
}
