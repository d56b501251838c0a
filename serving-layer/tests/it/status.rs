//! What the serving layer says of the metrics, the sources and itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared_logic::contracts::archive::{Place, Rejects};
use shared_logic::log::PartitionId;
use shared_logic::rejection::Reason;

use crate::test_server::{LOG, TOTAL, TestServer};

async fn server() -> TestServer {
    let mut server = TestServer::new().await;
    server.topics.set(&[10]);
    let version = server
        .archive(|facts| {
            let id = PartitionId::new(LOG, 0);
            facts.begin(&id, 1);
            assert!(facts.advance(&id, 1, 4));
            facts.lose(&id, 6);
            let last = Place { log: LOG.to_owned(), partition: 0, offset: 3, error: "wrong_type:dwell_ms".to_owned() };
            facts.rejects.insert(Reason::WrongType, Rejects { count: 2, last });
        })
        .await;
    server.view(&[4], version, &[]).await;
    server.open(0, 4).await;
    server.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], "2026-04-24T09:00:02Z").await;
    server.serve().await;
    server.until(TOTAL, |_, body| body["gaps"][0]["reason"] == "lost").await;
    server
}

#[tokio::test]
async fn a_metric_is_described() {
    let server = server().await;
    let metrics = server.ok("/v1/metrics").await;
    let metric = &metrics["metrics"][0];
    let by = json!([
        {"name": "video", "type": "string", "optional": false}, {"name": "country", "type": "string", "optional": true}
    ]);
    assert_eq!(metric["by"], by);
    assert_eq!(
        metric["measures"],
        json!({"views": "count()", "dwell_ms": r#"sum("dwell_ms")"#, "longest": r#"max("dwell_ms")"#})
    );
    assert_eq!(
        (&metric["name"], &metric["source"], &metric["grain"]),
        (&json!("views"), &json!("views"), &json!("1m"))
    );
    assert!(metric["where"].as_str().expect("a condition").contains("dwell_ms"), "{metric}");
    assert!(metric["derived"]["mean_ms"].as_str().expect("text").contains("views"), "{metric}");
    assert_eq!(metric["definition"], server.definition().as_str());
    let cut = &metric["cut"];
    assert_eq!(
        (&cut["version"], &cut["committed_at"], &cut["is_current"]),
        (&json!(1), &json!("2026-04-24T09:20:03Z"), &json!(true))
    );
    assert_eq!(cut["offsets"], json!({LOG: {"0": 4}}));
    assert_eq!(cut["segments"], json!({"days": 0, "months": 0, "bytes": 0}));
    assert!(cut["age_ms"].as_i64().expect("a number") > 0);
    assert_eq!(
        (&metric["freshness"]["as_of"], &metric["freshness"]["complete"]),
        (&json!("2026-04-24T09:00:02Z"), &json!(false))
    );
    let one = server.ok("/v1/metrics/views").await;
    assert_eq!((&one["definition"], &one["measures"]), (&metric["definition"], &metric["measures"]));
}

#[tokio::test]
async fn the_status_names_every_partition() {
    let server = server().await;
    let status = server.ok("/v1/status").await;
    let source = &status["sources"][0];
    assert_eq!((&source["name"], &source["topic"], &source["log"]), (&json!("views"), &json!("views"), &json!(LOG)));
    assert_eq!(
        source["partitions"],
        json!([{
            "log": LOG, "partition": 0, "closed": false, "begin": 1, "next": 6, "cursor": 5, "slices": [4],
            "as_of": "2026-04-24T09:00:02Z", "cuts": {"views": 4}, "end": 10, "speed_lag": 5, "archive_lag": 4,
            "lost": [{"from": 4, "to": 6, "accepted": false}], "not_decodable": [],
        }])
    );
    assert_eq!(
        source["rejects"],
        json!([{
            "reason": "wrong_type", "count": 2,
            "last": {"log": LOG, "partition": 0, "offset": 3, "error": "wrong_type:dwell_ms"},
        }])
    );
    assert_eq!(status["dependencies"], json!({"redis": {"ok": true}, "kafka": {"ok": true}, "store": {"ok": true}}));
    assert_eq!((&status["views"]["views"], &status["deployment"]["version"]), (&json!(1), &json!("v1")));

    *server.topics.ends.lock().expect("no panic") = None;
    let status = server.until("/v1/status", |_, body| body["dependencies"]["kafka"]["ok"] == false).await;
    let partition = &status["sources"][0]["partitions"][0];
    assert_eq!((&partition["end"], &partition["cursor"]), (&Value::Null, &json!(5)));
    assert!(server.ok(TOTAL).await["as_of"].is_string(), "the last description stays");
}

#[tokio::test]
async fn logs_that_are_over_cost_no_request_anything() {
    let mut server = TestServer::new().await;
    server.topics.set(&[1]);
    let over: Vec<String> = (0..500).map(|n| format!("log-{n:03}")).collect();
    server
        .archive(|facts| {
            for log in &over {
                (0..4).for_each(|partition| facts.begin(&PartitionId::new(log.as_str(), partition), 7));
                facts.close(log);
                facts.settle(log, &BTreeMap::new());
            }
            facts.note_over("v1", &over);
            facts.begin(&PartitionId::new(LOG, 0), 0);
        })
        .await;
    server.open(0, 0).await;
    server.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], "2026-04-24T09:00:02Z").await;
    server.serve().await;
    server.until_complete(TOTAL).await;
    let before = server.calls("hmget").await;
    assert_eq!(server.ok(TOTAL).await["values"]["views"], 1);
    assert_eq!(server.calls("hmget").await - before, 1, "only the shard of the topic's log is read");

    let status = server.ok("/v1/status").await;
    let source = &status["sources"][0];
    let listed = |member: &str| -> Vec<&str> {
        source[member].as_array().expect("a list").iter().map(|entry| entry["log"].as_str().expect("a log")).collect()
    };
    assert_eq!(listed("logs"), ["log-497", "log-498", "log-499", LOG]);
    assert_eq!((listed("partitions").len(), &source["logs_not_shown"]), (3 * 4 + 1, &json!(497)));
    assert_eq!(server.calls("hmget").await - before, 1 + 3 * 4 + 1);
}

#[tokio::test]
async fn the_process_says_how_it_is() {
    platform::telemetry::init(&platform::settings::Telemetry { log: "warn".to_owned(), ..Default::default() })
        .expect("starts");
    let server = server().await;
    assert_eq!(server.ok("/healthz").await["status"], "alive");
    assert_eq!(server.ok("/readyz").await["status"], "ready");
    assert_eq!(server.ok("/openapi.json").await["openapi"], "3.1.0");
    let response = server.response("/metrics").await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4");
    let text = response.text().await.expect("text");
    assert!(text.contains("braid_serving_requests_total{route=\"/readyz\",status=\"200\"}"), "{text}");
    assert!(text.contains("braid_serving_request_seconds_bucket"), "{text}");
    for name in ["view_memory_bytes", "segment_bytes", "blocks_total{from=\"memory\"}", "blocks_total{from=\"disk\"}"] {
        assert!(text.contains(&format!("braid_serving_{name}")), "{name}: {text}");
    }
}

#[tokio::test]
async fn the_status_is_told_as_gauges_and_what_is_not_known_has_no_number() {
    platform::telemetry::init(&platform::settings::Telemetry { log: "warn".to_owned(), ..Default::default() })
        .expect("telemetry starts");
    // Of a name of its own: all tests of this program tell one recorder.
    let catalog = test_kit::catalogs::VIEWS.replace("[metrics.views]", "[metrics.gauged]");
    let catalog = catalog.replace("[metrics.views.", "[metrics.gauged.");
    let mut server = TestServer::with(&catalog).await;
    server.settings.telemetry.gauges_every = platform::settings::Span::from_millis(50);
    server.archive_begins().await;
    server.serve().await;
    let told = |name: &str| {
        let begin = format!("braid_serving_{name}{{metric=\"gauged\"}} ");
        let text = platform::telemetry::render();
        text.lines().find_map(|line| line.strip_prefix(&begin)).map(str::to_owned)
    };
    let until = async |name: &str, wanted: &str| {
        let deadline = std::time::Instant::now() + crate::test_server::DEADLINE;
        while told(name).as_deref() != Some(wanted) {
            assert!(std::time::Instant::now() < deadline, "{name} is {:?}, not {wanted}", told(name));
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    // Nothing counts the partition.
    until("gaps", "1").await;
    assert_eq!(told("cut_age_seconds"), None, "nothing was reconciled");
    server.redis.kill();
    until("gaps", "NaN").await;
}
