use std::path::{Path, PathBuf};
use std::process::Command;

use platform::settings::{self, Size};
use platform::store::{Commit, Store};
use polars::prelude::{DataType, Field, NamedFrom, Schema, Series, TimeUnit, TimeZone, df};
use shared_logic::contracts::batch_view::{self, Asked, Note};
use shared_logic::log::Offsets;
use storage::Storage;
use test_kit::DEADLINE;

use super::*;
use crate::batch_view::Disk;

const CATALOG: &str = r#"
[sources.calls]
event_time = "at"
[sources.calls.fields]
at = "timestamp"
[metrics.quick]
source = "calls"
[metrics.quick.measures]
calls = "count()"
[metrics.slow]
source = "calls"
[metrics.slow.measures]
calls = "count()"
"#;

/// Commits a file with one row to the view of a metric; gives the file's path.
async fn commit(folder: &Path, catalog: &Catalog, metric: &str) -> PathBuf {
    let instant = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
    let columns = [("bucket", instant.clone()), ("calls", DataType::Int64)];
    let schema = Schema::from_iter(columns.map(|(name, dtype)| Field::new(name.into(), dtype)));
    let store = Store::new(&store_in(folder), "braid").expect("a folder");
    let path = batch_view::path("v1", metric);
    let mut table = store.open_or_create(&path, &schema, batch_view::DAY).await.expect("a table");
    let mut frame = df!("calls" => [1_i64]).expect("a column");
    let bucket = Series::new("bucket".into(), [0_i64]).cast(&instant).expect("an instant");
    frame.with_column(bucket.into()).expect("a column");
    let file = table.write("1970-01-01", frame, &[]).await.expect("written");
    let written = folder.join("store/braid").join(path).join(&file.path);
    let note = Note {
        definition: catalog.definition(&catalog.metrics[metric]),
        cut: Offsets::default(),
        archive_version: 0,
        retired_before: None,
        committed_at_us: 0,
        asked: Asked::default(),
    };
    let commit = Commit::new("RECONCILE", batch_view::DAY, 0).adding([file]);
    table.commit(commit.note(batch_view::NOTE_DOMAIN, &note)).await.expect("committed");
    written
}

fn store_in(folder: &Path) -> settings::Store {
    settings::Store { url: folder.join("store").display().to_string(), ..settings::Store::default() }
}

/// A file whose readers wait until this is dropped.
struct Waits(PathBuf);

impl Waits {
    fn in_place_of(path: &Path) -> Waits {
        std::fs::rename(path, path.with_extension("aside")).expect("renamed");
        let made = Command::new("mkfifo").arg(path).status().expect("run");
        assert!(made.success(), "{made}");
        Waits(path.to_owned())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        // A pipe that is open for writing as well lets its readers go on.
        let _open = std::fs::OpenOptions::new().read(true).write(true).open(&self.0);
        let _ = std::fs::rename(self.0.with_extension("aside"), &self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_takes_long_to_load_holds_up_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = Catalog::parse(CATALOG).expect("a catalog");
    commit(folder.path(), &catalog, "quick").await;
    let waits = Waits::in_place_of(&commit(folder.path(), &catalog, "slow").await);
    let storage = Storage::new(&store_in(folder.path()), &catalog.deployment).expect("a folder");
    let disk = Disk::open(&folder.path().join("serving"), "braid", Size::from_mib(1)).expect("a place");
    let cache = Arc::new(SnapshotCache::new(&catalog, &storage, Arc::new(disk)));
    for version in 1..=3 {
        let snapshot = cache.newer().await.expect("taken");
        assert_eq!(snapshot.view("quick").map(|view| view.version), Some(version));
        assert_eq!(snapshot.unreadable(&catalog.metrics["quick"]), None);
        assert!(snapshot.view("slow").is_none());
        assert_eq!(snapshot.unreadable(&catalog.metrics["slow"]), Some(Unreadable::Loading));
        assert_eq!(snapshot.loading().collect::<Vec<_>>(), ["slow"]);
        assert!(!snapshot.is_whole(&catalog));
        commit(folder.path(), &catalog, "quick").await;
    }
    drop(waits);
    let loaded = async {
        loop {
            let snapshot = cache.newer().await.expect("taken");
            if snapshot.is_whole(&catalog) {
                return snapshot;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let snapshot = tokio::time::timeout(DEADLINE, loaded).await.expect("the slow view is loaded as well");
    assert_eq!(snapshot.view("slow").map(|view| view.version), Some(1));
    assert_eq!(snapshot.view("quick").map(|view| view.version), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_whose_files_or_log_cannot_be_read_hold_up_no_other() {
    let more = ["mute", "slower"]
        .map(|name| format!("[metrics.{name}]\nsource = \"calls\"\n[metrics.{name}.measures]\ncalls = \"count()\"\n"));
    let catalog = Catalog::parse(&format!("{CATALOG}{}", more.concat())).expect("a catalog");
    let folder = tempfile::tempdir().expect("a folder");
    commit(folder.path(), &catalog, "quick").await;
    // As many as may build at the same time.
    let mut waits = Vec::new();
    for metric in ["slow", "slower"] {
        waits.push(Waits::in_place_of(&commit(folder.path(), &catalog, metric).await));
    }
    commit(folder.path(), &catalog, "mute").await;
    let table = folder.path().join("store/braid").join(batch_view::path("v1", "mute"));
    waits.push(Waits::in_place_of(&table.join("_delta_log/00000000000000000001.json")));
    let storage = Storage::new(&store_in(folder.path()), &catalog.deployment).expect("a folder");
    let disk = Disk::open(&folder.path().join("serving"), "braid", Size::from_mib(1)).expect("a place");
    let cache = Arc::new(SnapshotCache::new(&catalog, &storage, Arc::new(disk)));
    let until = async |is_so: &dyn Fn(&Snapshot) -> bool| {
        let taken = async {
            loop {
                let snapshot = cache.newer().await.expect("taken");
                if is_so(&snapshot) {
                    return snapshot;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, taken).await
    };
    for version in 1..=3 {
        let is_newest = |snapshot: &Snapshot| snapshot.view("quick").is_some_and(|view| view.version == version);
        let snapshot = until(&is_newest).await.expect("the others hold it up");
        assert_eq!(snapshot.loading().collect::<Vec<_>>(), ["mute", "slow", "slower"]);
        commit(folder.path(), &catalog, "quick").await;
    }
    drop(waits);
    until(&|snapshot: &Snapshot| snapshot.is_whole(&catalog)).await.expect("the others are loaded as well");
}
