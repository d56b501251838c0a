//! When an answer says that something may be missing, and when it looks again first.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::settings::Span;
use serde_json::{Value, json};
use shared_logic::log::PartitionId;

use crate::stage::{LOG, Stage};

const AS_OF: &str = "2026-04-24T09:30:12Z";
const TOTAL: &str = "/v1/metrics/views/total";

fn reasons(answer: &Value) -> Vec<&str> {
    let gaps = answer["gaps"].as_array().expect("gaps");
    gaps.iter().map(|gap| gap["reason"].as_str().expect("a reason")).collect()
}

fn begun(facts: &mut shared_logic::contracts::archive::Facts) {
    facts.begin(&PartitionId::new(LOG, 0), 0);
}

#[tokio::test]
async fn every_gap_is_named() {
    let mut stage = Stage::new().await;
    *stage.topics.ends.lock().expect("no panic") = None;
    stage.serve().await;
    let answer = stage.ok(TOTAL).await;
    assert_eq!(
        (reasons(&answer), &answer["complete"], &answer["as_of"]),
        (vec!["topic_unknown"], &json!(false), &Value::Null)
    );
    assert_eq!((&answer["authoritative"], &answer["provenance"]["speed"]["lag_ms"]), (&json!(false), &Value::Null));

    stage.topics.set(&[0]);
    let answer = stage.until(TOTAL, |_, body| reasons(body) == ["not_archived"]).await;
    let gap = &answer["gaps"][0];
    assert_eq!((&gap["source"], &gap["log"], &gap["partition"]), (&json!("views"), &json!(LOG), &json!(0)));
    assert_eq!((&gap["from"], &gap["to"]), (&Value::Null, &Value::Null));
    assert!(gap["text"].as_str().expect("a text").contains("batch-layer archive"));

    stage.archive(begun).await;
    stage.until(TOTAL, |_, body| reasons(body) == ["no_shard"]).await;
    let other = "00000000000000aa".parse().expect("16 digits");
    stage.open_counting(0, 0, &[other]).await;
    let range = "?from=2026-04-24T09:00:01Z&to=2026-04-24T10:00:00Z";
    let answer = stage.until(&format!("{TOTAL}{range}"), |_, body| reasons(body) == ["not_counted_since"]).await;
    let gap = &answer["gaps"][0];
    assert_eq!((&gap["from"], &gap["to"]), (&json!("2026-04-24T09:00:00Z"), &json!("2026-04-24T10:00:00Z")));

    stage.command(&["FLUSHALL"]).await;
    stage.open(0, 3).await;
    stage.until(TOTAL, |_, body| reasons(body) == ["no_slice_at_cut"]).await;
    let lost = |facts: &mut shared_logic::contracts::archive::Facts| facts.lose(&PartitionId::new(LOG, 0), 3);
    let version = stage.archive(lost).await;
    stage.view(&[3], version, &[]).await;
    let answer = stage.until(TOTAL, |_, body| reasons(body) == ["lost"]).await;
    assert!(answer["gaps"][0]["text"].as_str().expect("a text").contains("offsets 0 to 3"), "{answer}");
    stage.archive(|facts| assert_eq!(facts.accept_losses(), 1)).await;
    stage.until(TOTAL, |_, body| body["complete"] == true).await;
    // A log that ended and is wholly in the view needs no shard, and no Kafka that still knows it, once a reconcile has asked
    // what speed had counted of it.
    stage.command(&["FLUSHALL"]).await;
    stage.archive(|facts| facts.close(LOG)).await;
    stage.until(TOTAL, |_, body| reasons(body) == ["no_shard"]).await;
    stage.archive(|facts| facts.settle(LOG, &BTreeMap::new())).await;
    stage.until(TOTAL, |_, body| body["complete"] == true).await;
}

#[tokio::test]
async fn a_complete_answer_can_be_required() {
    let mut stage = Stage::new().await;
    stage.archive(begun).await;
    stage.serve().await;
    let path = format!("{TOTAL}?require=complete");
    let problem = stage.until(&path, |_, body| body["gaps"][0]["reason"] == "no_shard").await;
    assert_eq!((&problem["status"], &problem["type"]), (&json!(503), &json!("urn:braid:problem:incomplete")));
    let response = stage.response(&path).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let (status, _) = stage.get("/v1/metrics/views/series?require=complete").await;
    assert_eq!(status, 503);
    stage.open(0, 0).await;
    stage.until(&path, |status, _| status == 200).await;
}

#[tokio::test]
async fn a_look_that_is_too_old_is_replaced_at_once() {
    let mut stage = Stage::new().await;
    stage.topics.set(&[2]);
    stage.archive(begun).await;
    stage.open(0, 0).await;
    stage.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1), ("2026-04-24T09:00:00Z", "v1", "de", 2)], AS_OF).await;
    // Looks are taken once, and then only on demand.
    stage.settings.serving.refresh = Span::from_secs(3_600);
    stage.serve().await;
    stage.until(TOTAL, |_, body| body["complete"] == true).await;
    for round in 1..=5 {
        stage.rotate(0).await;
        let cut = 2 * round;
        let advance = |facts: &mut shared_logic::contracts::archive::Facts| {
            assert!(facts.advance(&PartitionId::new(LOG, 0), cut - 2, cut));
        };
        let version = stage.archive(advance).await;
        stage.view(&[cut], version, &[("2026-04-24T09:00:00Z", "v1", "de", cut, Some(3 * round), 2)]).await;
        stage.drop_below(0, cut).await;
        stage
            .apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1), ("2026-04-24T09:00:00Z", "v1", "de", 2)], AS_OF)
            .await;
        let answer = stage.ok(TOTAL).await;
        assert_eq!(answer["values"]["views"], cut + 2, "{answer}");
        assert_eq!((&answer["complete"], &answer["provenance"]["batch"]["version"]), (&json!(true), &json!(round)));
    }
}

#[tokio::test]
async fn an_answer_is_of_one_look_though_a_newer_one_comes_meanwhile() {
    let mut stage = Stage::new().await;
    stage.topics.set(&[2]);
    stage.archive(begun).await;
    stage.open(0, 0).await;
    for _ in 0..2 {
        stage.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], AS_OF).await;
        stage.rotate(0).await;
    }
    let advance = |facts: &mut shared_logic::contracts::archive::Facts| {
        assert!(facts.advance(&PartitionId::new(LOG, 0), 0, 2));
    };
    let version = stage.archive(advance).await;
    stage.view(&[1], version, &[("2026-04-24T09:00:00Z", "v1", "de", 1, Some(1), 1)]).await;
    stage.serve().await;
    stage.until(TOTAL, |_, body| body["complete"] == true).await;
    // Redis lets the request wait, which has its look by then, for much longer than a newer look takes.
    stage.command(&["CLIENT", "PAUSE", "1000"]).await;
    let newer = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.view(&[2], version, &[("2026-04-24T09:00:00Z", "v1", "de", 2, Some(2), 1)]).await;
    };
    let (answer, ()) = tokio::join!(stage.ok(TOTAL), newer);
    assert_eq!((&answer["values"]["views"], &answer["complete"]), (&json!(2), &json!(true)), "{answer}");
    let answer = stage.until(TOTAL, |_, body| body["provenance"]["batch"]["version"] == 2).await;
    assert_eq!((&answer["values"]["views"], &answer["complete"]), (&json!(2), &json!(true)), "{answer}");
}

#[tokio::test]
async fn a_view_of_another_definition_is_no_view() {
    let mut stage = Stage::new().await;
    stage.topics.set(&[1]);
    let version = stage.archive(begun).await;
    let other = "00000000000000aa".parse().expect("16 digits");
    stage.view_of(other, &[0], version, &[("2026-04-24T09:00:00Z", "v1", "de", 99, Some(1), 1)]).await;
    stage.open(0, 0).await;
    stage.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], AS_OF).await;
    stage.serve().await;
    let answer = stage.until(TOTAL, |_, body| body["complete"] == true).await;
    assert_eq!((&answer["values"]["views"], &answer["provenance"]["batch"]["version"]), (&json!(1), &Value::Null));
    let metric = stage.ok("/v1/metrics/views").await;
    assert_eq!((&metric["cut"]["is_current"], &metric["cut"]["version"]), (&json!(false), &json!(1)));
}
