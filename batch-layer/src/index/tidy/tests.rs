//! On a real search server: what is tidied up after another version was created.

use std::time::Duration;

use platform::settings;
use shared_logic::catalog::{Catalog, Changed};
use shared_logic::contracts::index::{Build, Why};
use shared_logic::log::Offsets;
use shared_logic::version::{DeployedVersions, Pointer};
use storage::{SearchClient, Storage, VersionStore};
use test_kit::Search;

use super::*;
use crate::index::Loads;
use crate::log_ends::KafkaEnds;
use crate::table::Subject;
use crate::table::tests::bench::{CATALOG, INDEX};

/// A build of a definition that the catalog does not have.
fn of_another() -> Build {
    Build {
        definition: "00000000000000aa".parse().expect("16 digits"),
        stage: BuildStage::Loading,
        why: Why::None,
        loader: "me".to_owned(),
        uuid: String::new(),
        base: Offsets::default(),
        table_version: 3,
        erasures: 0,
        rows: 9,
        loaded: 0,
        beats: 0,
        begun_at_us: 0,
        equal_at_us: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_of_a_version_that_the_run_does_not_know_are_left_alone() {
    let Some(server) = Search::start("tidied").await.expect("opensearch starts") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let store = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
    let search = settings::Search { url: server.url(), ..settings::Search::default() };
    let catalog = format!("{CATALOG}{INDEX}");
    let mut versions = DeployedVersions::alone(Catalog::parse(&catalog).expect("a catalog"));
    let deployment = versions.active().deployment.clone();
    let client = SearchClient::new(&search, &deployment).expect("a client").expect("a server is named");
    let storage = Storage::new(&store, &deployment).expect("a store");
    let pointer = VersionStore::new(&store, &deployment).expect("a store");

    // The run knows one version; another is created, and its build begun.
    let hash = pointer.put_catalog("v2", &catalog).await.expect("kept");
    let create = |before: &Pointer, change| before.create("v2", &hash, Changed::default(), 8, change);
    let (number, _) = pointer.step(&deployment.version, "alice", "create", create).await.expect("created");
    let begun = client.step("users", |state| Ok::<_, IndexError>(state.begin(of_another()).0)).await.expect("begun");

    let tidied = async |versions: &DeployedVersions| {
        let unit = versions.indexes().remove(0);
        let keeper = Keeper {
            unit: &unit,
            storage: &storage,
            client: &client,
            versions,
            pointer: &pointer,
            ends: KafkaEnds::new(&settings::Kafka::default()),
            loads: &Loads::default(),
            poll: Duration::from_millis(10),
            subject: Subject::of_index(&unit.catalog, &unit.catalog.indexes["users"]),
        };
        keeper.tidy().await.expect("tidied up");
        client.state("users").await.expect("read").state
    };
    assert_eq!(tidied(&versions).await, begun, "it is the build of the other version");
    versions.number = number;
    assert!(tidied(&versions).await.builds.is_empty(), "no version of that pointer has it");
}
