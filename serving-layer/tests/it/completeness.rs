//! When an answer says that something may be missing, and when a newer snapshot is taken first.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::settings::Span;
use serde_json::{Value, json};
use shared_logic::contracts::archive::{ErasedPart, Facts};
use shared_logic::log::PartitionId;

use crate::test_server::{LOG, TOTAL, TestServer};

const AS_OF: &str = "2026-04-24T09:30:12Z";

fn reasons(answer: &Value) -> Vec<&str> {
    let gaps = answer["gaps"].as_array().expect("gaps");
    gaps.iter().map(|gap| gap["reason"].as_str().expect("a reason")).collect()
}

/// What happens to a deployment of one partition, one step after the other.
#[derive(Debug, Clone, Copy)]
enum Step {
    KafkaDoesNotAnswer,
    KafkaAnswers,
    ArchiveBegins,
    AnotherDefinitionIsCounted,
    ShardOpensBeyondTheCut,
    RecordsAreLost,
    LossIsAccepted,
    EventsAreErased,
    ViewLeavesThemOut,
    LogClosesWithoutAShard,
    LogIsSettled,
}

/// Each step, and the gap that answers have then; none: they are complete.
const STEPS: [(Step, Option<&str>); 11] = [
    (Step::KafkaDoesNotAnswer, Some("topic_unknown")),
    (Step::KafkaAnswers, Some("not_archived")),
    (Step::ArchiveBegins, Some("no_shard")),
    (Step::AnotherDefinitionIsCounted, Some("not_counted_since")),
    (Step::ShardOpensBeyondTheCut, Some("no_slice_at_cut")),
    (Step::RecordsAreLost, Some("lost")),
    (Step::LossIsAccepted, None),
    (Step::EventsAreErased, Some("erasure_not_applied")),
    (Step::ViewLeavesThemOut, None),
    (Step::LogClosesWithoutAShard, Some("no_shard")),
    // It is wholly in the view, so it needs no shard, and no Kafka that still knows it.
    (Step::LogIsSettled, None),
];

impl Step {
    async fn take(self, server: &TestServer) {
        match self {
            Step::KafkaDoesNotAnswer => *server.topics.ends.lock().expect("no panic") = None,
            Step::KafkaAnswers => server.topics.set(&[0]),
            Step::ArchiveBegins => drop(server.archive_begins().await),
            Step::AnotherDefinitionIsCounted => {
                let other = "00000000000000aa".parse().expect("16 digits");
                server.open_counting(0, 0, &[other]).await;
            }
            Step::ShardOpensBeyondTheCut => {
                server.command(&["FLUSHALL"]).await;
                server.open(0, 3).await;
            }
            Step::RecordsAreLost => {
                let version = server.archive(|facts| facts.lose(&PartitionId::new(LOG, 0), 3)).await;
                server.view(&[3], version, &[]).await;
            }
            Step::LossIsAccepted => drop(server.archive(|facts| assert_eq!(facts.accept_losses(), 1)).await),
            Step::EventsAreErased => {
                let version = server.archive(|facts| facts.keeps_bytes = true).await + 1;
                let part = ErasedPart { version, rules: "r".into(), list: String::new(), events: 1, at_us: None };
                assert_eq!(server.archive(|facts| facts.erase("x", Some(part), Some(0))).await, version);
            }
            Step::ViewLeavesThemOut => {
                let version = server.archive(|_| {}).await;
                server.view(&[3], version, &[]).await;
            }
            Step::LogClosesWithoutAShard => {
                server.command(&["FLUSHALL"]).await;
                server.archive(|facts| facts.close(LOG)).await;
            }
            Step::LogIsSettled => drop(server.archive(|facts| facts.settle(LOG, &BTreeMap::new())).await),
        }
    }

    /// What an answer says besides the gap's reason.
    async fn check(self, server: &TestServer, answer: &Value) {
        let gap = &answer["gaps"][0];
        let text = gap["text"].as_str().unwrap_or_default();
        match self {
            Step::KafkaDoesNotAnswer => {
                assert_eq!((&answer["as_of"], &answer["authoritative"]), (&Value::Null, &json!(false)));
                assert_eq!(answer["provenance"]["speed"]["lag_ms"], Value::Null);
            }
            Step::KafkaAnswers => {
                assert_eq!((&gap["source"], &gap["log"], &gap["partition"]), (&json!("views"), &json!(LOG), &json!(0)));
                assert_eq!((&gap["from"], &gap["to"]), (&Value::Null, &Value::Null));
                assert!(text.contains("batch-layer archive"), "{answer}");
            }
            Step::AnotherDefinitionIsCounted => {
                let range = "?from=2026-04-24T09:00:01Z&to=2026-04-24T10:00:00Z";
                let gap = &server.ok(&format!("{TOTAL}{range}")).await["gaps"][0];
                let whole_buckets = (&json!("2026-04-24T09:00:00Z"), &json!("2026-04-24T10:00:00Z"));
                assert_eq!((&gap["from"], &gap["to"]), whole_buckets);
            }
            Step::RecordsAreLost => assert!(text.contains("offsets 0 to 3"), "{answer}"),
            Step::EventsAreErased => assert!(text.contains("may still be counted"), "{answer}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn every_gap_is_named() {
    let mut server = TestServer::new().await;
    Step::KafkaDoesNotAnswer.take(&server).await;
    server.serve().await;
    for (step, gap) in STEPS {
        step.take(&server).await;
        let answer = server.until(TOTAL, |_, body| reasons(body) == Vec::from_iter(gap)).await;
        assert_eq!(answer["complete"], json!(gap.is_none()), "{step:?}: {answer}");
        step.check(&server, &answer).await;
    }
}

#[tokio::test]
async fn a_complete_answer_can_be_required() {
    let mut server = TestServer::new().await;
    server.archive_begins().await;
    server.serve().await;
    let path = format!("{TOTAL}?require=complete");
    let problem = server.until(&path, |_, body| body["gaps"][0]["reason"] == "no_shard").await;
    assert_eq!((&problem["status"], &problem["type"]), (&json!(503), &json!("urn:braid:problem:incomplete")));
    let response = server.response(&path).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let (status, _) = server.get("/v1/metrics/views/series?require=complete").await;
    assert_eq!(status, 503);
    server.open(0, 0).await;
    server.until(&path, |status, _| status == 200).await;
}

#[tokio::test]
async fn a_snapshot_that_is_too_old_is_replaced_at_once() {
    let mut server = TestServer::new().await;
    server.topics.set(&[2]);
    server.archive_begins().await;
    server.open(0, 0).await;
    server.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1), ("2026-04-24T09:00:00Z", "v1", "de", 2)], AS_OF).await;
    // A snapshot is taken once at the start, and then only on demand.
    server.settings.serving.refresh = Span::from_secs(3_600);
    server.serve().await;
    server.until_complete(TOTAL).await;
    for round in 1..=5 {
        server.rotate(0).await;
        let cut = 2 * round;
        let version = server.archive_rows(cut - 2, cut).await;
        server.view(&[cut], version, &[("2026-04-24T09:00:00Z", "v1", "de", cut, Some(3 * round), 2)]).await;
        server.drop_below(0, cut).await;
        server
            .apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1), ("2026-04-24T09:00:00Z", "v1", "de", 2)], AS_OF)
            .await;
        let answer = server.ok(TOTAL).await;
        assert_eq!(answer["values"]["views"], cut + 2, "{answer}");
        assert_eq!((&answer["complete"], &answer["provenance"]["batch"]["version"]), (&json!(true), &json!(round)));
    }
}

#[tokio::test]
async fn an_answer_uses_one_snapshot_though_a_newer_one_comes_meanwhile() {
    let mut server = TestServer::new().await;
    server.topics.set(&[2]);
    server.archive_begins().await;
    server.open(0, 0).await;
    for _ in 0..2 {
        server.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], AS_OF).await;
        server.rotate(0).await;
    }
    let version = server.archive_rows(0, 2).await;
    server.view(&[1], version, &[("2026-04-24T09:00:00Z", "v1", "de", 1, Some(1), 1)]).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    // Redis keeps the request waiting, which has its snapshot by then, for much longer than a newer snapshot takes.
    server.command(&["CLIENT", "PAUSE", "1000"]).await;
    let newer = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.view(&[2], version, &[("2026-04-24T09:00:00Z", "v1", "de", 2, Some(2), 1)]).await;
    };
    let (answer, ()) = tokio::join!(server.ok(TOTAL), newer);
    assert_eq!((&answer["values"]["views"], &answer["complete"]), (&json!(2), &json!(true)), "{answer}");
    let answer = server.until(TOTAL, |_, body| body["provenance"]["batch"]["version"] == 2).await;
    assert_eq!((&answer["values"]["views"], &answer["complete"]), (&json!(2), &json!(true)), "{answer}");
}

#[tokio::test]
async fn a_view_of_another_definition_is_not_used() {
    let mut server = TestServer::new().await;
    server.topics.set(&[1]);
    let version = server.archive_begins().await;
    let other = "00000000000000aa".parse().expect("16 digits");
    server.view_of(other, &[0], version, &[("2026-04-24T09:00:00Z", "v1", "de", 99, Some(1), 1)]).await;
    server.open(0, 0).await;
    server.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], AS_OF).await;
    server.serve().await;
    let answer = server.until_complete(TOTAL).await;
    assert_eq!((&answer["values"]["views"], &answer["provenance"]["batch"]["version"]), (&json!(1), &Value::Null));
    let metric = server.ok("/v1/metrics/views").await;
    assert_eq!((&metric["cut"]["is_current"], &metric["cut"]["version"]), (&json!(false), &json!(1)));
}

#[tokio::test]
async fn nothing_of_a_log_that_lost_its_tail_is_added_until_the_view_holds_it() {
    let mut server = TestServer::new().await;
    server.topics.set(&[2]);
    server.archive_begins().await;
    server.open(0, 0).await;
    for _ in 0..2 {
        server.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], AS_OF).await;
    }
    server.serve().await;
    server.until_complete(TOTAL).await;
    server.mark_truncated(0, 1).await;
    let is_gap = |body: &Value| body["gaps"][0]["reason"] == "log_truncated";
    let answer = server.until(TOTAL, |_, body| is_gap(body)).await;
    assert_eq!((&answer["values"]["views"], &answer["complete"]), (&json!(0), &json!(false)), "{answer}");

    // The archive begins another incarnation, and a reconcile settles the one before.
    server.archive_rows(0, 1).await;
    let first = PartitionId::new(LOG, 0);
    let lose_tail = |facts: &mut Facts| drop(facts.lose_tail(&first, 1, None).expect("it goes on"));
    server.archive(lose_tail).await;
    let answer = server.until(TOTAL, |_, body| body["gaps"].as_array().is_some_and(|gaps| gaps.len() == 2)).await;
    assert!(is_gap(&answer), "the first incarnation, and the shard of the second: {answer}");
    let version = server.archive(|facts| facts.settle_truncated(&first, Some((1, 2)))).await;
    server.view(&[1], version, &[("2026-04-24T09:00:00Z", "v1", "de", 1, Some(1), 1)]).await;
    let answer = server.until(TOTAL, |status, body| status == 200 && reasons(body) == ["no_shard", "lost"]).await;
    assert_eq!(answer["values"]["views"], 1, "{answer}");
}
