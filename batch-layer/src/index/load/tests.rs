//! A load, beside a server that takes no documents.

use platform::settings;
use shared_logic::version::DeployedVersions;
use storage::{SearchClient, VersionStore};
use test_kit::{DEADLINE, Progress as Waited, Search, wait_for};

use super::*;
use crate::index::Loads;
use crate::log_ends::KafkaEnds;
use crate::table::Subject;
use crate::table::tests::bench::{Bench, CATALOG, sent};

/// A deployment of the test's own: what is blocked goes by its name.
const BLOCKED: &str = r#"
[pipeline]
name = "blocked"
version = "v1"
"#;
const INDEX: &str = r#"
[indexes.users]
from = "tables.users"
[indexes.users.fields]
n = "integer"
"#;

/// Blocks every build that is created, as a full disk does.
const FULL: &str =
    r#"{"index_patterns":["braid.blocked.users.*"],"template":{"settings":{"index.blocks.write":true}}}"#;
const NOT_FULL: &str = r#"{"index.blocks.write":null}"#;
/// Two notes stand before the first row, and two are waited for.
const BEATS: u64 = 4;

#[test]
fn what_is_refused_is_kept_with_its_place_and_its_version() {
    let item = |id: &str| BulkItem { id: id.to_owned(), version: BASE_VERSION, document: Some(b"{}".to_vec()) };
    let items = [item("a"), item("b")];
    let places = [("log".to_owned(), 0, 5), ("log".to_owned(), 1, 7)];
    let written = Written { newer: 0, refused: vec![(1, "no".to_owned())] };
    let kept = of_written(&items, &places, written);
    let [Refused { id, partition: 1, offset: 7, version: BASE_VERSION, document, reason, .. }] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    assert_eq!((id.as_str(), document.as_str(), reason.as_str()), ("b", "{}", "no"));
}

/// A request of the test's own, which succeeds.
async fn put(server: &Search, path: &str, body: &'static str) {
    let request = reqwest::Client::new().put(format!("{}/{path}", server.url())).body(body);
    let answer = request.header("content-type", "application/json").send().await.expect("it answers");
    let (status, text) = (answer.status(), answer.text().await.expect("a text"));
    assert!(status.is_success(), "{path} {status}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_waits_for_the_server_says_that_it_lives() {
    let Some(server) = Search::start("a load that waits").await.expect("opensearch starts") else { return };
    put(&server, "_index_template/full", FULL).await;
    let mut bench = Bench::of(&format!("{BLOCKED}{CATALOG}{INDEX}")).await;
    bench.archived(&(0..50).map(|n| sent(0, n, 1, &format!("u-{n}"), Some(n))).collect::<Vec<_>>()).await;
    bench.materialised().await;
    let deployment = bench.catalog.deployment.clone();
    let search = settings::Search { url: server.url(), ..settings::Search::default() };
    let client = SearchClient::new(&search, &deployment).expect("a client").expect("a server is named");
    let folder = tempfile::tempdir().expect("a folder");
    let store = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
    let pointer = VersionStore::new(&store, &deployment).expect("a store");
    let versions = DeployedVersions::alone(bench.catalog.clone());
    let unit = versions.indexes().remove(0);
    let keeper = Keeper {
        unit: &unit,
        storage: &bench.storage,
        client: &client,
        versions: &versions,
        pointer: &pointer,
        ends: KafkaEnds::new(&settings::Kafka::default()),
        loads: &Loads::default(),
        poll: Duration::from_millis(10),
        subject: Subject::of_index(&unit.catalog, &unit.catalog.indexes["users"]),
    };
    let table = bench.opened().await;
    let note = Arc::clone(table.note().expect("noted"));
    let (facts, live) = (bench.archive.facts(), note.next.iter().map(|(id, _)| id.clone()).collect());
    let basis = Basis { table, note, facts, live, erasures: 0 };
    let stop = CancellationToken::new();

    let name = keeper.build_name(1);
    let outside = async {
        // Nothing is read while its shard is being started.
        let state = async || client.state("users").await.ok().and_then(|read| read.state.builds.get(&1).cloned());
        wait_for("the loader to say that it lives", DEADLINE, async || {
            let build = state().await;
            let beats = build.as_ref().map_or(0, |build| build.beats);
            Ok(Waited::when(beats >= BEATS, format_args!("{build:?}")))
        })
        .await
        .expect("it lives");
        let build = state().await.expect("it is begun");
        assert_eq!((build.stage, build.loaded), (BuildStage::Loading, 0), "the server takes nothing");
        put(&server, &format!("{name}/_settings"), NOT_FULL).await;
    };
    let (built, ()) = tokio::join!(keeper.build(&basis, Why::None, |_| true, &stop), outside);
    assert_eq!(built.expect("built"), 1);
    let build = client.state("users").await.expect("read").state.builds[&1].clone();
    assert_eq!((build.stage, build.loaded), (BuildStage::Following, 50));
    assert_eq!(client.count(&name).await.expect("counted"), 50);
}
