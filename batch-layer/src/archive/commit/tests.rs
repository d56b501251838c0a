//! Of what is encoded and written, what is committed.
//!
//! - `several`: archivers at random, who all believe whatever they like of their partitions.

mod several;

use std::ops::Range;
use std::path::PathBuf;

use polars::prelude::DataType;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::{LOG, OFFSET};
use shared_logic::decode::Decoder;
use shared_logic::log::PartitionId;
use storage::Storage;

use super::*;
use crate::archive::day_files::Sizes;
use crate::archive_rows::record_rows::{Extent, Incoming};

const CATALOG: &str = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n";

fn catalog(fields: &str) -> Catalog {
    Catalog::parse(&format!("{CATALOG}{fields}")).expect("a valid catalog")
}

/// A store.
struct World {
    folder: tempfile::TempDir,
    storage: Storage,
    source: Source,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = platform::settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let catalog = catalog("");
        let storage = Storage::new(&settings, &catalog.deployment).expect("a store");
        World { folder, storage, source: catalog.sources["s"].clone() }
    }

    /// With the partition's begin as the archive's first version.
    async fn begun() -> World {
        let world = World::new();
        let mut begun = Facts::default();
        begun.begin(&id(), 0);
        let committed = facts(&mut world.archive().await, begun, None).await;
        assert_eq!(committed.expect("tried"), Committed::At(1));
        world
    }

    async fn archive(&self) -> Archive {
        crate::archive::create(&self.storage, &self.source).await.expect("opened")
    }

    /// An archive, and files of five records that are not committed yet, with what these add.
    async fn written(&self) -> (Archive, Appended, Vec<DataFile>) {
        let archive = self.archive().await;
        let buffer = self.read(&archive, 0..5);
        let added = buffer.adds(&self.source, &BTreeMap::new());
        let files = write(&archive, buffer).await.expect("written");
        (archive, added, files)
    }

    /// Records at these offsets, of which every two are encoded as soon as they are read.
    fn read(&self, archive: &Archive, offsets: Range<i64>) -> Buffer {
        self.read_as(&self.source, archive, offsets)
    }

    fn read_as(&self, source: &Source, archive: &Archive, offsets: Range<i64>) -> Buffer {
        let (declared, next) = (archive.columns().expect("read"), BTreeMap::from([(0, offsets.start)]));
        let two = Extent { rows: 2, bytes: usize::MAX };
        let mut buffer = Buffer::new(source, &declared, "log", &next).with_sizes(Sizes { group: two, held: two });
        self.read_into(&mut buffer, offsets);
        buffer
    }

    fn read_into(&self, buffer: &mut Buffer, offsets: Range<i64>) {
        let mut decoder = Decoder::new(&self.source);
        for offset in offsets {
            let payload = Some(br#"{"at": 1000}"#.as_slice());
            let record = Incoming { partition: 0, offset, timestamp_us: None, key: None, payload, headers: None };
            assert_eq!(buffer.push(record, &mut decoder), None);
        }
    }

    async fn commit(&self, archive: &mut Archive, buffer: Buffer) -> Result<Committed, RowsError> {
        rows(archive, &self.source, buffer, &BTreeMap::new()).await
    }

    /// How many files lie in the folders of days, whether a version of the archive names them or not.
    fn files(&self) -> usize {
        let entries = |folder: PathBuf| {
            let entries = std::fs::read_dir(folder).expect("a folder");
            entries.map(|entry| entry.expect("an entry").path())
        };
        let is_day = |path: &PathBuf| path.ends_with("1970-01-01");
        entries(self.folder.path().join("braid/archive/s")).filter(is_day).flat_map(entries).count()
    }
}

fn id() -> PartitionId {
    PartitionId::new("log", 0)
}

fn next(archive: &Archive) -> Option<i64> {
    archive.facts().partition(&id()).map(|known| known.next)
}

/// The log and offset of every row.
async fn archived(archive: &Archive) -> Vec<(String, i64)> {
    let files = archive.files().await.expect("listed");
    let columns = [(LOG.into(), DataType::String), (OFFSET.into(), DataType::Int64)].into_iter().collect::<Schema>();
    let rows = archive.read(&files, &columns).await.expect("read");
    let rows = crate::rows::compute("read rows", archive.path(), move || rows.collect()).await.expect("decoded");
    let logs =
        rows.column(LOG).expect("there").str().expect("texts").iter().map(|log| log.unwrap_or_default().to_owned());
    let offsets = rows.column(OFFSET).expect("there").i64().expect("integers").iter().flatten();
    let mut rows: Vec<(String, i64)> = logs.zip(offsets).collect();
    rows.sort();
    rows
}

fn of_log(log: &str, offsets: Range<i64>) -> Vec<(String, i64)> {
    offsets.map(|offset| (log.to_owned(), offset)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_archivers_of_one_partition_one_commits() {
    let world = World::begun().await;
    let (mut one, mut other, mut late) = (world.archive().await, world.archive().await, world.archive().await);
    let (of_one, of_other) = (world.read(&one, 0..5), world.read(&other, 0..6));
    let first = world.commit(&mut one, of_one).await.expect("tried");
    let second = world.commit(&mut other, of_other).await.expect("tried");
    assert_eq!((first, second), (Committed::At(2), Committed::Conflict));
    assert_eq!(next(&other), Some(5), "the archiver that was too late knows what came first");
    let without_rows = facts(&mut late, Facts::default(), None).await.expect("tried");
    assert_eq!(without_rows, Committed::Conflict, "what follows from all facts is not committed on others");
    let archive = world.archive().await;
    assert_eq!((next(&archive), archived(&archive).await), (Some(5), of_log("log", 0..5)));
    assert_eq!(world.files(), 2, "the rows that came too late are in no version");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_archivers_of_two_partitions_both_commit() {
    let world = World::begun().await;
    let second = PartitionId::new("log", 1);
    world.archive().await.change("BEGIN", |facts| facts.begin(&second, 0)).await.expect("begun");
    let (mut one, mut other) = (world.archive().await, world.archive().await);
    let (of_one, declared) = (world.read(&one, 0..5), other.columns().expect("read"));
    let mut of_other = Buffer::new(&world.source, &declared, "log", &BTreeMap::from([(1, 0)]));
    of_other.reach(1, 3);
    let (first, second_one) = (world.commit(&mut one, of_one).await, world.commit(&mut other, of_other).await);
    assert_eq!((first.expect("tried"), second_one.expect("tried")), (Committed::At(3), Committed::At(4)));
    let known = other.facts();
    assert_eq!(known, world.archive().await.facts());
    let next = |id: &PartitionId| known.partition(id).map(|known| known.next);
    assert_eq!((next(&id()), next(&second)), (Some(5), Some(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_encoded_before_the_log_lost_its_tail_is_not_committed() {
    let world = World::begun().await;
    let (mut one, mut other) = (world.archive().await, world.archive().await);
    let first = world.read(&one, 0..3);
    assert_eq!(world.commit(&mut one, first).await.expect("tried"), Committed::At(2));
    let ahead = world.read(&one, 3..9);
    // Another archiver found that the log holds something else at 2.
    assert!(other.refresh().await.expect("read"));
    let mut lost = other.facts();
    let next = lost.lose_tail(&id(), 2, None).expect("the newest incarnation");
    assert_eq!(facts(&mut other, lost, None).await.expect("tried"), Committed::At(3));

    assert_eq!(world.commit(&mut one, ahead).await.expect("tried"), Committed::Conflict);
    assert_eq!(archived(&one).await, of_log("log", 0..3));
    let declared = one.columns().expect("read");
    let again = Buffer::new(&world.source, &declared, "log", &BTreeMap::from([(0, 2)]));
    let mut again = again.with_incarnations(&BTreeMap::from([(0, next.log.clone())]));
    world.read_into(&mut again, 2..5);
    let mut following = again.following();
    world.read_into(&mut following, 5..6);
    for (buffer, version) in [(again, 4), (following, 5)] {
        assert_eq!(world.commit(&mut one, buffer).await.expect("tried"), Committed::At(version));
    }
    assert_eq!(archived(&one).await, [of_log("log", 0..3), of_log(&next.log, 2..6)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_encoded_is_neither_written_nor_committed() {
    let world = World::begun().await;
    let mut archive = world.archive().await;
    // The ranges of that column cannot be told, as there is none.
    let broken = Source { event_time: "nowhere".to_owned(), ..world.source.clone() };
    // One record is encoded by the commit, four are before it, and of nine most.
    for records in [1, 4, 9] {
        let buffer = world.read_as(&broken, &archive, 0..records);
        let failed = world.commit(&mut archive, buffer).await;
        assert!(matches!(failed, Err(RowsError::Store(StoreError::Frame { .. }))), "{failed:?}");
        assert_eq!((next(&archive), archive.version(), world.files()), (Some(0), 1, 0));
    }
    let buffer = world.read(&archive, 0..9);
    assert_eq!(world.commit(&mut archive, buffer).await.expect("tried"), Committed::At(2));
    assert_eq!(archived(&archive).await, of_log("log", 0..9));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_encoded_or_written_before_an_archiver_ended_belongs_to_no_version() {
    let world = World::begun().await;
    let archive = world.archive().await;
    drop(world.read(&archive, 0..99));
    assert_eq!(world.files(), 0);
    let written = write(&archive, world.read(&archive, 0..5)).await.expect("written");
    assert_eq!((written.len(), world.files()), (1, 1));

    let mut next_one = world.archive().await;
    assert_eq!((next(&next_one), archived(&next_one).await.len()), (Some(0), 0));
    let buffer = world.read(&next_one, 0..7);
    assert_eq!(world.commit(&mut next_one, buffer).await.expect("tried"), Committed::At(2));
    assert_eq!(archived(&next_one).await, of_log("log", 0..7));
    assert_eq!((next_one.remove_orphans().await.expect("looked"), world.files()), (0, 2), "it goes when it is old");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_have_waited_as_long_as_orphans_do_are_read_again() {
    let world = World::begun().await;
    let (mut archive, added, files) = world.written().await;
    // It was frozen, and its files may be gone.
    let now_us = platform::clock::now_us();
    let long_ago_us = now_us - ORPHAN_AGE.as_micros() as i64;
    let late = written(&mut archive, &added, &files, long_ago_us, TRIES).await;
    assert_eq!((late.expect("tried"), next(&archive), archive.version()), (Err(Dropped::WaitedTooLong), Some(0), 1));
    let in_time = written(&mut archive, &added, &files, now_us, TRIES).await;
    assert_eq!((in_time.expect("tried"), next(&archive)), (Ok(2), Some(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_known_why_rows_are_dropped() {
    let world = World::begun().await;
    let (mut one, added, files) = world.written().await;
    let now_us = platform::clock::now_us();
    let second = PartitionId::new("log", 1);
    world.archive().await.change("BEGIN", |facts| facts.begin(&second, 0)).await.expect("begun");
    let once = Tries { most: 1, ..TRIES };
    let only_try = written(&mut one, &added, &files, now_us, once).await;
    assert_eq!(only_try.expect("tried"), Err(Dropped::OthersFirst(1)), "nobody has archived its partition");

    // Somebody declares a column.
    let declares = catalog("a = \"int\"\n");
    let mut other = world.archive().await;
    let columns = missing_columns(&other, &declares.sources["s"]).expect("read").expect("one is missing");
    let known = other.facts();
    let committed = facts(&mut other, known, Some(&columns)).await.expect("tried");
    assert!(matches!(committed, Committed::At(_)));
    let declared = written(&mut one, &added, &files, now_us, TRIES).await;
    assert_eq!(declared.expect("tried"), Err(Dropped::OtherColumns));

    // Somebody archives the partition.
    let of_other = world.read(&other, 0..2);
    assert!(matches!(world.commit(&mut other, of_other).await.expect("tried"), Committed::At(_)));
    let overtaken = written(&mut one, &added, &files, now_us, TRIES).await;
    assert_eq!(overtaken.expect("tried"), Err(Dropped::Overtaken([0].into())));
    let mut closed = other.facts();
    closed.close("log");
    let mut behind = added.clone();
    behind.partitions[0].from = 2;
    assert_eq!(Dropped::by(&closed, &behind), Dropped::OtherLog, "nobody has archived more than it knew of");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_others_come_before_waits_before_it_is_tried_again() {
    let world = World::begun().await;
    let (mut one, added, files) = world.written().await;
    let now_us = platform::clock::now_us();
    let second = PartitionId::new("log", 1);
    world.archive().await.change("BEGIN", |facts| facts.begin(&second, 0)).await.expect("begun");
    let (started, first_wait) = (Instant::now(), Duration::from_secs(2));
    let committed = written(&mut one, &added, &files, now_us, Tries { first_wait, ..TRIES }).await;
    assert_eq!(committed.expect("tried"), Ok(3));
    assert!(started.elapsed() >= first_wait / 2);
}

#[test]
fn waits_are_bounded() {
    let mut backoff = Backoff::new(TRIES.first_wait);
    let longest: Duration = (1..TRIES.most).map(|_| backoff.wait()).sum();
    assert!(longest < Duration::from_secs(5), "{longest:?}: a stop does not wait for longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_added_are_declared_and_those_taken_out_stay() {
    let world = World::new();
    for (fields, are_missing) in [("a = \"int\"", false), ("b = \"float\"", true), ("a = \"int\"", false)] {
        let catalog = catalog(fields);
        let source = &catalog.sources["s"];
        let mut archive = crate::archive::create(&world.storage, source).await.expect("opened");
        let columns = missing_columns(&archive, source).expect("read");
        assert_eq!(columns.is_some(), are_missing, "{fields}");
        let committed = facts(&mut archive, Facts::default(), columns.as_ref()).await.expect("written");
        assert!(matches!(committed, Committed::At(_)));
        assert_eq!(missing_columns(&archive, source).expect("read"), None);
    }
    let archive = world.archive().await;
    let names: Vec<_> = archive.columns().expect("read").iter_names().map(|name| name.to_string()).collect();
    assert_eq!(names[names.len() - 3..], ["at", "a", "b"]);
}
