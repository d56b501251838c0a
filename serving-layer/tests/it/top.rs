//! The largest keys, and which keys there are, of one layer and of both.

use futures::future::join_all;
use serde_json::{Value, json};
use shared_logic::log::PartitionId;
use shared_logic::time::DAY_US;

use crate::test_server::{ABSENT, Event, LOG, TestServer, at};

const AS_OF: &str = "2026-04-24T09:30:12.345Z";
const TOP: &str = "/v1/metrics/views/top";
const KEYS: &str = "/v1/metrics/views/keys";

/// Offsets 0 to 5 in partition 0, and the cut is 3; offsets 0 and 1 in partition 1, with the cut at 0.
async fn counted() -> TestServer {
    let server = TestServer::new().await;
    server.topics.set(&[6, 2]);
    server.archive(|facts| (0..2).for_each(|partition| facts.begin(&PartitionId::new(LOG, partition), 0))).await;
    server.open(0, 0).await;
    server.open(1, 0).await;
    let below = [
        ("2026-04-23T10:00:10Z", "v1", "de", 100),
        ("2026-04-23T10:00:50Z", "v1", "fr", 300),
        ("2026-04-24T08:00:00Z", "v2", "de", 50),
    ];
    server.apply(0, &below, AS_OF).await;
    server.rotate(0).await;
    let above = [
        ("2026-04-24T09:30:00Z", "v2", "de", 7),
        ("2026-04-23T10:00:30Z", "v2", ABSENT, 1),
        ("2026-04-24T09:00:00Z", "v3", "fr", 900),
    ];
    server.apply(0, &above, AS_OF).await;
    let elsewhere = [("2026-04-24T09:30:00Z", "v2", "fr", 20), ("2026-04-24T09:31:00Z", "v 4", ABSENT, 5)];
    server.apply(1, &elsewhere, AS_OF).await;
    let rows = [
        ("2026-04-23T10:00:00Z", "v1", "de", 1, Some(100), 100),
        ("2026-04-23T10:00:00Z", "v1", "fr", 1, Some(300), 300),
        ("2026-04-24T08:00:00Z", "v2", "de", 1, Some(50), 50),
    ];
    let version = server.archive_rows(0, 6).await;
    server.view(&[3, 0], version, &rows).await;
    server
}

/// Each row's key, and one of its values.
fn listed(body: &Value, value: &str) -> Vec<(Value, Value)> {
    let rows = body["rows"].as_array().expect("rows");
    rows.iter().map(|row| (row["key"].clone(), row["values"][value].clone())).collect()
}

#[tokio::test]
async fn the_largest_keys_of_both_layers_come_first() {
    let mut server = counted().await;
    server.serve().await;
    let top = server.until_complete(&format!("{TOP}?by=video")).await;
    assert_eq!(
        top,
        json!({
            "version": "v1", "metric": "views", "by": ["video"], "measure": "views", "limit": 10, "key": {}, "from": null, "to": null,
            "grain": "1m", "complete": true, "gaps": [], "authoritative": false, "as_of": AS_OF,
            "provenance": {
                "batch": {"version": 1, "committed_at": "2026-04-24T09:20:03Z"},
                "speed": {"lag_ms": top["provenance"]["speed"]["lag_ms"]},
            },
            "ranked": 4,
            "rows": [
                {"key": {"video": "v2"}, "values": {"views": 4, "dwell_ms": 78, "longest": 50, "mean_ms": 19.5}, "layer": "both"},
                {"key": {"video": "v1"}, "values": {"views": 2, "dwell_ms": 400, "longest": 300, "mean_ms": 200.0}, "layer": "batch"},
                {"key": {"video": "v 4"}, "values": {"views": 1, "dwell_ms": 5, "longest": 5, "mean_ms": 5.0}, "layer": "speed"},
                {"key": {"video": "v3"}, "values": {"views": 1, "dwell_ms": 900, "longest": 900, "mean_ms": 900.0}, "layer": "speed"},
            ],
        })
    );
    // Each row is what a total says of its key.
    for (key, views) in listed(&top, "views") {
        let video = key["video"].as_str().expect("a video").replace(' ', "%20");
        let total = server.ok(&format!("/v1/metrics/views/total?video={video}")).await;
        assert_eq!(total["values"]["views"], views, "{key}");
    }
    // Slices below the cut may be there or not.
    server.drop_below(0, 3).await;
    assert_eq!(server.ok(&format!("{TOP}?by=video")).await["rows"], top["rows"]);
}

#[tokio::test]
async fn keys_are_ranked_by_any_value_over_any_range_and_of_any_columns() {
    let mut server = counted().await;
    server.serve().await;
    server.until_complete(TOP).await;
    let video = |name: &str| json!({"video": name});
    let country = |name: Value| json!({"country": name});
    for (query, value, expected) in [
        ("by=video&measure=dwell_ms&limit=2", "dwell_ms", vec![(video("v3"), json!(900)), (video("v1"), json!(400))]),
        ("by=video&measure=mean_ms&limit=1", "mean_ms", vec![(video("v3"), json!(900.0))]),
        (
            "by=country",
            "views",
            vec![(country(json!("de")), json!(3)), (country(json!("fr")), json!(3)), (country(json!(null)), json!(2))],
        ),
        (
            "video=v2",
            "views",
            vec![(country(json!("de")), json!(2)), (country(json!("fr")), json!(1)), (country(json!(null)), json!(1))],
        ),
        ("country.missing=true", "views", vec![(video("v 4"), json!(1)), (video("v2"), json!(1))]),
        ("by=video&to=2026-04-24T00:00:00Z", "views", vec![(video("v1"), json!(2)), (video("v2"), json!(1))]),
        ("by=video&from=2026-04-24T09:30:00Z&to=2026-04-24T09:31:00Z", "views", vec![(video("v2"), json!(2))]),
        ("by=video&from=2027-01-01T00:00:00Z", "views", vec![]),
    ] {
        let top = server.ok(&format!("{TOP}?{query}")).await;
        assert_eq!(listed(&top, value), expected, "{query}: {top}");
        assert_eq!(top["complete"], true, "{query}");
    }
    let pairs = server.ok(&format!("{TOP}?limit=1000&by=video,country")).await;
    assert_eq!((pairs["ranked"].clone(), pairs["rows"].as_array().map(Vec::len)), (json!(7), Some(7)), "{pairs}");
    assert_eq!(
        server.ok(&format!("{TOP}?limit=1000")).await["rows"],
        pairs["rows"],
        "all columns, unless some are named"
    );
}

#[tokio::test]
async fn equal_questions_share_a_sweep() {
    let mut server = counted().await;
    server.serve().await;
    server.until_complete(TOP).await;
    for path in [TOP, KEYS] {
        let before = server.calls("hscan").await;
        let alone = server.ok(path).await;
        let one = server.calls("hscan").await - before;
        assert!(one > 0, "{path}");
        let answers = join_all((0..40).map(|_| server.ok(path))).await;
        for answer in answers {
            assert_eq!((&answer["rows"], &answer["keys"]), (&alone["rows"], &alone["keys"]));
        }
        let all = server.calls("hscan").await - before - one;
        assert!(all <= 10 * one, "{path}: {all} scans for 40 requests, and {one} for one");
    }
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let mut server = counted().await;
    server.serve().await;
    let first = server.until_complete(&format!("{KEYS}?limit=2")).await;
    assert_eq!((&first["by"], &first["keys"], &first["more"]), (&json!("video"), &json!(["v 4", "v1"]), &json!(true)));
    let second = server.ok(&format!("{KEYS}?limit=2&after=v1")).await;
    assert_eq!((&second["keys"], &second["more"]), (&json!(["v2", "v3"]), &json!(false)));
    for (query, keys) in [
        ("prefix=v", json!(["v 4", "v1", "v2", "v3"])),
        ("prefix=v1", json!(["v1"])),
        ("prefix=w", json!([])),
        ("prefix=v&after=v15", json!(["v2", "v3"])),
        ("by=country", json!(["de", "fr", null])),
        ("by=country&video=v1", json!(["de", "fr"])),
        ("by=country&prefix=f", json!(["fr"])),
        ("by=country&after=fr", json!([null])),
        ("country=de", json!(["v1", "v2"])),
        ("to=2026-04-23T10:01:00Z", json!(["v1", "v2"])),
    ] {
        let answer = server.ok(&format!("{KEYS}?{query}")).await;
        assert_eq!((&answer["keys"], &answer["more"]), (&keys, &json!(false)), "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let mut server = counted().await;
    server.serve().await;
    server.until_complete(TOP).await;
    for (path, parameter, says) in [
        ("top?by=city", "by", "country"),
        ("top?by=video,video", "by", "twice"),
        ("top?by=video&video=v1", "by", "leave one of them out"),
        ("top?video=v1&country=de", "by", "leave one out"),
        ("top?measure=clicks", "measure", "mean_ms"),
        ("top?limit=0", "limit", "1000"),
        ("top?prefix=v", "prefix", "not known"),
        ("top?by=video&by=country", "by", "repeated"),
        ("keys?by=video,country", "by", "no column"),
        ("keys?limit=1001", "limit", "1000"),
        ("keys?measure=views", "measure", "not known"),
    ] {
        let (status, problem) = server.get(&format!("/v1/metrics/views/{path}")).await;
        assert_eq!((status, &problem["parameter"]), (400, &json!(parameter)), "{path}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{path}: {problem}");
    }
    assert_eq!(server.get("/v1/metrics/clicks/top").await.0, 404);
}

#[tokio::test]
async fn more_counters_than_may_be_read_are_refused_and_none_is_read() {
    let mut server = counted().await;
    server.settings.serving.sweep_max = 10;
    server.serve().await;
    let scans = server.calls("hscan").await;
    for path in [TOP, KEYS] {
        let (status, problem) = server.get(path).await;
        assert_eq!((status, &problem["type"]), (503, &json!("urn:braid:problem:too-many-keys")), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("serving.sweep_max")), "{problem}");
    }
    assert_eq!(server.calls("hscan").await, scans);
    // Totals read what they need.
    server.until_complete("/v1/metrics/views/total").await;
}

#[tokio::test]
async fn what_is_missing_is_said_and_what_there_is_is_listed() {
    let mut server = counted().await;
    server.retired_before = Some(at("2026-04-24T00:00:00Z") / DAY_US);
    let version = server.archive(|_| ()).await;
    server.view(&[3, 0], version, &[("2026-04-24T08:00:00Z", "v2", "de", 1, Some(50), 50)]).await;
    server.serve().await;
    let everything = server.until_complete(&format!("{TOP}?by=video")).await;
    assert_eq!(everything["from"], "2026-04-24T00:00:00Z", "the default range begins with the first day that is held");
    assert_eq!(listed(&everything, "views")[0], (json!({"video": "v2"}), json!(3)));
    let earlier = server.ok(&format!("{TOP}?by=video&from=2026-04-23T00:00:00Z")).await;
    assert_eq!((&earlier["complete"], &earlier["gaps"][0]["reason"]), (&json!(false), &json!("retired")));

    server.mark_truncated(0, 5).await;
    let truncated = server.ok(&format!("{TOP}?by=video&from=2026-04-24T00:00:00Z")).await;
    assert_eq!(truncated["gaps"][0]["reason"], "log_truncated", "{truncated}");
    let listed = listed(&truncated, "views");
    assert!(listed.contains(&(json!({"video": "v2"}), json!(2))), "nothing of partition 0 counts: {truncated}");
    let (status, problem) = server.get(&format!("{TOP}?by=video&require=complete")).await;
    assert_eq!((status, &problem["gaps"][0]["reason"]), (503, &json!("log_truncated")));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_exact_while_events_are_counted() {
    let server = TestServer::new().await;
    server.topics.set(&[0]);
    server.archive_begins().await;
    server.open(0, 0).await;
    let names: Vec<String> = (0..2_000).map(|n| format!("v{n}")).collect();
    let events: Vec<Event> = names.iter().map(|name| ("2026-04-24T09:30:00Z", leaked(name), "de", 1)).collect();
    server.apply(0, &events, AS_OF).await;
    let mut server = server;
    server.serve().await;
    server.until_complete(TOP).await;
    let counting = async {
        for _ in 0..20 {
            server.apply(0, &events, AS_OF).await;
        }
    };
    let asking = async {
        let mut seen = Vec::new();
        for _ in 0..20 {
            let top = server.ok(&format!("{TOP}?by=video&limit=1000")).await;
            let counts: Vec<i64> = listed(&top, "views").iter().filter_map(|(_, views)| views.as_i64()).collect();
            assert_eq!((counts.len(), &top["ranked"], &top["complete"]), (1_000, &json!(2_000), &json!(true)));
            // A micro-batch counts each video once, so at any position of the log all have the same count.
            assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
            seen.push(counts[0]);
        }
        seen
    };
    let ((), seen) = tokio::join!(counting, asking);
    assert!(seen.is_sorted(), "no answer goes down: {seen:?}");
    let last = server.ok(&format!("{TOP}?by=video&limit=1")).await;
    assert_eq!(last["rows"][0]["values"]["views"], 21);
}

/// Events borrow their texts for as long as a test lasts.
fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}
