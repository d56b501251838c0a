//! Tables that appear, change and are replaced while they are followed; facts that two processes change at once.

use std::collections::BTreeMap;
use std::ops::Range;

use platform::settings;
use platform::store::StoreError;
use polars::prelude::{DataType, Schema};
use shared_logic::catalog::Deployment;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;
use storage::{Archive, Storage};

fn storage(folder: &tempfile::TempDir) -> Storage {
    let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
    let deployment = Deployment::new("braid", "v1");
    Storage::new(&settings, &deployment).expect("a store")
}

async fn created(storage: &Storage) -> Archive {
    let columns = Schema::from_iter([("a".into(), DataType::Int64)]);
    storage.create_archive("s", &columns).await.expect("created")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_followed_from_before_it_exists() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = storage(&folder);
    let mut followed = storage.follow_archive("s");
    assert!(followed.newest().await.expect("read").is_none());

    let mut archive = created(&storage).await;
    let found = followed.newest().await.expect("read").expect("a table");
    assert!(found.note().is_none(), "no commit carries facts yet");
    assert!(storage.archive("s").await.expect("read").is_none(), "nothing was archived yet");

    archive.change("BEGIN", |facts| facts.begin(&PartitionId::new("log", 0), 7)).await.expect("committed");
    let found = followed.newest().await.expect("read").expect("a table");
    assert_eq!((found.version(), found.facts()), (archive.version(), archive.facts()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_read_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = storage(&folder);
    let mut archive = created(&storage).await;
    archive.change("BEGIN", |facts| facts.begin(&PartitionId::new("log", 0), 7)).await.expect("committed");
    let mut followed = storage.follow_archive("s");
    followed.newest().await.expect("read").expect("a table");

    let log = folder.path().join("braid/archive/s/_delta_log");
    let away = folder.path().join("away");
    std::fs::rename(&log, &away).expect("moved");
    std::fs::write(&log, "not a folder").expect("written");
    assert!(followed.newest().await.is_err());

    std::fs::remove_file(&log).expect("removed");
    std::fs::rename(&away, &log).expect("moved back");
    let found = followed.newest().await.expect("read").expect("a table");
    assert_eq!(found.facts(), archive.facts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_not_used_while_its_files_do_not_fit_its_note() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = storage(&folder);
    let mut archive = created(&storage).await;
    archive.change("BEGIN", |facts| facts.begin(&PartitionId::new("log", 0), 7)).await.expect("committed");
    let mut followed = storage.follow_archive("s");
    followed.newest().await.expect("read").expect("a table");

    let foreign = folder.path().join("braid/archive/s/_delta_log/00000000000000000002.json");
    let add = r#"{"add":{"path":"d/1.parquet","partitionValues":{"_day":"d"},"size":1,"modificationTime":0,"dataChange":true}}"#;
    std::fs::write(&foreign, add).expect("written");
    assert!(matches!(storage.archive("s").await, Err(StoreError::FilesDiffer { found: 1, noted: 0, .. })));
    assert!(matches!(followed.newest().await, Err(StoreError::FilesDiffer { .. })));

    std::fs::remove_file(&foreign).expect("removed");
    let found = followed.newest().await.expect("read").expect("a table");
    assert_eq!((found.version(), found.facts()), (archive.version(), archive.facts()));
}

/// Logs that began, were archived, and ended.
fn settled(facts: &mut Facts, logs: Range<usize>) {
    for n in logs {
        let log = format!("log-{n:022}");
        for partition in 0..4 {
            let id = PartitionId::new(log.as_str(), partition);
            facts.begin(&id, 0);
            assert!(facts.advance(&id, 0, 1_000));
        }
        facts.close(&log);
        facts.settle(&log, &BTreeMap::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_that_do_not_change_are_not_written_with_every_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = storage(&folder);
    let mut archive = created(&storage).await;
    let first = |facts: &mut Facts| {
        facts.keep_bytes(&"rules".into(), None);
        settled(facts, 0..470);
    };
    archive.change("LOGS", first).await.expect("committed");
    let mut followed = storage.follow_archive("s");
    let mut sizes = Vec::new();
    for n in 470..500 {
        archive.change("LOG", |facts| settled(facts, n..n + 1)).await.expect("committed");
        let entry = format!("braid/archive/s/_delta_log/{:020}.json", archive.version());
        sizes.push(std::fs::metadata(folder.path().join(entry)).expect("written").len());
        let found = followed.newest().await.expect("read").expect("a table");
        assert_eq!((found.version(), found.facts()), (archive.version(), archive.facts()), "log {n}");
    }
    let read = storage.archive("s").await.expect("read").expect("a table");
    assert_eq!(read.facts(), archive.facts());
    assert_eq!(read.facts().logs.len(), 500);

    // Beside what rests, a commit writes 16 logs at most.
    sizes.sort_unstable();
    let whole = serde_json::to_string(&read.facts()).expect("written").len() as u64;
    assert!(sizes[26] < whole / 10, "{sizes:?} of {whole}");
    // An older checkpoint holds what rests, too.
    archive.checkpoint().await.expect("written");
    for n in 500..503 {
        archive.change("LOG", |facts| settled(facts, n..n + 1)).await.expect("committed");
    }
    let read = storage.archive("s").await.expect("read").expect("a table");
    assert_eq!(read.facts(), archive.facts());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_facts_both_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = storage(&folder);
    let (mut one, mut other) = (created(&storage).await, created(&storage).await);
    one.change("BEGIN", |facts| facts.begin(&PartitionId::new("log", 0), 7)).await.expect("committed");
    other.change("BEGIN", |facts| facts.begin(&PartitionId::new("log", 1), 9)).await.expect("committed on a retry");
    let begun: Vec<_> = other.facts().partitions().map(|(id, known)| (id.partition, known.begin)).collect();
    assert_eq!(begun, [(0, 7), (1, 9)]);

    let version = other.version();
    other.change("BEGIN", |facts| facts.begin(&PartitionId::new("log", 1), 9)).await.expect("nothing to do");
    assert_eq!(other.version(), version, "a change that changes nothing is no commit");
}
