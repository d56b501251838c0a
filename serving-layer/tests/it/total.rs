//! Totals of one layer and of both.

use serde_json::{Value, json};

use crate::test_server::{ABSENT, LOG, TOTAL, TestServer, at};
use shared_logic::group_key::MAX_KEY_BYTES;
use shared_logic::log::PartitionId;
use shared_logic::time::DAY_US;

const AS_OF: &str = "2026-04-24T09:30:12.345Z";

/// Offsets 0 to 4 in partition 0; the cut will be 3.
async fn counted() -> TestServer {
    let server = TestServer::new().await;
    server.topics.set(&[5]);
    server.archive_begins().await;
    server.open(0, 0).await;
    let below = [
        ("2026-04-23T10:00:10Z", "v1", "de", 100),
        ("2026-04-23T10:00:50Z", "v1", "fr", 300),
        ("2026-04-24T08:00:00Z", "v2", "de", 50),
    ];
    server.apply(0, &below, AS_OF).await;
    server.rotate(0).await;
    // One of them late, so that a day of the view gets something from the speed view.
    server.apply(0, &[("2026-04-23T10:00:30Z", "v1", "de", 7), ("2026-04-24T09:30:00Z", "v1", "de", 1)], AS_OF).await;
    server
}

async fn reconciled(server: &TestServer) {
    let rows = [
        ("2026-04-23T10:00:00Z", "v1", "de", 1, Some(100), 100),
        ("2026-04-23T10:00:00Z", "v1", "fr", 1, Some(300), 300),
        ("2026-04-24T08:00:00Z", "v2", "de", 1, Some(50), 50),
    ];
    let version = server.archive_rows(0, 5).await;
    server.view(&[3], version, &rows).await;
}

#[tokio::test]
async fn speed_alone() {
    let mut server = counted().await;
    server.serve().await;
    let total = server.until_complete(TOTAL).await;
    assert_eq!(total["values"], json!({"views": 5, "dwell_ms": 458, "longest": 300, "mean_ms": 91.6}));
    assert_eq!(
        total["provenance"]["batch"],
        json!({
            "values": {"views": 0, "dwell_ms": 0, "longest": null}, "version": null, "committed_at": null
        })
    );
    assert_eq!(total["provenance"]["speed"]["values"], json!({"views": 5, "dwell_ms": 458, "longest": 300}));
    assert_eq!((&total["authoritative"], &total["gaps"]), (&json!(false), &json!([])));
    assert_eq!(total["as_of"], AS_OF);
    assert!(total["provenance"]["speed"]["lag_ms"].as_i64().expect("known") > 0);
    // No cell of the speed view is there, but no view has counted anything either.
    let unseen = server.ok("/v1/metrics/views/total?video=v9").await;
    assert_eq!(unseen["values"], json!({"views": 0, "dwell_ms": 0, "longest": null, "mean_ms": null}));
    assert_eq!(unseen["complete"], true);
}

#[tokio::test]
async fn a_shard_that_is_opened_again_is_read_without_its_old_counters() {
    let mut server = counted().await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    // The finished slice is kept in memory by now.
    assert_eq!(server.ok(TOTAL).await["values"]["views"], 5);
    server.delete_shard(0).await;
    server.open(0, 0).await;
    assert_eq!(server.ok(TOTAL).await["values"]["views"], 0);
    // Slices begin and end where those of the deleted shard did.
    let events = [("2026-04-23T10:00:10Z", "v1", "de", 100); 3];
    server.apply(0, &events, AS_OF).await;
    server.rotate(0).await;
    assert_eq!(server.ok(TOTAL).await["values"]["dwell_ms"], 300);
    server.apply(0, &events[..2], AS_OF).await;
    assert_eq!(server.ok(TOTAL).await["values"]["dwell_ms"], 500);
}

#[tokio::test]
async fn both_layers_are_merged_at_the_cut() {
    let mut server = counted().await;
    reconciled(&server).await;
    server.serve().await;
    let total = server.until_complete("/v1/metrics/views/total?video=v1").await;
    assert_eq!(
        total,
        json!({
            "version": "v1", "metric": "views", "key": {"video": "v1"}, "from": null, "to": null, "grain": "1m",
            "values": {"views": 4, "dwell_ms": 408, "longest": 300, "mean_ms": 102.0},
            "complete": true, "gaps": [], "authoritative": false, "as_of": AS_OF,
            "provenance": {
                "batch": {"values": {"views": 2, "dwell_ms": 400, "longest": 300}, "version": 1,
                          "committed_at": "2026-04-24T09:20:03Z"},
                "speed": {"values": {"views": 2, "dwell_ms": 8, "longest": 7},
                          "lag_ms": total["provenance"]["speed"]["lag_ms"]},
            },
        })
    );
    let order: Vec<&String> = total.as_object().expect("an object").keys().collect();
    assert_eq!(order[..7], ["version", "metric", "key", "from", "to", "grain", "values"]);

    // Slices below the cut may be there or not.
    server.drop_below(0, 3).await;
    assert_eq!(server.ok("/v1/metrics/views/total?video=v1").await["values"], total["values"]);
    for (query, views) in [
        ("", 5),
        ("?video=v1&country=de", 3),
        ("?country=de", 4),
        ("?country=fr&video=v1", 1),
        ("?video=v9", 0),
        ("?video=v1&from=2026-04-23T10:00:30Z&to=2026-04-23T10:00:31Z", 3),
        ("?from=2026-04-24T00:00:00Z", 2),
        ("?to=2026-04-24T00:00:00Z", 3),
        ("?from=2026-04-24T08:00:00Z&to=2026-04-24T08:01:00Z&country=de", 1),
    ] {
        let answer = server.ok(&format!("/v1/metrics/views/total{query}")).await;
        assert_eq!(
            (&answer["values"]["views"], &answer["complete"]),
            (&json!(views), &json!(true)),
            "{query}: {answer}"
        );
    }
    let day = server.ok("/v1/metrics/views/total?video=v2&from=2026-04-24T07:59:59.5Z&to=2026-04-24T09:00:01Z").await;
    assert_eq!((&day["from"], &day["to"]), (&json!("2026-04-24T07:59:00Z"), &json!("2026-04-24T09:01:00Z")));
    assert_eq!((&day["authoritative"], &day["values"]["views"]), (&json!(true), &json!(1)));
    // The same question again, from the kept slices.
    server.rotate(0).await;
    for _ in 0..3 {
        assert_eq!(server.ok(TOTAL).await["values"]["views"], 5);
    }
    server.apply(0, &[("2026-04-24T09:31:00Z", "v1", "de", 0)], AS_OF).await;
    assert_eq!(server.ok(TOTAL).await["values"]["views"], 6);
}

#[tokio::test]
async fn an_absent_value_is_a_key_of_its_own_in_both_layers() {
    let mut server = TestServer::new().await;
    server.topics.set(&[8]);
    server.archive_begins().await;
    server.open(0, 0).await;
    let each = [ABSENT, "", "null", "{}"].map(|country| ("2026-04-24T09:00:00Z", "v1", country, 1));
    server.apply(0, &each, AS_OF).await;
    server.rotate(0).await;
    server.apply(0, &each, AS_OF).await;
    let rows = [ABSENT, "", "null", "{}"].map(|country| ("2026-04-24T09:00:00Z", "v1", country, 1, Some(1), 1));
    let version = server.archive_rows(0, 8).await;
    server.view(&[4], version, &rows).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    for (query, key, views) in [
        ("country.missing=true", json!({"country": null}), 2),
        ("video=v1&country.missing=true", json!({"video": "v1", "country": null}), 2),
        ("country=", json!({"country": ""}), 2),
        ("country=null", json!({"country": "null"}), 2),
        ("country=%7B%7D", json!({"country": "{}"}), 2),
        ("video=v2&country.missing=true", json!({"video": "v2", "country": null}), 0),
        ("video=v1", json!({"video": "v1"}), 8),
        ("", json!({}), 8),
    ] {
        let total = server.ok(&format!("/v1/metrics/views/total?{query}")).await;
        assert_eq!((&total["key"], &total["values"]["views"]), (&key, &json!(views)), "{query}: {total}");
        let of = |layer: &str| total["provenance"][layer]["values"]["views"].as_i64();
        assert_eq!((of("batch"), of("speed")), (Some(views / 2), Some(views / 2)), "{query}: {total}");
        let series = server.ok(&format!("/v1/metrics/views/series?step=1h&{query}")).await;
        let points = series["points"].as_array().expect("points");
        let in_points: i64 = points.iter().filter_map(|point| point["values"]["views"].as_i64()).sum();
        assert_eq!((&series["key"], in_points), (&key, views), "{query}: {series}");
    }
}

#[tokio::test]
async fn a_key_of_8_kib_is_asked_for_in_any_spelling() {
    let mut server = TestServer::new().await;
    server.topics.set(&[1]);
    server.archive_begins().await;
    server.open(0, 0).await;
    let long: &'static str = "ü".repeat(MAX_KEY_BYTES / 2).leak();
    server.apply(0, &[("2026-04-24T09:00:00Z", "v1", long, 1)], AS_OF).await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    // Three characters for each byte, and as many again in another column.
    let encoded = "%C3%BC".repeat(MAX_KEY_BYTES / 2);
    for (query, views) in [(format!("country={encoded}"), 1), (format!("country={encoded}&video={encoded}"), 0)] {
        let total = server.ok(&format!("/v1/metrics/views/total?{query}")).await;
        assert_eq!((&total["key"]["country"], &total["values"]["views"]), (&json!(long), &json!(views)));
    }
}

#[tokio::test]
async fn a_sum_that_leaves_64_bits_is_null_with_a_reason() {
    let mut server = counted().await;
    let most = Some(i64::MAX);
    let rows = [
        ("2026-04-23T10:00:00Z", "v1", "de", 1, most, 100),
        ("2026-04-23T10:01:00Z", "v1", "de", 1, Some(-7), 100),
        ("2026-04-23T10:02:00Z", "v2", "de", 1, most, 100),
        ("2026-04-23T10:03:00Z", "v3", "fr", 1, None, 100),
    ];
    let version = server.archive_rows(0, 5).await;
    server.view(&[3], version, &rows).await;
    server.serve().await;
    let all = server.until_complete("/v1/metrics/views/total?country=de").await;
    assert_eq!(all["values"], json!({"views": 5, "dwell_ms": null, "longest": 100, "mean_ms": null}));
    let names: Vec<&Value> = all["overflow"].as_array().expect("a list").iter().map(|entry| &entry["value"]).collect();
    assert_eq!(names, ["dwell_ms", "mean_ms"]);
    assert!(all["overflow"][0]["reason"].as_str().expect("a reason").contains("64 bits"));
    // What cancels out is no overflow: the batch view's MAX - 7, and 8 from the speed view, are one too many; 7 would not be.
    let v1 = server.ok("/v1/metrics/views/total?video=v1&to=2026-04-24T00:00:00Z").await;
    assert_eq!(v1["values"]["dwell_ms"], i64::MAX);
    assert!(v1.get("overflow").is_none(), "{v1}");
    let v3 = server.ok("/v1/metrics/views/total?video=v3").await;
    assert_eq!((&v3["values"]["dwell_ms"], &v3["overflow"][0]["value"]), (&Value::Null, &json!("dwell_ms")));
}

#[tokio::test]
async fn as_of_is_the_oldest_of_all_partitions() {
    let mut server = TestServer::new().await;
    server.topics.set(&[1, 1]);
    server.archive(|facts| (0..2).for_each(|partition| facts.begin(&PartitionId::new(LOG, partition), 0))).await;
    for (partition, as_of) in [(0, "2026-04-24T09:00:02Z"), (1, "2026-04-24T09:00:01Z")] {
        server.open(partition, 0).await;
        server.apply(partition, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], as_of).await;
    }
    server.serve().await;
    let total = server.until_complete(TOTAL).await;
    assert_eq!((&total["as_of"], &total["values"]["views"]), (&json!("2026-04-24T09:00:01Z"), &json!(2)));
    // No log can have been asked in the future: the moment at which the topic was asked bounds it.
    for partition in 0..2 {
        server.apply(partition, &[], "2200-01-01T00:00:00Z").await;
    }
    let total = server.ok(TOTAL).await;
    assert!(at(total["as_of"].as_str().expect("known")) < at("2200-01-01T00:00:00Z"), "{total}");
}

#[tokio::test]
async fn a_range_that_reaches_back_before_the_first_day_that_is_held_says_so() {
    let mut server = counted().await;
    server.retired_before = Some(at("2026-04-24T00:00:00Z") / DAY_US);
    let version = server.archive_rows(0, 5).await;
    server.view(&[3], version, &[("2026-04-24T08:00:00Z", "v2", "de", 1, Some(50), 50)]).await;
    server.serve().await;

    let everything = server.until_complete(TOTAL).await;
    assert_eq!(everything["from"], "2026-04-24T00:00:00Z", "the default range begins with that day");
    assert_eq!(everything["values"]["views"], 2, "a late event of a retired day is in neither view");
    let from_then_on = server.ok(&format!("{TOTAL}?from=2026-04-24T00:00:00Z")).await;
    assert_eq!((&from_then_on["complete"], &from_then_on["values"]), (&json!(true), &everything["values"]));

    for (range, views) in [("from=2026-04-23T00:00:00Z", 3), ("to=2026-04-24T00:00:00Z", 1)] {
        let earlier = server.ok(&format!("{TOTAL}?{range}")).await;
        assert_eq!(earlier["complete"], false, "{range}");
        assert_eq!(earlier["gaps"][0]["reason"], "retired", "{range}");
        let text = earlier["gaps"][0]["text"].as_str().expect("a text");
        assert!(text.contains("2026-04-24"), "{text}");
        assert_eq!(earlier["values"]["views"], views, "{range}: what there is");
        let (status, _) = server.get(&format!("{TOTAL}?{range}&require=complete")).await;
        assert_eq!(status, 503, "{range}");
    }

    let hours = server.ok("/v1/metrics/views/series?step=1h").await;
    assert_eq!((&hours["from"], &hours["complete"]), (&json!("2026-04-24T08:00:00Z"), &json!(true)));
    let days = server.ok("/v1/metrics/views/series?step=1h&from=2026-04-23T22:00:00Z").await;
    assert_eq!(days["gaps"][0]["reason"], "retired");
    let status = server.ok("/v1/status").await;
    assert_eq!(status["retired_before"], json!({"views": "2026-04-24"}));
}
