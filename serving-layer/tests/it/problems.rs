//! What cannot be answered is a problem that names why.

use std::fs;

use platform::settings::Span;
use serde_json::{Value, json};
use shared_logic::log::PartitionId;

use crate::test_server::{LOG, TOTAL, TestServer};

async fn serving() -> TestServer {
    let mut server = TestServer::new().await;
    server.archive_begins().await;
    server.open(0, 0).await;
    server.serve().await;
    server
}

async fn problem(server: &TestServer, path: &str) -> Value {
    let response = server.response(path).await;
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
    let status = response.status().as_u16();
    let problem: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    assert_eq!(problem["status"], status, "{path}");
    for member in ["type", "title", "detail"] {
        assert!(problem[member].is_string(), "{path}: {problem}");
    }
    problem
}

#[tokio::test]
async fn mistakes_in_a_request_are_named() {
    let server = serving().await;
    let metrics = "/v1/metrics/views";
    for (path, status, parameter, word) in [
        ("/v1/metrics/visits/total", 404, None, "views"),
        ("/v1/metrics/visits", 404, None, "visits"),
        ("/v1/metrics/%ff/total", 404, None, "/openapi.json"),
        ("/v1/nothing", 404, None, "/openapi.json"),
        ("/v1/metrics?x=1", 400, Some("x"), "x"),
        ("/v1/status?verbose", 400, Some("verbose"), "leave it out"),
        ("/v1/versions?version=v1", 400, Some("version"), "leave it out"),
        ("/total?version=v9", 404, Some("version"), "v1"),
        ("/total?version=v1&version=v1", 400, Some("version"), "once"),
        ("/v1/reconciliations?metric=visits", 400, Some("metric"), "views"),
        ("/v1/reconciliations?limit=0", 400, Some("limit"), "1 to 1000"),
        ("/v1/reconciliations?from=now", 400, Some("from"), "metric, stream, index, limit"),
        ("/v1/reconciliations?stream=visits", 400, Some("stream"), "no stream"),
        ("/v1/reconciliations?metric=views&stream=visits", 400, Some("stream"), "one of them"),
        ("/v1/rejected", 400, Some("source"), "views"),
        ("/v1/rejected?source=view", 400, Some("source"), "views"),
        ("/v1/rejected?source=views&reason=mark", 400, Some("reason"), "missing_field"),
        ("/v1/rejected?source=views&limit=101", 400, Some("limit"), "1 to 100"),
        ("/v1/rejected?source=views&from=now", 400, Some("from"), "source, reason, limit"),
        ("/total?vidoe=1", 400, Some("vidoe"), "video, country, country.missing, from, to, require"),
        ("/total?country=de&country.missing=true", 400, Some("country.missing"), "country and country.missing"),
        ("/total?country.missing=false", 400, Some("country.missing"), "write country.missing=true"),
        ("/series?video.missing=true", 400, Some("video.missing"), "video is required"),
        ("/total?step=1h", 400, Some("step"), "not known"),
        ("/total?from=-1h&from=-2h", 400, Some("from"), "once"),
        ("/total?from=now&to=-24h", 400, Some("from"), "before to"),
        ("/total?from=monday", 400, Some("from"), "RFC 3339"),
        ("/total?to=2026-04-24T09:00:00+02:00", 400, Some("to"), "%2B"),
        ("/total?require=all", 400, Some("require"), "complete"),
        ("/series?step=90s", 400, Some("step"), "multiple of 1m"),
        ("/series?step=7h", 400, Some("step"), "divides a day"),
        ("/series?from=-30d&to=now", 400, Some("from"), "points"),
        ("/series?from=now&to=now", 400, Some("from"), "before"),
    ] {
        let path = if path.starts_with("/v1") { path.to_owned() } else { format!("{metrics}{path}") };
        let problem = problem(&server, &path).await;
        assert_eq!(
            (problem["status"].as_u64(), problem["parameter"].as_str()),
            (Some(status), parameter),
            "{path}: {problem}"
        );
        assert!(problem["detail"].as_str().expect("a detail").contains(word), "{path}: {problem}");
    }
    let url = format!("http://{}/v1/metrics", server.address());
    let response = reqwest::Client::new().post(url).body("{}").send().await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"GET, HEAD".parse().expect("a header"))
    );
    assert_eq!(response.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn without_redis_there_are_no_numbers() {
    let mut server = serving().await;
    server.until_complete(TOTAL).await;
    server.redis.kill();
    for path in [TOTAL, "/v1/metrics/views/series?step=1h"] {
        let problem = problem(&server, path).await;
        assert_eq!(
            (&problem["status"], &problem["type"]),
            (&json!(503), &json!("urn:braid:problem:redis-unavailable"))
        );
        assert!(problem["detail"].as_str().expect("a detail").contains("redis"), "{problem}");
    }
    assert_eq!(server.get("/healthz").await.0, 200);
    let (status, ready) = server.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(ready["reasons"][0].as_str().expect("a reason").contains("redis"), "{ready}");
    let status = server.ok("/v1/status").await;
    assert_eq!(status["dependencies"]["redis"]["ok"], false);
    assert_eq!(status["sources"][0]["partitions"][0]["cursor"], Value::Null);
    let metric = server.ok("/v1/metrics/views").await;
    assert!(metric["freshness"]["error"].as_str().expect("an error").contains("redis"), "{metric}");
}

#[tokio::test]
async fn definitions_do_not_wait_for_a_redis_that_is_silent() {
    let server = serving().await;
    server.until_complete(TOTAL).await;
    // Longer than any request may take.
    server.command(&["CLIENT", "PAUSE", "60000", "ALL"]).await;
    let metrics = server.ok("/v1/metrics").await;
    let metric = &metrics["metrics"][0];
    assert_eq!((&metric["name"], &metric["grain"]), (&json!("views"), &json!("1m")));
    let error = metric["freshness"]["error"].as_str().expect("an error");
    assert!(error.contains("did not answer within 500 ms"), "{error}");
}

#[tokio::test]
async fn without_a_readable_store_there_are_no_numbers() {
    let mut server = TestServer::new().await;
    let log = server.store_folder().join("braid/views/v1/views/_delta_log");
    fs::create_dir_all(&log).expect("a folder");
    fs::write(log.join("00000000000000000000.json"), "{\"commitInfo\":{}}").expect("written");
    server.serve_unready().await;
    let is_store = |status: u16, body: &Value| status == 503 && body["type"] == "urn:braid:problem:store-unavailable";
    let problem = server.until(TOTAL, is_store).await;
    assert!(problem["detail"].as_str().expect("a detail").contains("views/v1/views"), "{problem}");
    assert_eq!(server.get("/readyz").await.0, 503);
    assert_eq!(server.ok("/v1/status").await["dependencies"]["store"]["ok"], false);
    fs::remove_dir_all(&log).expect("removed");
    server.until("/readyz", |status, _| status == 200).await;
}

#[tokio::test]
async fn a_shard_of_another_format_is_refused() {
    let server = serving().await;
    server.until_complete(TOTAL).await;
    let key = shared_logic::contracts::speed_view::ShardKeys::new(
        &server.catalog.deployment,
        "views",
        &PartitionId::new(LOG, 0),
    )
    .shard();
    server.command(&["HSET", &key, "format", "99"]).await;
    let problem = problem(&server, TOTAL).await;
    assert!(problem["detail"].as_str().expect("a detail").contains("format"), "{problem}");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let mut server = TestServer::new().await;
    server.archive_begins().await;
    server.open(0, 0).await;
    server.settings.http.request_timeout = Span::from_millis(300);
    server.serve().await;
    server.until_complete(TOTAL).await;
    server.redis.suspend().expect("frozen");
    let problem = problem(&server, TOTAL).await;
    assert_eq!((&problem["status"], &problem["type"]), (&json!(503), &json!("urn:braid:problem:timeout")));
    server.redis.resume().expect("thawed");
    server.until(TOTAL, |status, _| status == 200).await;
}
