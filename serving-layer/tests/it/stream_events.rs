//! Server-sent events: what clients are told that watch a stream.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;

use crate::stream_fixture::{ALERTS, ALERTS_LOG, alert, judged};
use crate::test_server::{DEADLINE, TestServer};

async fn serving(partitions: i32) -> TestServer {
    let mut server = TestServer::of_alerts(partitions).await;
    server.serve().await;
    server
}

/// Waits until that is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn clients_are_told_what_is_written_from_now_on() {
    let server = serving(2).await;
    server.write_alert(0, &alert("a", 0, 0));
    let (mut one, mut other) = (server.watch_from_now("").await, server.watch_from_now("?user_id=b").await);
    assert_eq!(one.id, format!("{ALERTS_LOG}:1,0"));
    server.write_mark(0);
    server.write_alert(0, "no output");
    for (partition, user, offset) in [(0, "a", 1), (1, "b", 2), (0, "b", 3)] {
        server.write_alert(partition, &alert(user, offset, 0));
    }
    let mut told = one.judged(3).await;
    told.sort_unstable();
    assert_eq!(told, [1, 2, 3]);
    let mut told = other.judged(2).await;
    told.sort_unstable();
    assert_eq!(told, [2, 3]);
    assert_eq!(one.id, format!("{ALERTS_LOG}:5,1"), "marks and invalid records are behind it, too");
    assert_eq!(other.id, format!("{ALERTS_LOG}:5,1"), "and so is what it did not ask for");
}

#[tokio::test]
async fn all_clients_share_one_reader_which_ends_with_the_last() {
    let server = serving(1).await;
    assert_eq!(server.topics.followers(), 0, "a stream that nobody watches costs nothing");
    let mut watches = Vec::new();
    for _ in 0..5 {
        watches.push(server.watch_from_now("").await);
    }
    server.write_alert(0, &alert("a", 0, 0));
    for watch in &mut watches {
        assert_eq!(watch.judged(1).await, [0]);
    }
    assert_eq!(server.topics.followers(), 1);
    drop(watches);
    until("nobody reads any more", || server.topics.followers() == 0).await;
    let mut again = server.watch_from_now("").await;
    server.write_alert(0, &alert("a", 1, 0));
    assert_eq!(again.judged(1).await, [1]);
}

#[tokio::test]
async fn a_client_that_connects_again_is_told_each_output_once() {
    let server = serving(2).await;
    let mut watch = server.watch_from_now("").await;
    let mut told = Vec::new();
    for round in 0..6 {
        for n in 0..4 {
            server.write_alert((round % 2) as i32, &alert("a", 4 * round + n, 0));
        }
        // It goes away in the middle of a round; what is left of it comes after the next connection.
        told.extend(watch.judged(3).await);
        let id = watch.id.clone();
        drop(watch);
        server.write_mark(1);
        watch = server.watch("", Some(&id)).await;
        told.extend(watch.judged(1).await);
    }
    told.sort_unstable();
    assert_eq!(told, (0..24).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_answer_and_the_events_behind_it_have_each_output_once() {
    let server = serving(1).await;
    for offset in 0..3 {
        server.write_alert(0, &alert("a", offset, offset));
    }
    let answer = server.ok(ALERTS).await;
    for offset in 3..6 {
        server.write_alert(0, &alert("a", offset, offset));
    }
    let mut watch = server.watch("", answer["last_event_id"].as_str()).await;
    server.write_alert(0, &alert("a", 6, 6));
    assert_eq!(judged(&answer["outputs"]), [2, 1, 0]);
    assert_eq!(watch.judged(4).await, [3, 4, 5, 6]);
}

#[tokio::test]
async fn what_another_process_has_told_a_client_is_not_told_again() {
    let server = serving(1).await;
    let mut stays = server.watch_from_now("").await;
    server.topics.hold(true);
    for offset in 0..3 {
        server.write_alert(0, &alert("a", offset, 0));
    }
    // It was told two outputs that have not arrived here yet. When it joins, it is asked whether there are any.
    let asked = server.topics.starts_asked();
    let mut comes = server.watch("", Some(&format!("{ALERTS_LOG}:2"))).await;
    until("it joins", || server.topics.starts_asked() > asked).await;
    server.topics.hold(false);
    assert_eq!(stays.judged(3).await, [0, 1, 2]);
    assert_eq!(comes.judged(1).await, [2]);
    server.write_alert(0, &alert("a", 3, 0));
    assert_eq!((stays.judged(1).await, comes.judged(1).await), (vec![3], vec![3]));
}

/// Alerts of the offsets 0 to 9, at the same offsets of the log. The first `archived` are archived, and the log has forgotten as many
/// as `forgotten`.
async fn forgetful(archived: usize, forgotten: i64, change: impl FnOnce(&mut Facts)) -> TestServer {
    let mut server = TestServer::of_alerts(1).await;
    let payloads: Vec<Option<String>> =
        (0..10).map(|offset| Some(alert(if offset % 3 == 0 { "c" } else { "a" }, offset, 9 - offset))).collect();
    payloads.iter().flatten().for_each(|payload| assert!(server.write_alert(0, payload) >= 0));
    server.topics.forget("alerts", 0, forgotten);
    server.archive_rows_of_alerts(0, &payloads[..archived], |rows| rows, change).await;
    server.serve().await;
    server
}

#[tokio::test]
async fn what_the_log_has_forgotten_comes_from_the_archive() {
    let server = forgetful(8, 5, |_| {}).await;
    let from = |offset: i64| format!("{ALERTS_LOG}:{offset}");
    let mut watch = server.watch("", Some(&from(2))).await;
    assert_eq!(watch.judged(8).await, [2, 3, 4, 5, 6, 7, 8, 9], "in the order of the log");
    assert_eq!(watch.id, from(10));
    let mut watch = server.watch("?user_id=c", Some(&from(1))).await;
    assert_eq!(watch.judged(3).await, [3, 6, 9]);
    server.write_alert(0, &alert("c", 10, 0));
    assert_eq!(watch.judged(1).await, [10]);
}

#[tokio::test]
async fn what_neither_log_nor_archive_holds_is_told_as_a_gap() {
    let server = forgetful(4, 6, |_| {}).await;
    let mut watch = server.watch("", Some(&format!("{ALERTS_LOG}:2"))).await;
    assert_eq!(watch.judged(2).await, [2, 3]);
    let gap = watch.gap().await;
    assert_eq!((&gap["reason"], &gap["partition"], &gap["source"]), (&json!("lost"), &json!(0), &json!("alerts")));
    assert!(gap["text"].as_str().expect("text").contains("4 to 6"), "{gap}");
    assert_eq!(watch.id, format!("{ALERTS_LOG}:6"));
    assert_eq!(watch.judged(4).await, [6, 7, 8, 9]);

    let lose = |facts: &mut Facts| facts.lose(&PartitionId::new(ALERTS_LOG, 0), 6);
    let server = forgetful(4, 6, lose).await;
    let mut watch = server.watch("", Some(&format!("{ALERTS_LOG}:2"))).await;
    let gap = watch.gap().await;
    assert!(gap["text"].as_str().expect("text").contains("4 to 6"), "as the archive says: {gap}");
    assert_eq!(watch.judged(6).await, [2, 3, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_topic_that_was_created_again_is_told_as_a_gap() {
    let server = serving(1).await;
    server.write_alert(0, &alert("a", 0, 0));
    let mut watch = server.watch_from_now("").await;
    let id = watch.id.clone();
    server.topics.create("alerts", "another-log", 1);
    server.write_alert(0, &alert("a", 7, 0));
    assert_eq!(watch.gap().await["reason"], "log_replaced", "of a client that stayed");
    assert_eq!(watch.judged(1).await, [7]);
    let mut again = server.watch("", Some(&id)).await;
    assert_eq!(again.gap().await["reason"], "log_replaced", "and of one that comes back");
    assert_eq!(again.judged(1).await, [7]);
    assert_eq!(again.id, "another-log:1");

    let mut ahead = server.watch("", Some("another-log:5")).await;
    assert_eq!(ahead.gap().await["reason"], "log_truncated", "it was told what the log does not hold");
    server.write_alert(0, &alert("a", 8, 0));
    assert_eq!(ahead.judged(1).await, [8]);
}

#[tokio::test]
async fn a_client_that_is_too_slow_is_told_every_output_all_the_same() {
    const OUTPUTS: i64 = 6_000;
    let server = serving(1).await;
    let mut slow = server.watch_from_now("").await;
    let mut quick = server.watch_from_now("").await;
    // More than the reader holds, and than lies on the way to a client.
    let padding = "x".repeat(4_096);
    for offset in 0..OUTPUTS {
        server.write_alert(0, &alert(&padding, offset, 0));
        if offset % 100 == 99 {
            assert_eq!(quick.judged(100).await, (offset - 99..=offset).collect::<Vec<_>>());
        }
    }
    assert_eq!(slow.judged(OUTPUTS as usize).await, (0..OUTPUTS).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stop_ends_watches_in_order() {
    let mut server = serving(1).await;
    let mut watch = server.watch_from_now("").await;
    server.write_alert(0, &alert("a", 0, 0));
    assert_eq!(watch.judged(1).await, [0]);
    let begun = Instant::now();
    server.shutdown.begin("test");
    let end = watch.next().await.expect("a last event");
    assert_eq!((end.kind.as_str(), end.data.as_str()), ("end", r#"{"reason":"shutdown"}"#));
    assert_eq!(watch.id, format!("{ALERTS_LOG}:1"), "where to go on");
    assert_eq!(watch.next().await, None);
    server.ended().await;
    assert!(begun.elapsed() < server.settings.http.shutdown.get(), "nothing waited for the deadline");
    until("nobody reads any more", || server.topics.followers() == 0).await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused() {
    let server = serving(1).await;
    let refused = async |path: &str, id: &str| -> (u16, Value) {
        let request = server.http.get(format!("http://{}{path}", server.address()));
        let request = request.header("accept", "text/event-stream").header("last-event-id", id);
        let response = request.send().await.expect("a response");
        (response.status().as_u16(), response.json().await.expect("a problem"))
    };
    for (path, id, status, parameter) in [
        ("/v1/streams/alerts?from=-1h", "", 400, Some("from")),
        ("/v1/streams/alerts?limit=7", "", 400, Some("limit")),
        ("/v1/streams/alerts?usr=a", "", 400, Some("usr")),
        ("/v1/streams/alerts", "41", 400, Some("Last-Event-ID")),
        ("/v1/streams/alarms", "", 404, None),
    ] {
        let (answered, problem) = refused(path, id).await;
        assert_eq!((answered, problem["parameter"].as_str()), (status, parameter), "{path}: {problem}");
    }
}

#[tokio::test]
async fn the_number_of_clients_is_bounded() {
    let server = serving(1).await;
    let mut watches = Vec::new();
    for _ in 0..256 {
        watches.push(server.watch("", None).await);
    }
    let url = format!("http://{}{ALERTS}", server.address());
    let request = || server.http.get(&url).header("accept", "text/event-stream").send();
    let refused = request().await.expect("a response");
    assert_eq!(refused.status(), 503);
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(problem["type"], "urn:braid:problem:too-many-watchers");
    assert_eq!(server.ok(ALERTS).await["outputs"], json!([]), "others are answered");
    drop(watches.pop());
    let deadline = Instant::now() + DEADLINE;
    while request().await.expect("a response").status() != 200 {
        assert!(Instant::now() < deadline, "a place that was left is not given to another client");
    }
}

#[tokio::test]
async fn records_of_other_programs_are_told_as_they_are() {
    let server = serving(1).await;
    let mut watch = server.watch_from_now("").await;
    let foreign = alert("a", 0, 0).replace(',', ",\n");
    server.write_alert(0, &foreign);
    let event = watch.next().await.expect("an event");
    let expected: Value = serde_json::from_str(&foreign).expect("JSON");
    assert_eq!(serde_json::from_str::<Value>(&event.data).expect("JSON"), expected);
}
