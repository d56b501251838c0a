//! Snapshots of lanes: which are found, which are removed, and which are spared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use platform::settings;
use polars::prelude::{DataType, Schema};
use shared_logic::catalog::Deployment;
use shared_logic::contracts::stream::{CheckedLane, CheckedStreams, Definitions, LanesNoted, Stopped};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Fronts, Piece};
use storage::{Archive, Snapshot, Storage};

async fn created(folder: &tempfile::TempDir) -> Archive {
    let settings = settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() };
    let deployment = Deployment::new("braid", "v1");
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
        incomplete: BTreeSet::new(),
    });
    archive.note_checked_streams("v1", &checked).await.expect("noted");
    archive.lanes_begin("v1", "progress").await.expect("noted");
    keep(&archive, &[10, 30]).await;
    archive.spare_snapshot(&id(), &definitions(), 10).await.expect("spared");
    archive.note_published("v1", &id()).await.expect("noted");
    assert!(archive.remove_all_snapshots().await.expect("removed") > 0);
    assert!(has_published(&archive, "v1").await, "which holds no event");
    assert_eq!(newest(&archive, 100).await, None);
    assert_eq!(archive.checked_streams("v1").await.expect("read"), Some(checked));
    assert_eq!(archive.checked_streams("v2").await.expect("read"), None);
    assert_eq!(archive.lanes_begin("v1", "another").await.expect("read"), "progress");
    keep(&archive, &[20]).await;
    assert_eq!(newest(&archive, 100).await, Some(20), "lanes go on to keep snapshots");
}

/// T7: whether a lane of that generation has published, in a deployment whose first version is v1.
async fn has_published(archive: &Archive, generation: &str) -> bool {
    let lanes = Deployment { version: generation.to_owned(), ..Deployment::new("braid", "v1") };
    archive.has_published(&lanes, &definitions(), &id()).await.expect("read")
}

/// A build that knew no versions noted nothing of what was published.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_says_that_a_lane_of_the_first_generation_has_published_and_of_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = created(&folder).await;
    assert!(!has_published(&archive, "v1").await);
    let other = Definitions::from([("w".to_owned(), "fedcba9876543210".parse().expect("a hash"))]);
    archive.keep_snapshot(&id(), &other, &snapshot(10)).await.expect("kept");
    assert!(!has_published(&archive, "v1").await, "it may be another generation's");
    keep(&archive, &[10]).await;
    assert!(has_published(&archive, "v1").await);
    assert!(!has_published(&archive, "v2").await, "which would have noted it");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_lane_stopped_is_noted_until_it_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = created(&folder).await;
    assert_eq!(archive.lanes_noted("v1").await.expect("read"), LanesNoted::default());
    keep(&archive, &[10]).await;
    archive.lanes_begin("v1", "progress-id").await.expect("noted");
    let stopped = |why: &str| Stopped { since_us: 1, tried_us: 2, why: why.to_owned() };
    archive.note_stopped("v1", 0, &stopped("no room")).await.expect("noted");
    archive.note_stopped("v1", 0, &stopped("no right")).await.expect("noted in its place");
    archive.note_stopped("v1", 1, &stopped("no topic")).await.expect("noted");
    archive.note_stopped("v2", 3, &stopped("another generation")).await.expect("noted");
    let noted = archive.lanes_noted("v1").await.expect("read");
    assert_eq!(noted.begun.as_deref(), Some("progress-id"));
    assert_eq!(noted.stopped, BTreeMap::from([(0, stopped("no right")), (1, stopped("no topic"))]));
    assert!(noted.published.is_empty(), "a snapshot may be another generation's");
    archive.note_published("v1", &id()).await.expect("noted");
    archive.note_published("v1", &id()).await.expect("noted again");
    let noted = archive.lanes_noted("v1").await.expect("read");
    assert_eq!(noted.published, [id()].into());
    assert!(has_published(&archive, "v1").await);
    assert!(!has_published(&archive, "v2").await, "it is another generation's");
    assert!(archive.lanes_noted("v2").await.expect("read").published.is_empty());
    archive.forget_stopped("v1", 0).await.expect("forgotten");
    archive.forget_stopped("v1", 7).await.expect("there is none");
    let noted = archive.lanes_noted("v1").await.expect("read");
    assert_eq!(noted.stopped.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(newest(&archive, 100).await, Some(10), "snapshots stay");
}

async fn remove(archive: &Archive, in_use: &[&Definitions], age: Duration) -> usize {
    archive.remove_superseded_snapshots(&id(), in_use, age).await.expect("removed")
}

/// The cursor of the newest snapshot of a lane under those definitions.
async fn found(archive: &Archive, id: &PartitionId, definitions: &Definitions) -> Option<i64> {
    archive.newest_snapshot(id, definitions, 100).await.expect("read").map(|found| found.cursor)
}

/// Under definitions of before a change, which another worker may still have.
#[tokio::test(flavor = "multi_thread")]
async fn snapshots_of_definitions_that_nobody_publishes_by_go_when_they_are_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = created(&folder).await;
    let of = |hash: &str| Definitions::from([("w".to_owned(), hash.parse().expect("a hash"))]);
    let (oldest, published) = (of("00000000000000aa"), of("00000000000000bb"));
    let elsewhere = [PartitionId::new("log", 1), PartitionId::new("log.1", 0)];
    keep(&archive, &[30, 40]).await;
    for definitions in [&oldest, &published] {
        archive.keep_snapshot(&id(), definitions, &snapshot(10)).await.expect("kept");
        archive.keep_snapshot(&id(), definitions, &snapshot(20)).await.expect("kept");
        archive.spare_snapshot(&id(), definitions, 10).await.expect("spared");
    }
    for id in &elsewhere {
        archive.keep_snapshot(id, &oldest, &snapshot(5)).await.expect("kept");
    }
    archive.lanes_begin("v1", "progress").await.expect("noted");
    let (own, hour) = (definitions(), Duration::from_hours(1));
    assert_eq!(
        remove(&archive, &[&own, &published], hour).await,
        0,
        "a worker of an older catalog may have written them just now"
    );
    assert_eq!(
        remove(&archive, &[&own, &published], Duration::ZERO).await,
        5,
        "two manifests, two pieces, and what was spared"
    );
    assert_eq!(found(&archive, &id(), &own).await, Some(40));
    assert_eq!(found(&archive, &id(), &published).await, Some(20));
    assert_eq!(found(&archive, &id(), &oldest).await, None);
    for id in &elsewhere {
        assert_eq!(found(&archive, id, &oldest).await, Some(5), "of other lanes nothing is known");
    }
    assert_eq!(archive.lanes_begun("v1").await.expect("read").as_deref(), Some("progress"));
    assert_eq!(remove(&archive, &[&own], Duration::ZERO).await, 5, "published by this worker since");
    assert_eq!((found(&archive, &id(), &own).await, found(&archive, &id(), &published).await), (Some(40), None));
}
