//! Three days of commits, one a minute, by a clock that the test sets: what a table keeps stays bounded, and no reader of the last
//! hour loses a file.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use deltalake::Path;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::clocked::Clocked;
use super::*;

const MINUTE_US: i64 = 60_000_000;
const HOUR: Duration = Duration::from_secs(3600);
/// How long it is played, in minutes.
const MINUTES: i64 = 3 * DAY;
const DAY: i64 = 24 * 60;
/// How many minutes lie between two checkpoints.
const CHECKPOINT_EVERY: i64 = 30;

static NOW_US: AtomicI64 = AtomicI64::new(0);

fn now_us() -> i64 {
    NOW_US.load(Ordering::Relaxed)
}

/// Who writes a checkpoint decides by the machine's clock which tombstones are over, and that clock cannot be set. So they are
/// kept for as much longer as the played time lies in the past.
fn retention() -> Retention {
    let behind_us = crate::clock::now_us() - now_us();
    let behind = Duration::from_micros(u64::try_from(behind_us).expect("the past is played"));
    Retention { log: HOUR, tombstones: TOMBSTONE_AGE + behind }
}

async fn opened(objects: &Arc<Clocked>) -> Table {
    objects.store(retention()).open("a/b").await.expect("read").expect("exists")
}

async fn paths(table: &Table) -> BTreeSet<String> {
    table.files().await.expect("listed").into_iter().map(|file| file.path).collect()
}

/// The version, the note and the files.
async fn state(table: &Table) -> (u64, Option<i64>, BTreeSet<String>) {
    (table.version(), table.note("x").await.expect("read"), paths(table).await)
}

/// The partition of that minute.
fn day(minute: i64) -> String {
    format!("2026-01-{:02}", 1 + (minute - 1) / DAY)
}

/// Writes the row of that minute. At the end of an hour its files become one, and at the end of a day those of its hours.
async fn play(table: &mut Table, minute: i64) {
    let day = day(minute);
    let file = table.write(&day, frame(&[minute]), &["n"]).await.expect("written");
    let commit = Commit::new("WRITE", "day", now_us()).adding([file]).note("x", &minute);
    assert!(matches!(table.commit(commit).await.expect("committed"), Committed::At(_)));
    for (every, rows) in [(60, 1), (DAY, 60)] {
        if minute % every == 0 {
            let merged: Vec<i64> = (minute - every + 1..=minute).collect();
            let one = table.write(&day, frame(&merged), &["n"]).await.expect("written");
            let files = table.files().await.expect("listed").into_iter();
            let old = files.filter(|file| file.rows == rows && file.partition == day);
            let commit = Commit::new("COMPACT", "day", now_us()).adding([one]).removing(old).same_rows();
            assert!(matches!(table.commit(commit).await.expect("committed"), Committed::At(_)));
        }
    }
}

/// The files of the table's folder whose paths `is_such` accepts.
async fn objects_of(table: &Table, is_such: impl Fn(&str) -> bool) -> Vec<ObjectMeta> {
    let all: Vec<ObjectMeta> = table.objects().list(None).try_collect().await.expect("listed");
    all.into_iter().filter(|object| is_such(object.location.as_ref())).collect()
}

/// The bytes of the newest checkpoint, once it was checked that there is no more than an hour needs.
async fn bounded(table: &Table) -> u64 {
    let entries = objects_of(table, |path| path.starts_with("_delta_log") && path.ends_with(".json")).await.len();
    let checkpoints = objects_of(table, |path| path.ends_with(".checkpoint.parquet")).await;
    let data = objects_of(table, |path| path.ends_with(".parquet") && !path.starts_with("_delta_log")).await.len();
    assert!(entries <= 130, "{entries} log entries");
    assert!(checkpoints.len() <= 3, "{} checkpoints", checkpoints.len());
    assert!(data <= 300, "{data} data files");
    checkpoints.iter().map(|checkpoint| checkpoint.size).max().expect("a checkpoint")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_days_of_commits_only_what_the_last_hour_needs_is_left() {
    let begin_us = crate::clock::now_us() - MINUTES * MINUTE_US;
    NOW_US.store(begin_us, Ordering::Relaxed);
    let objects = Clocked::new(now_us);
    let mut writer = objects.store(retention()).open_or_create("a/b", &columns(), "day").await.expect("created");
    let (mut follower, mut sleeper, mut zombie) = (writer.clone(), writer.clone(), writer.clone());
    // What readers of the last hour may still use: the minute until which that version was the newest, and its files.
    let mut used: VecDeque<(i64, BTreeSet<String>)> = VecDeque::new();
    let mut largest_checkpoints = [0; 3];
    for minute in 1..=MINUTES {
        NOW_US.store(begin_us + minute * MINUTE_US, Ordering::Relaxed);
        let cleans = minute % CHECKPOINT_EVERY == 0;
        if cleans {
            writer = opened(&objects).await;
            used.retain(|(seen, _)| minute - seen <= 60);
            for path in used.iter().flat_map(|(_, paths)| paths) {
                let file = follower.objects().head(&Path::from(path.as_str())).await;
                assert!(file.is_ok(), "minute {minute}: {path} is gone, and a reader of the last hour needs it");
            }
            assert!(follower.refresh().await.expect("read"));
            let followed = state(&follower).await;
            assert_eq!(followed, state(&writer).await, "minute {minute}");
            used.push_back((minute, followed.2));
        }
        play(&mut writer, minute).await;
        if cleans {
            writer.checkpoint().await.expect("checkpointed");
            writer.remove_orphans(HOUR, &HashSet::new()).await.expect("removed");
            let largest = &mut largest_checkpoints[((minute - 1) / DAY) as usize];
            *largest = bounded(&writer).await.max(*largest);
        }
        if minute % (DAY + 7) == 0 {
            assert!(sleeper.refresh().await.expect("read"), "it slept for a day");
            assert_eq!(state(&sleeper).await, state(&writer).await, "minute {minute}");
        }
    }
    assert!(largest_checkpoints[2] < largest_checkpoints[0] * 3 / 2, "checkpoints grow: {largest_checkpoints:?}");

    let whole = opened(&objects).await;
    assert_eq!(state(&whole).await, state(&writer).await);
    let rows = whole.read(&whole.files().await.expect("listed"), &columns()).await.expect("read");
    let rows = rows.sort(["n"], SortMultipleOptions::default()).collect().expect("decoded");
    assert_eq!(rows, frame(&(1..=MINUTES).collect::<Vec<_>>()));
    let file = zombie.write("2026-01-01", frame(&[0]), &["n"]).await.expect("written");
    let commit = Commit::new("WRITE", "day", now_us()).adding([file]);
    assert_eq!(zombie.commit(commit).await.expect("tried"), Committed::Conflict, "it stands before the first day");
    assert_eq!(state(&opened(&objects).await).await, state(&whole).await);
}
