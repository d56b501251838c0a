//! Writers that slept until the log entries that they knew were deleted.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use deltalake::Path;
use futures::FutureExt;
use object_store::ObjectStoreExt;

use super::clocked::Clocked;
use super::*;

const HOUR_US: i64 = 3_600_000_000;

/// Nothing that is superfluous is kept.
const RETENTION: Retention = Retention { log: Duration::ZERO, tombstones: TOMBSTONE_AGE };

static NOW_US: AtomicI64 = AtomicI64::new(0);

/// An hour later each time that it is asked.
fn now_us() -> i64 {
    NOW_US.fetch_add(HOUR_US, Ordering::Relaxed)
}

/// The version, the note, and the numbers of the rows.
type State = (u64, Option<i64>, Vec<i64>);

async fn state(table: &Table) -> State {
    let files = table.files().await.expect("listed");
    let rows = table.read(&files, &columns()).await.expect("read").collect().expect("decoded");
    let mut numbers: Vec<i64> = rows.column("n").expect("there").i64().expect("integers").iter().flatten().collect();
    numbers.sort_unstable();
    (table.version(), table.note("x").await.expect("read"), numbers)
}

/// A commit of one row, with that note.
async fn addition(table: &Table, n: i64) -> Commit {
    let file = table.write("2026-01-01", frame(&[n]), &["n"]).await.expect("written");
    Commit::new("WRITE", "day", 0).adding([file]).note("x", &n)
}

/// Commits eight times, and writes a checkpoint each other time: the first entries are deleted.
async fn grow(store: Store) {
    let mut table = store.open("a/b").await.expect("read").expect("exists");
    for n in 1..=8 {
        let commit = addition(&table, n).await;
        assert!(matches!(table.commit(commit).await.expect("committed"), Committed::At(_)));
        if n % 2 == 0 {
            table.checkpoint().await.expect("checkpointed");
        }
    }
}

fn entry(version: u64) -> String {
    format!("_delta_log/{}", log_file::entry(version))
}

async fn exists(table: &Table, version: u64) -> bool {
    table.objects().head(&Path::from(entry(version))).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_on_a_version_that_is_long_gone_conflicts_and_leaves_nothing() {
    let store = Clocked::new(now_us).store(RETENTION);
    let mut zombie = store.open_or_create("a/b", &columns(), "day").await.expect("created");
    grow(store.clone()).await;
    let before = state(&store.open("a/b").await.expect("read").expect("exists")).await;
    assert_eq!(before, (8, Some(8), (1..=8).collect()));
    assert!(!exists(&zombie, 1).await, "the number is free");

    let commit = addition(&zombie, 99).await;
    assert_eq!(zombie.commit(commit).await.expect("tried"), Committed::Conflict);
    assert!(!exists(&zombie, 1).await, "nothing was put");
    assert!(zombie.refresh().await.expect("read"));
    assert_eq!(state(&zombie).await, before);
    let commit = addition(&zombie, 9).await;
    assert_eq!(zombie.commit(commit).await.expect("committed"), Committed::At(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_put_where_an_entry_was_deleted_does_not_count() {
    let objects = Clocked::new(now_us);
    let store = objects.store(RETENTION);
    let mut zombie = store.open_or_create("a/b", &columns(), "day").await.expect("created");
    let commit = addition(&zombie, 99).await;
    objects.before_put(&format!("braid/a/b/{}", entry(1)), grow(store.clone()).boxed());
    assert_eq!(zombie.commit(commit).await.expect("tried"), Committed::Conflict);
    assert!(exists(&zombie, 1).await, "it was put, where nobody looks");

    let mut opened = store.open("a/b").await.expect("read").expect("exists");
    assert_eq!(state(&opened).await, (8, Some(8), (1..=8).collect()));
    assert!(zombie.refresh().await.expect("read"));
    assert_eq!(state(&zombie).await, state(&opened).await);
    let commit = addition(&opened, 9).await;
    assert_eq!(opened.commit(commit).await.expect("committed"), Committed::At(9));
    opened.checkpoint().await.expect("checkpointed");
    assert!(!exists(&opened, 1).await, "it goes with the old entries");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_creates_a_table_that_has_long_existed_opens_it() {
    let objects = Clocked::new(now_us);
    let store = objects.store(RETENTION);
    let others = {
        let store = store.clone();
        async move {
            store.open_or_create("a/b", &columns(), "day").await.expect("created");
            grow(store).await;
        }
    };
    objects.before_put(&format!("braid/a/b/{}", entry(0)), others.boxed());
    let table = store.open_or_create("a/b", &columns(), "day").await.expect("opened");
    assert_eq!(state(&table).await, (8, Some(8), (1..=8).collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_retention_reaches_a_table_with_its_next_commit() {
    let objects = Clocked::new(now_us);
    let store = objects.store(RETENTION);
    store.open_or_create("a/b", &columns(), "day").await.expect("created");
    let longer = objects.store(Retention { log: Duration::from_secs(7_200), ..RETENTION });
    let mut table = longer.open("a/b").await.expect("read").expect("exists");
    for n in 1..=2 {
        let commit = addition(&table, n).await;
        assert_eq!(table.commit(commit).await.expect("committed"), Committed::At(n as u64));
        let text = table.objects().get(&Path::from(entry(n as u64))).await.expect("there").bytes().await.expect("read");
        let text = String::from_utf8(text.to_vec()).expect("text");
        let properties =
            ["interval 7200 seconds", "delta.deletedFileRetentionDuration"].map(|part| text.contains(part));
        assert_eq!(properties, [n == 1; 2], "only a commit that changes them says so: {text}");
    }
    assert_eq!(table.columns("day").expect("read"), columns());
    assert_eq!(state(&table).await, (2, Some(2), vec![1, 2]));
}
