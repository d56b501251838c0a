//! Snapshots of lanes: which are found, which are removed, and which are spared.

use std::path::PathBuf;

use platform::settings;
use polars::prelude::{DataType, Schema};
use shared_logic::catalog::Deployment;
use shared_logic::contracts::stream::{CheckedLane, CheckedStreams, Definitions};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Fronts, Piece};
use storage::{Archive, Snapshot, Storage};

async fn created(folder: &tempfile::TempDir) -> Archive {
    let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
    let deployment = Deployment { name: "braid".to_owned(), version: "v1".to_owned() };
    let storage = Storage::new(&settings, &deployment).expect("a store");
    let columns = Schema::from_iter([("a".into(), DataType::Int64)]);
    storage.create_archive("s", &columns).await.expect("created")
}

fn id() -> PartitionId {
    PartitionId::new("log", 0)
}

fn definitions() -> Definitions {
    Definitions::from([("w".to_owned(), "0123456789abcdef".parse().expect("a hash"))])
}

fn snapshot(cursor: i64) -> Snapshot {
    let pieces = vec![Piece { name: "w".to_owned(), bytes: Some(cursor.to_le_bytes().to_vec()) }];
    Snapshot { cursor, fronts: Fronts::new(false), pieces }
}

async fn keep(archive: &Archive, cursors: &[i64]) {
    for cursor in cursors {
        archive.keep_snapshot(&id(), &definitions(), &snapshot(*cursor)).await.expect("kept");
    }
}

/// The cursor of the newest snapshot at or below that one.
async fn newest(archive: &Archive, at_most: i64) -> Option<i64> {
    let found = archive.newest_snapshot(&id(), &definitions(), at_most).await.expect("read");
    found.inspect(|found| assert_eq!(*found, snapshot(found.cursor))).map(|found| found.cursor)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_of_the_last_check_outlives_newer_ones_until_the_next_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = created(&folder).await;
    keep(&archive, &[10, 20, 30]).await;
    archive.spare_snapshot(&id(), &definitions(), 10).await.expect("spared");
    keep(&archive, &[40, 50, 60]).await;
    assert_eq!(archive.remove_snapshots(&id(), &definitions(), 55).await.expect("removed"), 2, "20 and 30");
    for (at_most, found) in [(100, Some(60)), (59, Some(50)), (49, Some(40)), (39, Some(10)), (9, None)] {
        assert_eq!(newest(&archive, at_most).await, found, "at most {at_most}");
    }
    archive.spare_snapshot(&id(), &definitions(), 50).await.expect("spared");
    assert_eq!(archive.remove_snapshots(&id(), &definitions(), 60).await.expect("removed"), 2, "10 and 40");
    assert_eq!((newest(&archive, 49).await, newest(&archive, 59).await), (None, Some(50)));
}

/// The files of snapshots that end so.
async fn files(folder: &tempfile::TempDir, archive: &Archive, ending: &str) -> Vec<PathBuf> {
    let all = archive.snapshot_files().await.expect("listed");
    let of_table = folder.path().join("braid/archive/s");
    all.into_iter()
        .map(|file| of_table.join(file.path))
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

/// T6: what lies beyond is not looked at. T2: what is not as it was written is passed over, and an older one says the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_not_as_it_was_written_is_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = created(&folder).await;
    keep(&archive, &[10, 20, 30, 40]).await;
    assert_eq!((newest(&archive, 39).await, newest(&archive, 40).await), (Some(30), Some(40)));

    let of = |cursor: i64| format!("{cursor:020}.json");
    let torn = files(&folder, &archive, &of(40)).await.remove(0);
    let text = std::fs::read(&torn).expect("read");
    std::fs::write(&torn, &text[..text.len() / 2]).expect("torn");
    assert_eq!(newest(&archive, 100).await, Some(30), "the manifest is torn");

    let others = files(&folder, &archive, &of(30)).await.remove(0);
    let text = std::fs::read_to_string(&others).expect("read");
    std::fs::write(&others, text.replace("0123456789abcdef", "fedcba9876543210")).expect("changed");
    assert_eq!(newest(&archive, 100).await, Some(20), "it is of other definitions");

    // A piece of the same length, which only its checksum tells from the one that was written.
    for piece in files(&folder, &archive, ".bin").await {
        if std::fs::read(&piece).expect("read") == 20_i64.to_le_bytes() {
            std::fs::write(&piece, 21_i64.to_le_bytes()).expect("changed");
        }
    }
    assert_eq!(newest(&archive, 100).await, Some(10), "a piece is another one");
    for piece in files(&folder, &archive, ".bin").await {
        std::fs::remove_file(piece).expect("removed");
    }
    assert_eq!(newest(&archive, 100).await, None, "a piece is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_snapshots_it_is_still_known_how_far_streams_were_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = created(&folder).await;
    assert_eq!(archive.checked_streams("v1").await.expect("read"), None);
    let mut checked = CheckedStreams { at_us: 5, ..CheckedStreams::default() };
    checked.set_lane(CheckedLane {
        log: "log".to_owned(),
        partition: 0,
        offset: 30,
        fronts: Fronts::new(false),
        streams: definitions(),
        incomplete: false,
    });
    archive.note_checked_streams("v1", &checked).await.expect("noted");
    archive.lanes_begin("v1", "progress").await.expect("noted");
    keep(&archive, &[10, 30]).await;
    archive.spare_snapshot(&id(), &definitions(), 10).await.expect("spared");
    assert!(archive.remove_all_snapshots().await.expect("removed") > 0);
    assert_eq!(newest(&archive, 100).await, None);
    assert_eq!(archive.checked_streams("v1").await.expect("read"), Some(checked));
    assert_eq!(archive.checked_streams("v2").await.expect("read"), None);
    assert_eq!(archive.lanes_begin("v1", "another").await.expect("read"), "progress");
    keep(&archive, &[20]).await;
    assert_eq!(newest(&archive, 100).await, Some(20), "lanes go on to keep snapshots");
}
