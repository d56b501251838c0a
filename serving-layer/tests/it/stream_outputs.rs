//! The newest outputs of a stream: of the archive, and of the log behind it.

use polars::prelude::{Column, DataFrame, DataType};
use serde_json::{Value, json};
use shared_logic::contracts::archive::{Facts, RAW, RULES};
use shared_logic::log::PartitionId;
use shared_logic::time::DAY_US;

use crate::stream_fixture::{ALERTS, ALERTS_LOG, alert, judged};
use crate::test_server::{TestServer, at};

/// Alerts of the offsets 0 to 5 of the source, at seconds of the same number; of `a` where they are even, else of `b`. The first
/// `archived` records are archived, and the log has forgotten as many as `forgotten`. Record 2 is a mark.
async fn server(archived: usize, forgotten: i64) -> TestServer {
    let mut server = TestServer::of_alerts(1).await;
    let user = |offset: i64| if offset % 2 == 0 { "a" } else { "b" };
    let mut payloads: Vec<Option<String>> = (0..6).map(|offset| Some(alert(user(offset), offset, offset))).collect();
    payloads.insert(2, None);
    for payload in &payloads {
        match payload {
            Some(payload) => server.write_alert(0, payload),
            None => server.write_mark(0),
        };
    }
    server.topics.forget("alerts", 0, forgotten);
    if archived > 0 {
        server.archive_alerts(0, &payloads[..archived]).await;
    }
    server.serve().await;
    server
}

#[tokio::test]
async fn wherever_the_archive_ends_an_answer_has_each_output_once() {
    for (archived, forgotten) in [(0, 0), (3, 0), (3, 3), (4, 2), (7, 7)] {
        let server = server(archived, forgotten).await;
        let answer = server.ok(ALERTS).await;
        assert_eq!(judged(&answer["outputs"]), [5, 4, 3, 2, 1, 0], "{archived} are archived: {answer}");
        assert_eq!((&answer["complete"], &answer["gaps"], &answer["more"]), (&json!(true), &json!([]), &json!(false)));
        assert_eq!(answer["offsets"], json!({ALERTS_LOG: {"0": 7}}));
        assert_eq!(answer["last_event_id"], format!("{ALERTS_LOG}:7"));
        let newest = &answer["outputs"][0];
        assert_eq!((&newest["user_id"], &newest["looked_at"]), (&json!("b"), &json!({})), "as it was written");
        assert_eq!(server.topics.followers(), 0);
    }
}

#[tokio::test]
async fn fields_and_times_choose_outputs_and_the_newest_are_given() {
    let server = server(4, 0).await;
    for (query, expected, more) in [
        ("user_id=a", &[4, 2, 0][..], false),
        ("user_id=nobody", &[], false),
        ("judged_offset=3", &[3], false),
        ("amount=250.5&limit=2", &[5, 4], true),
        ("country.missing=true&limit=6", &[5, 4, 3, 2, 1, 0], false),
        ("from=2026-04-24T09:00:01Z&to=2026-04-24T09:00:04Z", &[3, 2, 1], false),
        ("from=2026-04-24T09:00:01Z&to=2026-04-24T09:00:04Z&limit=1&user_id=b", &[3], true),
        ("output_time=2026-04-24T09:00:02Z", &[2], false),
    ] {
        let answer = server.ok(&format!("{ALERTS}?{query}")).await;
        assert_eq!(judged(&answer["outputs"]), expected, "{query}");
        assert_eq!(answer["more"], more, "{query}");
    }
    let answer = server.ok(&format!("{ALERTS}?from=2026-04-24T09:00:01Z")).await;
    assert_eq!((&answer["from"], &answer["to"]), (&json!("2026-04-24T09:00:01Z"), &json!(null)));
}

#[tokio::test]
async fn an_output_that_was_written_twice_is_one() {
    let mut server = TestServer::of_alerts(2).await;
    let payload = |offset: i64| alert("a", offset, offset);
    server.archive_alerts(0, &[Some(payload(0)), Some(payload(1)), Some(payload(1))]).await;
    server.archive_alerts(1, &[Some(payload(0))]).await;
    for (partition, offset) in [(0, 0), (0, 1), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        server.write_alert(partition, &payload(offset));
    }
    server.serve().await;
    let answer = server.ok(ALERTS).await;
    assert_eq!(judged(&answer["outputs"]), [2, 1, 0]);
    assert_eq!(answer["last_event_id"], format!("{ALERTS_LOG}:4,3"));
}

#[tokio::test]
async fn what_neither_archive_nor_log_holds_is_named() {
    let server = server(3, 5).await;
    let answer = server.ok(ALERTS).await;
    assert_eq!(judged(&answer["outputs"]), [5, 4, 1, 0]);
    assert_eq!((&answer["complete"], answer["gaps"].as_array().map(Vec::len)), (&json!(false), Some(1)));
    let gap = &answer["gaps"][0];
    assert_eq!((&gap["reason"], &gap["source"], &gap["partition"]), (&json!("lost"), &json!("alerts"), &json!(0)));
    assert!(gap["text"].as_str().expect("text").contains("3 to 5"), "{gap}");
}

#[tokio::test]
async fn without_kafka_there_is_what_is_archived() {
    let server = server(4, 0).await;
    server.until(ALERTS, |_, answer| answer["complete"] == true).await;
    *server.topics.ends.lock().expect("no panic") = None;
    let answer = server.ok(ALERTS).await;
    assert_eq!(judged(&answer["outputs"]), [2, 1, 0]);
    assert_eq!((&answer["gaps"][0]["reason"], &answer["complete"]), (&json!("topic_unknown"), &json!(false)));
    assert_eq!(answer["last_event_id"], format!("{ALERTS_LOG}:4"), "a client that watches misses nothing");
}

/// The frame with that text in all rows of a column.
fn with(mut rows: DataFrame, column: &str, text: &str) -> DataFrame {
    let texts = vec![text; rows.height()];
    rows.with_column(Column::new(column.into(), texts)).expect("a column");
    rows
}

#[tokio::test]
async fn records_of_other_rules_are_decoded_from_their_bytes() {
    let mut server = TestServer::of_alerts(1).await;
    let payloads = |from: i64| -> Vec<Option<String>> { (from..from + 2).map(|n| Some(alert("a", n, n))).collect() };
    let other = |rows: DataFrame| with(with(rows, RULES, "older"), "user_id", "decoded otherwise");
    server.archive_rows_of_alerts(0, &payloads(0), other, |_| {}).await;
    server.archive_alerts(0, &payloads(2)).await;
    server.serve().await;
    for (query, expected) in [("", &[3, 2, 1, 0][..]), ("?user_id=a&to=2026-04-24T09:00:01Z", &[0])] {
        let answer = server.ok(&format!("{ALERTS}{query}")).await;
        assert_eq!(judged(&answer["outputs"]), expected, "{query}");
    }
    let none = server.ok(&format!("{ALERTS}?user_id=decoded%20otherwise")).await;
    assert_eq!(none["outputs"], json!([]));
}

#[tokio::test]
async fn rows_without_bytes_are_shown_by_their_columns() {
    let mut server = TestServer::of_alerts(1).await;
    let rules = server.alerts().rules();
    let without_bytes = |mut rows: DataFrame| {
        let none = Column::full_null(RAW.into(), rows.height(), &DataType::Binary);
        rows.with_column(none).expect("a column");
        rows
    };
    let id = PartitionId::new(ALERTS_LOG, 0);
    let payloads = [Some(alert("a", 7, 9))];
    let noted = |facts: &mut Facts| facts.note_columns_only(&id, &rules, 0, 1);
    server.archive_rows_of_alerts(0, &payloads, without_bytes, noted).await;
    server.write_alert(0, &alert("a", 7, 9));
    server.serve().await;
    let answer = server.ok(&format!("{ALERTS}?user_id=a")).await;
    let expected = json!([{
        "output_id": "alerts/v1/log-a/0/7/0", "output_time": "2026-04-24T09:00:09Z", "rule": "large", "judged_offset": 7,
        "at": "2026-04-24T09:00:09Z", "user_id": "a", "amount": 250.5,
    }]);
    assert_eq!((&answer["outputs"], &answer["gaps"]), (&expected, &json!([])), "what is null is left out");
}

#[tokio::test]
async fn what_the_archive_lacks_is_named() {
    let mut server = TestServer::of_alerts(1).await;
    let lacks = |facts: &mut Facts| {
        facts.lose(&PartitionId::new(ALERTS_LOG, 0), 3);
        facts.retire(at("2026-04-24T00:00:00Z") / DAY_US, &Default::default());
    };
    server.archive_rows_of_alerts(0, &[Some(alert("a", 0, 0))], |rows| rows, lacks).await;
    for offset in 0..3 {
        server.write_alert(0, &alert("a", offset, 0));
    }
    server.serve().await;
    let reasons = |answer: &Value| -> Vec<String> {
        let gaps = answer["gaps"].as_array().expect("gaps");
        gaps.iter().map(|gap| gap["reason"].as_str().expect("a reason").to_owned()).collect()
    };
    assert_eq!(reasons(&server.ok(ALERTS).await), ["lost"]);
    assert_eq!(reasons(&server.ok(&format!("{ALERTS}?from=2026-04-23T00:00:00Z")).await), ["lost", "retired"]);
}

#[tokio::test]
async fn mistakes_in_a_request_are_named() {
    let server = server(0, 0).await;
    for (path, status, parameter, word) in [
        ("/v1/streams/alarms", 404, None, "alerts"),
        ("/v1/streams?x=1", 400, Some("x"), "leave it out"),
        ("/v1/streams/alerts?usr=a", 400, Some("usr"), "user_id"),
        ("/v1/streams/alerts?user_id=a&user_id=b", 400, Some("user_id"), "once"),
        ("/v1/streams/alerts?judged_offset=x", 400, Some("judged_offset"), "an integer"),
        ("/v1/streams/alerts?user_id.missing=true", 400, Some("user_id.missing"), "not known"),
        ("/v1/streams/alerts?from=now&to=-1h", 400, Some("from"), "before to"),
        ("/v1/streams/alerts?limit=1001", 400, Some("limit"), "1 to 1000"),
    ] {
        let (answered, problem) = server.get(path).await;
        assert_eq!((answered, problem["parameter"].as_str()), (status, parameter), "{path}: {problem}");
        assert!(problem["detail"].as_str().expect("a detail").contains(word), "{path}: {problem}");
    }
}
