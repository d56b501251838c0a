//! Requests share what is read of the shards, and no answer is older than its request (R10).

use std::sync::atomic::{AtomicI64, Ordering};

use futures::future::join_all;
use platform::settings::{Size, Span};
use serde_json::{Value, json};
use test_kit::DEADLINE;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::redis_proxy::RedisProxy;
use crate::test_server::{Event, TOTAL, TestServer};

const AS_OF: &str = "2026-04-24T09:30:12Z";
const EVENT: Event = ("2026-04-24T09:00:00Z", "v1", "de", 1);

/// A serving layer that has answered before, on a shard with one event.
async fn serving(proxy: Option<&RedisProxy>, mut server: TestServer) -> TestServer {
    server.topics.set(&[1_000]);
    server.archive_begins().await;
    server.open(0, 0).await;
    server.apply(0, &[EVENT], AS_OF).await;
    match proxy {
        Some(proxy) => server.serve_behind(proxy).await,
        None => server.serve().await,
    }
    server.until_complete(TOTAL).await;
    server
}

async fn behind_a_proxy() -> (RedisProxy, TestServer) {
    let server = TestServer::new().await;
    let proxy = RedisProxy::of(&server.redis).await;
    let server = serving(Some(&proxy), server).await;
    (proxy, server)
}

/// How often Redis was asked for the positions of a shard. A script that reads counters asks for them, too.
async fn positions_read(server: &TestServer) -> u64 {
    server.calls("hmget").await
}

/// Waits until Redis was asked for positions since then.
async fn looked_since(server: &TestServer, before: u64) {
    let looked = async {
        while positions_read(server).await == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, looked).await.expect("a look");
}

/// Lets the server come to read what was sent to it.
async fn let_it_read(server: &TestServer) {
    for _ in 0..200 {
        assert_eq!(server.get("/healthz").await.0, 200);
    }
}

fn views(answer: &Value) -> i64 {
    assert_eq!(answer["complete"], true, "{answer}");
    answer["values"]["views"].as_i64().expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_answered_by_a_look_that_began_before_it() {
    let (proxy, server) = behind_a_proxy().await;
    let of_a_video = format!("{TOTAL}?video=v1");
    for applied in 1..=5 {
        proxy.hold();
        let before = positions_read(&server).await;
        let second = async {
            // Redis has answered the first look; its reply is on the way when an event is applied.
            looked_since(&server, before).await;
            server.apply(0, &[EVENT], AS_OF).await;
            let release = async {
                let_it_read(&server).await;
                proxy.release();
            };
            let (same, other, ()) = tokio::join!(server.ok(TOTAL), server.ok(&of_a_video), release);
            (same, other)
        };
        let (first, (same, other)) = tokio::join!(server.ok(TOTAL), second);
        assert_eq!((views(&first), views(&same), views(&other)), (applied, applied + 1, applied + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_at_once_cost_a_few_looks() {
    let (proxy, server) = behind_a_proxy().await;
    let of_everything = vec![TOTAL.to_owned(); 100];
    let of_other_keys = (0..100).map(|n| format!("{TOTAL}?video=v{n}")).collect();
    // Positions are read once. What is not held is read by scripts, of 64 counters each at most.
    for (paths, reads) in [(of_everything, 1), (of_other_keys, 3)] {
        proxy.hold();
        let before = positions_read(&server).await;
        let all = async {
            looked_since(&server, before).await;
            let release = async {
                let_it_read(&server).await;
                proxy.release();
            };
            tokio::join!(join_all(paths.iter().map(|path| server.ok(path))), release).0
        };
        let (_, answers) = tokio::join!(server.ok(TOTAL), all);
        let read = positions_read(&server).await - before;
        assert!((1 + reads..=1 + 3 * reads).contains(&read), "positions were read {read} times");
        for (path, answer) in paths.iter().zip(&answers) {
            assert_eq!(views(answer), i64::from(path == TOTAL || path.ends_with("=v1")), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_differ_in_anything_share_no_answer() {
    let (proxy, server) = behind_a_proxy().await;
    // Half an hour before the first event; the counters of both lie in one chunk.
    server.apply(0, &[("2026-04-24T08:30:00Z", "v2", "de", 1)], AS_OF).await;
    let series = "/v1/metrics/views/series";
    let nine = "2026-04-24T09:00:00Z";
    // How many views each counts, and how many points it has.
    let asked = [
        (TOTAL.to_owned(), 2, None),
        (format!("{TOTAL}?video=v1"), 1, None),
        (format!("{TOTAL}?video=v3"), 0, None),
        (format!("{TOTAL}?from={nine}"), 1, None),
        (format!("{TOTAL}?to={nine}"), 1, None),
        (format!("{TOTAL}?from=0001-01-01T00:00:00Z"), 2, None),
        (format!("{TOTAL}?from=2026-04-24T08:00:00Z&to=2026-04-24T08:10:00Z"), 0, None),
        (format!("{TOTAL}?from=2026-04-24T08:00:00Z&to=2026-04-24T08:40:00Z"), 1, None),
        (format!("{TOTAL}?from=2026-04-24T08:00:00Z&to=2026-04-24T09:03:00Z"), 2, None),
        (format!("{series}?step=1h"), 2, Some(2)),
        (format!("{series}?step=30m"), 2, Some(2)),
        (format!("{series}?step=5m"), 2, Some(7)),
        (format!("{series}?step=5m&to={nine}"), 1, Some(6)),
    ];
    for _ in 0..3 {
        proxy.hold();
        let before = positions_read(&server).await;
        let all = async {
            looked_since(&server, before).await;
            let release = async {
                let_it_read(&server).await;
                proxy.release();
            };
            let requests = asked.iter().cycle().take(3 * asked.len()).map(|(path, ..)| server.ok(path));
            tokio::join!(join_all(requests), release).0
        };
        let (_, answers) = tokio::join!(server.ok(TOTAL), all);
        for ((path, views, points), answer) in asked.iter().cycle().zip(&answers) {
            let speed = &answer["provenance"]["speed"]["values"]["views"];
            assert_eq!((speed, &answer["complete"]), (&json!(views), &json!(true)), "{path}: {answer}");
            assert_eq!(answer["points"].as_array().map(Vec::len), *points, "{path}: {answer}");
            let from = path.split_once("from=").and_then(|(_, from)| from.split('&').next());
            if points.is_none() {
                assert_eq!(answer["from"].as_str(), from, "{path}: {answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_sees_what_was_applied_before_it_asked() {
    const EVENTS: i64 = 60;
    for keeps in [true, false] {
        let mut server = TestServer::new().await;
        if !keeps {
            // Every key is cold.
            server.settings.serving.slice_memory = Size::from_bytes(1);
        }
        let server = serving(None, server).await;
        let applied = AtomicI64::new(1);
        let read = async |path: &str| {
            loop {
                let at_least = applied.load(Ordering::SeqCst);
                let answer = server.ok(path).await;
                let at_most = EVENTS.min(applied.load(Ordering::SeqCst) + 1);
                assert!((at_least..=at_most).contains(&views(&answer)), "{at_least} to {at_most}: {answer}");
                if at_least == EVENTS {
                    return;
                }
            }
        };
        let count = async {
            for n in 2..=EVENTS {
                if n % 7 == 0 {
                    server.rotate(0).await;
                }
                server.apply(0, &[EVENT], AS_OF).await;
                applied.store(n, Ordering::SeqCst);
            }
        };
        let queries = ["", "?video=v1", "?country=de", "?video=v1&country=de", "?from=2026-04-24T08:00:00Z"];
        let paths: Vec<String> = queries.iter().cycle().take(20).map(|query| format!("{TOTAL}{query}")).collect();
        tokio::join!(count, join_all(paths.iter().map(|path| read(path))));
    }
}

#[tokio::test]
async fn counters_that_cannot_have_changed_are_not_read_again() {
    let server = serving(None, TestServer::new().await).await;
    let read = async || {
        let before = server.calls("hget").await;
        let answer = server.ok(TOTAL).await;
        (views(&answer), answer["as_of"].clone(), server.calls("hget").await - before)
    };
    let scripts = server.calls("evalsha").await;
    assert_eq!(read().await, (1, json!(AS_OF), 0), "they were read when it answered first");
    assert_eq!(server.calls("evalsha").await, scripts, "where nothing has moved, positions are enough");
    // A worker without records says that the log has not grown.
    let later = "2026-04-24T09:30:14Z";
    server.apply(0, &[], later).await;
    assert_eq!(read().await, (1, json!(later), 0));
    server.apply(0, &[EVENT], later).await;
    assert_eq!(read().await, (2, json!(later), 1));
    server.rotate(0).await;
    assert_eq!(read().await, (2, json!(later), 1), "the new slice, and not the one that has ended");
    server.apply(0, &[EVENT], later).await;
    assert_eq!(read().await, (3, json!(later), 1));
    assert_eq!(read().await, (3, json!(later), 0));
    // Another shard, whose cursor is where that of the deleted one was.
    server.delete_shard(0).await;
    server.open(0, 0).await;
    server.apply(0, &[EVENT; 3], later).await;
    server.rotate(0).await;
    let (views, _, hgets) = read().await;
    assert!(views == 3 && hgets > 0, "{views} views, {hgets} reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_cancelled_ends_no_look() {
    let (proxy, server) = behind_a_proxy().await;
    proxy.hold();
    let before = positions_read(&server).await;
    let request = format!("GET {TOTAL} HTTP/1.1\r\nhost: braid\r\n\r\n");
    let mut first = TcpStream::connect(server.address()).await.expect("connected");
    first.write_all(request.as_bytes()).await.expect("sent");
    looked_since(&server, before).await;
    // The second waits for the next look, and so does the third.
    let mut second = TcpStream::connect(server.address()).await.expect("connected");
    second.write_all(request.as_bytes()).await.expect("sent");
    let cancels = async {
        let_it_read(&server).await;
        drop((first, second));
        let_it_read(&server).await;
        proxy.release();
    };
    let (third, ()) = tokio::join!(server.ok(TOTAL), cancels);
    assert_eq!(views(&third), 1);
    assert_eq!(views(&server.ok(TOTAL).await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_wait_for_a_look_that_fails_are_told_so() {
    let mut server = TestServer::new().await;
    server.settings.redis.response_timeout = Span::from_millis(300);
    let proxy = RedisProxy::of(&server.redis).await;
    let server = serving(Some(&proxy), server).await;
    proxy.hold();
    let answers = join_all((0..10).map(|_| server.get(TOTAL))).await;
    for (status, problem) in answers {
        assert_eq!((status, &problem["type"]), (503, &json!("urn:braid:problem:redis-unavailable")), "{problem}");
    }
    proxy.release();
    server.until(TOTAL, |status, answer| status == 200 && answer["values"]["views"] == 1).await;
}
