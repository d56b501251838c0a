//! The pointer to versions in a store: steps that are taken at once, that are repeated, and that are followed.

use std::time::Duration;

use platform::settings::{self, Settings, Span};
use platform::shutdown::Shutdown;
use shared_logic::catalog::{Catalog, Changed, Deployment};
use shared_logic::version::{Pointer, StepError};
use storage::{FollowedVersions, Put, VersionStore, VersionsError, active_version};
use test_kit::DEADLINE;

const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
"#;

fn settings_in(folder: &tempfile::TempDir) -> Settings {
    let store = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
    let versions = settings::Versions { refresh: Span::from_millis(10), ..settings::Versions::default() };
    Settings { store, versions, ..Settings::default() }
}

fn store(settings: &Settings) -> VersionStore {
    VersionStore::new(&settings.store, &Deployment::new("braid", "v1")).expect("a store")
}

async fn create(store: &VersionStore, name: &str) -> Result<(u64, Pointer), VersionsError> {
    let hash = store.put_catalog(name, CATALOG).await?;
    let create = |pointer: &Pointer, change| pointer.create(name, &hash, Changed::default(), 8, change);
    store.step("v1", "alice", "create", create).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_step_begins_and_the_next_ones_follow_without_a_hole() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&settings_in(&folder));
    assert_eq!(store.newest().await.expect("read"), None);
    assert_eq!(store.newer(0).await.expect("read"), None);
    let (number, pointer) = create(&store, "v2").await.expect("created");
    assert_eq!((number, pointer.first.as_str(), pointer.active.as_str()), (1, "v1", "v1"));
    assert_eq!(create(&store, "v2").await.expect("the same again"), (1, pointer.clone()), "nothing is put");
    let (number, third) = create(&store, "v3").await.expect("created");
    assert_eq!(store.newest().await.expect("read"), Some((number, third.clone())));
    assert_eq!(store.newer(0).await.expect("read"), Some((2, third)));
    assert_eq!(store.newer(2).await.expect("read"), None);
    for (number, is_newest) in [(0, false), (1, false), (2, true)] {
        assert_eq!(store.is_newest(number).await.expect("read"), is_newest, "{number}");
    }
    assert!(matches!(create(&store, "V 4").await, Err(VersionsError::Step(StepError::NoName(_)))));
    assert_eq!(store.put_next(1, &pointer).await.expect("asked"), Put::Overtaken, "what is there stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_are_taken_at_once_are_all_done_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&settings_in(&folder));
    let names: Vec<String> = (2..8).map(|number| format!("v{number}")).collect();
    let tasks = names.iter().cloned().map(|name| {
        let store = store.clone();
        tokio::spawn(async move { create(&store, &name).await.map(|(number, _)| number) })
    });
    let mut numbers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        numbers.push(task.await.expect("no panic").expect("created"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let (_, newest) = store.newest().await.expect("read").expect("a pointer");
    assert_eq!(newest.versions.len(), names.len() + 1, "none was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_hears_of_a_step_and_keeps_what_it_knows_while_the_store_is_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, file) = (settings_in(&folder), Catalog::parse(CATALOG).expect("a catalog"));
    let mut followed = FollowedVersions::start(&settings, file.clone()).await.expect("read");
    assert_eq!((followed.now().number, followed.now().active_name()), (0, "v1"));
    let store = store(&settings);
    create(&store, "v2").await.expect("created");
    assert_eq!(followed.asked_anew().await.expect("read").number, 1);
    let known = tokio::time::timeout(DEADLINE, followed.changed()).await.expect("it is heard of");
    assert_eq!(known.living().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), ["v1", "v2"]);

    let (active, away) = (folder.path().join("braid/active"), folder.path().join("away"));
    std::fs::rename(&active, &away).expect("moved");
    std::fs::write(&active, "not a folder").expect("written");
    let failed = async {
        while followed.read().error.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, failed).await.expect("it cannot be read");
    assert_eq!(followed.now().number, 1);
    std::fs::remove_file(&active).expect("removed");
    std::fs::rename(&away, &active).expect("moved back");
    create(&store, "v3").await.expect("created");
    let known = tokio::time::timeout(DEADLINE, followed.changed()).await.expect("it is heard of");
    assert_eq!((known.number, followed.read().error), (2, None));
    assert_eq!(active_version(&settings, file).await.expect("read").deployment.version, "v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_while_the_store_is_away_waits_for_it_or_for_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, file) = (settings_in(&folder), Catalog::parse(CATALOG).expect("a catalog"));
    create(&store(&settings), "v2").await.expect("created");
    let (active, away) = (folder.path().join("braid/active"), folder.path().join("away"));
    std::fs::rename(&active, &away).expect("moved");
    // To follow it fails, and not because there is nothing.
    std::os::unix::fs::symlink(&active, &active).expect("linked");
    let start = |shutdown: Shutdown| {
        let (settings, file) = (settings.clone(), file.clone());
        tokio::spawn(async move { FollowedVersions::start_waiting(&settings, &file, &shutdown).await })
    };
    let (ends, stays) = (Shutdown::new(), Shutdown::new());
    let (ended, mut started) = (start(ends.clone()), start(stays));
    ends.begin("test");
    assert!(ended.await.expect("no panic").expect("no failure").is_none(), "it was stopped before");
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut started).await;
    assert!(waits.is_err(), "it cannot know which versions there are");
    std::fs::remove_file(&active).expect("removed");
    std::fs::rename(&away, &active).expect("moved back");
    let started = tokio::time::timeout(DEADLINE, started).await.expect("it starts").expect("no panic");
    assert_eq!(started.expect("read").expect("not stopped").now().number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_kept_and_a_catalog_that_no_pointer_names_is_in_nobodys_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&settings_in(&folder));
    let abandoned = store.put_catalog("v2", "another text").await.expect("kept");
    let (_, pointer) = create(&store, "v2").await.expect("created");
    let named = pointer.versions["v2"].catalog.clone().expect("a hash");
    assert_ne!(named, abandoned);
    assert_eq!(store.catalog("v2", &named).await.expect("read").as_deref(), Some(CATALOG));
    assert_eq!(store.catalog("v3", &named).await.expect("read"), None);
    let report = serde_json::json!({"verdict": "equal"});
    let path = store.put_report("v2", 7, &report, "all is well\n").await.expect("kept");
    assert_eq!(store.report(&path).await.expect("read"), Some((report, "all is well\n".to_owned())));
    assert_eq!(store.report("v2/verified/8").await.expect("read"), None);
}
