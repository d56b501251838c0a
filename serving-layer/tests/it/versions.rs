//! Versions beside each other: each answers for itself, one of them answers requests that name none, and a request is answered by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use shared_logic::catalog::{Catalog, Changed};
use shared_logic::version::{Change, DeployedVersions, Pointer, ReplayFrom};
use storage::FollowedVersions;
use test_kit::catalogs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::test_server::{LOG, TOTAL, TestServer};

const AS_OF: &str = "2026-04-24T09:30:12.345Z";
const STATUS: &str = "/v1/versions";

/// Replaces the versions that the server knows.
pub(crate) type Known = watch::Sender<Arc<DeployedVersions>>;

pub(crate) fn change(what: &str) -> Change {
    Change { id: what.to_owned(), at_us: 1_777_024_800_000_000, by: "alice@host".to_owned(), what: what.to_owned() }
}

/// The pointer to a deployment of `v1` and `v2`; the latter is counted, and is of a catalog with these changes.
pub(crate) fn two(changed: Changed) -> Pointer {
    let begun = Pointer::begin("v1", change("begin"));
    let created = begun.create("v2", "c", changed, 4, change("create v2")).expect("created");
    created.replay("v2", ReplayFrom::Log, false, change("replay v2")).expect("replayed")
}

/// The versions that a pointer names; `second` is the text of the catalog of `v2`.
pub(crate) fn resolved(number: u64, pointer: Pointer, first: &Catalog, second: &str) -> DeployedVersions {
    let texts = BTreeMap::from([("v2".to_owned(), second.to_owned())]);
    DeployedVersions::resolve(number, pointer, first, &texts).expect("resolved")
}

/// A server of two versions, of which `v1` is active. It has counted one view, and `v2` two. Both count the same.
async fn of_two() -> (TestServer, Known) {
    let mut server = TestServer::new().await;
    server.topics.set(&[2]);
    server.archive_begins().await;
    let (sender, followed) = FollowedVersions::given(deployed(2, two(Changed::default()), &server.catalog));
    let second = Catalog::clone(followed.now().version("v2").expect("it lives"));
    let event = ("2026-04-24T09:00:00Z", "v1", "de", 1);
    server.open(0, 0).await;
    server.apply(0, &[event], AS_OF).await;
    let first = std::mem::replace(&mut server.catalog, second);
    server.open(0, 0).await;
    server.apply(0, &[event, event], AS_OF).await;
    server.catalog = first;
    server.versions = Some(followed);
    server.serve().await;
    server.until_complete(TOTAL).await;
    server.until_complete(&format!("{TOTAL}?version=v2")).await;
    (server, sender)
}

fn deployed(number: u64, pointer: Pointer, first: &Catalog) -> DeployedVersions {
    resolved(number, pointer, first, catalogs::VIEWS)
}

fn promoted() -> Pointer {
    two(Changed::default())
        .promote("v2", Some(1), vec!["unverified".to_owned()], change("promote v2"))
        .expect("promoted")
}

fn counted(answer: &Value) -> (&str, i64) {
    (answer["version"].as_str().expect("a version"), answer["values"]["views"].as_i64().expect("a number"))
}

#[tokio::test]
async fn every_version_that_lives_answers_and_says_so() {
    let (server, _known) = of_two().await;
    assert_eq!(counted(&server.ok(TOTAL).await), ("v1", 1));
    assert_eq!(counted(&server.ok(&format!("{TOTAL}?version=v1")).await), ("v1", 1));
    assert_eq!(counted(&server.ok(&format!("{TOTAL}?version=v2")).await), ("v2", 2));
    for path in
        ["/v1/metrics", "/v1/metrics/views", "/v1/metrics/views/series", "/v1/streams", "/v1/tables", "/v1/reports"]
            .into_iter()
            .chain(["/v1/reconciliations", "/v1/status"])
    {
        for version in ["v1", "v2"] {
            let body = server.ok(&format!("{path}?version={version}")).await;
            let first = body.as_object().expect("an object").iter().next().expect("a member");
            assert_eq!(first, (&"version".to_owned(), &json!(version)), "{path}");
        }
    }
    let status = server.ok("/v1/status?version=v2").await;
    assert_eq!((&status["deployment"]["version"], &status["recounted"]), (&json!("v2"), &json!(true)));
}

#[tokio::test]
async fn the_versions_are_listed_with_what_is_known_of_them() {
    let (server, known) = of_two().await;
    let listed = server.ok(STATUS).await;
    assert_eq!((&listed["active"], &listed["before"], &listed["pointer"]), (&json!("v1"), &Value::Null, &json!(2)));
    let [first, second] = listed["versions"].as_array().expect("a list").as_slice() else { panic!("{listed}") };
    assert_eq!((&first["version"], &first["active"], &first["replay"]), (&json!("v1"), &json!(true), &Value::Null));
    assert_eq!(
        (&second["version"], &second["active"], &second["stage"]),
        (&json!("v2"), &json!(false), &json!("following"))
    );
    assert_eq!(second["replay"]["from"], "log");
    assert_eq!((&first["reconciled"], &second["reconciled"]), (&json!(true), &json!(false)), "it is not verified");
    assert_eq!(first["progress"], json!({"done": 1, "to_go": 1}));
    assert_eq!(second["progress"], json!({"done": 2, "to_go": 0}));
    for version in [first, second] {
        assert_eq!((&version["complete"], &version["gaps"]), (&json!(true), &json!(0)), "{version}");
        assert!(version["lag_ms"].as_i64().expect("known") > 0, "{version}");
        assert!(version["redis_bytes"].as_u64().expect("known") > 0, "{version}");
        assert_eq!((&version["metrics"], &version["error"]), (&json!(["views"]), &Value::Null));
    }
    known.send_replace(Arc::new(deployed(3, promoted(), &server.catalog)));
    let listed = server.until(STATUS, |_, body| body["active"] == "v2").await;
    assert_eq!((&listed["before"], &listed["promotions"][0]["to"]), (&json!("v1"), &json!("v2")));
    assert_eq!(listed["promotions"][0]["forced"], json!(["unverified"]));
    assert_eq!(listed["versions"][1]["reconciled"], true, "it is active");
    assert_eq!(listed["versions"][0]["last_active_at"], "2026-04-24T10:00:00Z");
}

#[tokio::test]
async fn a_promotion_is_followed_and_no_request_fails() {
    let (server, known) = of_two().await;
    known.send_replace(Arc::new(deployed(3, promoted(), &server.catalog)));
    let mut answers = Vec::new();
    while answers.last() != Some(&("v2".to_owned(), 2)) {
        let answer = server.ok(TOTAL).await;
        let (version, views) = counted(&answer);
        answers.push((version.to_owned(), views));
        assert!(answers.len() < 10_000, "it is never followed");
    }
    let both = [("v1".to_owned(), 1), ("v2".to_owned(), 2)];
    assert!(answers.iter().all(|answer| both.contains(answer)), "{answers:?}");
    assert_eq!(counted(&server.ok(&format!("{TOTAL}?version=v1")).await), ("v1", 1), "it goes on");

    let rolled_back = promoted().roll_back("v1", Some(1), Vec::new(), change("roll back")).expect("rolled back");
    known.send_replace(Arc::new(deployed(4, rolled_back, &server.catalog)));
    server.until(TOTAL, |_, body| body["version"] == "v1" && body["values"]["views"] == 1).await;
}

#[tokio::test]
async fn a_request_is_answered_by_one_version_from_start_to_end() {
    let (server, known) = of_two().await;
    let mut open = TcpStream::connect(server.address()).await.expect("connected");
    open.write_all(b"GET /healthz HTTP/1.1\r\nhost: braid\r\n\r\n").await.expect("sent");
    let mut alive = Vec::new();
    while !alive.ends_with(br#"{"status":"alive"}"#) {
        assert_ne!(open.read_buf(&mut alive).await.expect("an answer"), 0);
    }
    // Redis is silent, so that the request is open while another version becomes the active one.
    server.command(&["CLIENT", "PAUSE", "1500", "ALL"]).await;
    let request = format!("GET {TOTAL} HTTP/1.1\r\nhost: braid\r\nconnection: close\r\n\r\n");
    open.write_all(request.as_bytes()).await.expect("sent");
    // The server reads the request before this answer comes back on another connection.
    assert_eq!(server.get("/healthz").await.0, 200);
    known.send_replace(Arc::new(deployed(3, promoted(), &server.catalog)));
    server.until("/v1/reconciliations", |_, body| body["version"] == "v2").await;
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.expect("an answer, and then the end");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let body = answer.split_once("\r\n\r\n").expect("a head and a body").1;
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(counted(&body), ("v1", 1));
    assert_eq!(counted(&server.ok(TOTAL).await), ("v2", 2));
}

#[tokio::test]
async fn versions_that_are_gone_or_cannot_be_read_are_refused_with_the_reason() {
    let (server, known) = of_two().await;
    let asked = async |name: &str| {
        let (status, problem) = server.get(&format!("{TOTAL}?version={name}")).await;
        (status, problem["type"].as_str().unwrap_or_default().replace("urn:braid:problem:", ""))
    };
    assert_eq!(asked("v9").await, (404, "unknown-version".to_owned()));
    let broken = resolved(3, two(Changed::default()), &server.catalog, "[sources");
    known.send_replace(Arc::new(broken));
    server.until(STATUS, |_, body| body["pointer"] == 3).await;
    assert_eq!(asked("v2").await, (503, "version-not-served".to_owned()));
    assert!(server.ok(STATUS).await["versions"][1]["error"].as_str().is_some_and(|error| !error.is_empty()));
    let retired = two(Changed::default()).retire("v2", change("retire v2")).expect("retired");
    known.send_replace(Arc::new(deployed(4, retired, &server.catalog)));
    server.until(STATUS, |_, body| body["pointer"] == 4).await;
    assert_eq!(asked("v2").await, (404, "version-retired".to_owned()));
    assert_eq!(counted(&server.ok(TOTAL).await), ("v1", 1));
}

#[tokio::test]
async fn the_version_before_answers_for_a_moment_if_the_promoted_one_cannot_be_read() {
    let (mut server, _) = of_two().await;
    server.shutdown.begin("test");
    server.ended().await;
    server.shutdown = platform::shutdown::Shutdown::new();
    let log = server.store_folder().join("braid/views/v2/views/_delta_log");
    std::fs::create_dir_all(&log).expect("a folder");
    std::fs::write(log.join("00000000000000000000.json"), "{\"commitInfo\":{}}").expect("written");
    let (known, followed) = FollowedVersions::given(deployed(2, two(Changed::default()), &server.catalog));
    server.versions = Some(followed);
    server.serve().await;
    known.send_replace(Arc::new(deployed(3, promoted(), &server.catalog)));
    server.until(STATUS, |_, body| body["pointer"] == 3).await;
    assert_eq!(counted(&server.ok(TOTAL).await), ("v1", 1), "it goes on to answer");
    let is_store = |status: u16, body: &Value| status == 503 && body["type"] == "urn:braid:problem:store-unavailable";
    server.until(TOTAL, is_store).await;
    assert_eq!(server.get("/readyz").await.0, 503, "it is about the active one");
    std::fs::remove_dir_all(&log).expect("removed");
    server.until(TOTAL, |status, body| status == 200 && body["version"] == "v2").await;
}

#[tokio::test]
async fn without_an_archive_everything_is_counted_of_the_log() {
    let mut server = TestServer::with(&format!("[pipeline]\narchive = false\n{}", catalogs::VIEWS)).await;
    server.topics.set(&[1]);
    server.open(0, 0).await;
    let shard = format!("braid:{{braid/v1/views/{LOG}/0}}:shard");
    server.command(&["HSET", &shard, "begin", "0"]).await;
    server.apply(0, &[("2026-04-24T09:00:00Z", "v1", "de", 1)], AS_OF).await;
    server.serve().await;
    let total = server.until_complete(TOTAL).await;
    assert_eq!((counted(&total), &total["as_of"]), (("v1", 1), &json!(AS_OF)));
    assert_eq!(server.ok("/v1/status").await["recounted"], false);
    server.command(&["HSET", &shard, "begin", "-1"]).await;
    let total = server.ok(TOTAL).await;
    assert_eq!(
        total["gaps"][0]["reason"], "not_from_begin",
        "the log had lost something before the shard was opened again"
    );
    server.command(&["HDEL", &shard, "begin"]).await;
    assert_eq!(server.ok(TOTAL).await["gaps"][0]["reason"], "not_from_begin", "nobody knows where it began");
}
