//! Maintenance beside an archiver and a reconcile, on real tables; and a busy day.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use platform::store::{Commit, Committed};
use polars::prelude::{DataType, Schema};
use shared_logic::contracts::archive::{DAY, Facts, OFFSET, PARTITION};
use shared_logic::contracts::batch_view::Note;
use shared_logic::decode::Decoder;
use shared_logic::log::PartitionId;
use shared_logic::time::DAY_US;
use storage::{Archive, ORPHAN_AGE};
use test_kit::{Dice, first_seed, repetitions};

use super::super::*;
use super::bench::{A_DAY, Bench, CATALOG, LOG, damaged};
use super::erasures::erase;
use crate::archive::buffer::Buffer;
use crate::archive::compact;
use crate::archive_rows::record_rows::Incoming;
use crate::maintenance::{self, Pass, Step};
use crate::{archive, rows};

const PARTITIONS: i32 = 2;

/// Payloads of a partition.
type Sent = Vec<String>;

/// Events of three days, some of them copies of others.
fn sent(dice: &mut Dice, count: i64) -> Sent {
    let event = |dice: &mut Dice| {
        let id = dice.between(0, 3 * count);
        let at_ms = id % 3 * A_DAY * 60_000 + id * 1_000;
        format!(r#"{{"house": "h", "id": {id}, "at": {at_ms}, "n": {}, "k": "k{}"}}"#, dice.between(0, 9), id % 5)
    };
    (0..count).map(|_| event(dice)).collect()
}

/// Archives all of that, a few records per commit, as an archiver does: from what is archived on whenever it was overtaken.
async fn archives(storage: Storage, source: Source, sent: Vec<Sent>, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut archive = storage.archive("s").await.expect("read").expect("begun");
    loop {
        archive.refresh().await.expect("read");
        let facts = archive.facts();
        let next_of = |partition: i32| facts.partition(&PartitionId::new(LOG, partition)).expect("begun").next;
        let next: BTreeMap<i32, i64> = (0..PARTITIONS).map(|partition| (partition, next_of(partition))).collect();
        let declared = archive.columns().expect("read");
        let (mut buffer, mut decoder) = (Buffer::new(&source, &declared, LOG, &next), Decoder::new(&source));
        for (partition, offset) in next {
            let records = sent[partition as usize].iter().zip(0_i64..).skip(offset as usize);
            for (payload, offset) in records.take(dice.between(1, 4) as usize) {
                let payload = Some(payload.as_bytes());
                let record = Incoming { partition, offset, timestamp_us: None, key: None, payload, headers: None };
                buffer.push(record, &mut decoder);
            }
        }
        if !buffer.has_progress() {
            return;
        }
        archive::commit::rows(&mut archive, &source, buffer, &BTreeMap::new()).await.expect("tried");
        if dice.chance(20) {
            let schemas = storage::Schemas::new(&storage, "s", &Registry::new(&settings::Registry::default()));
            compact::compact(&mut archive, &source, &schemas, 2).await.expect("compacted");
        }
    }
}

/// Reconciles again and again until a whole archive is counted.
async fn reconciles(reconciler: Reconciler, whole: i64) {
    let metric = &reconciler.catalog.metrics["m"];
    loop {
        let archive = reconciler.storage.archive("s").await.expect("read").expect("begun");
        let mut view = view::create(&reconciler.storage, &reconciler.catalog, metric).await.expect("opened");
        let counted = reconciler.counted(metric, &view, &archive, true).await.expect("read");
        let counted = counted.unwrap_or(Counted::Nothing);
        let (plan, done) =
            reconciler.recount(metric, &view, &counted, &archive, &Rotated::new()).await.expect("recounted");
        let cut: i64 = plan.cut.iter().map(|(_, offset)| offset).sum();
        let committed = reconciler.commit(metric, &mut view, plan, done).await.expect("tried");
        if committed.is_some() && cut == whole {
            return;
        }
    }
}

/// Maintains everything so often.
async fn maintains(reconciler: Reconciler, times: usize) {
    let (stop, now_us) = (CancellationToken::new(), platform::clock::now_us());
    for _ in 0..times {
        let pass = Pass { names: &[], dry_run: false, now_us };
        maintenance::run(&reconciler, pass, &stop).await.expect("maintained");
        tokio::task::yield_now().await;
    }
}

/// Maintains everything until those files are gone, which is certain once nobody else commits any more.
async fn maintains_until_gone(reconciler: Reconciler, unneeded: Vec<PathBuf>) {
    for _ in 0..1_000 {
        maintains(reconciler.clone(), 1).await;
        if unneeded.iter().all(|path| !path.exists()) {
            return;
        }
    }
    panic!("{unneeded:?} are still there");
}

/// Makes every file of the archive and the view old, and adds some that no version needs: in each table one that was never committed,
/// and in the archive one that a commit took out long ago. Returns where these lie.
async fn old_files(bench: &Bench) -> Vec<PathBuf> {
    let long_ago_us = platform::clock::now_us() - 2 * ORPHAN_AGE.as_micros() as i64;
    let mut archive = bench.reconciler.storage.archive("s").await.expect("read").expect("begun");
    let (view, file) = (bench.view().await, archive.files().await.expect("listed").remove(0));
    let of_view = view.files().await.expect("listed").remove(0);
    let columns = archive.columns().expect("read");
    let read = archive.read(std::slice::from_ref(&file), &columns).await.expect("read");
    let frame = rows::compute("read", archive.path(), move || read.collect()).await.expect("decoded");
    let taken_out = archive.write(&file.partition, frame, &[OFFSET]).await.expect("written");
    let adding = archive.begin("TEST").adding([taken_out.clone()]);
    let removing = Commit::new("TEST", DAY, long_ago_us).removing([taken_out.clone()]);
    for commit in [adding, removing] {
        let committed = archive.commit(commit, None).await;
        assert!(matches!(committed, Ok(Committed::At(_))), "{committed:?}");
    }
    let root = bench.folder.path().join(&bench.reconciler.catalog.deployment.name);
    let (of_archive, of_views) = (root.join(archive.path()), root.join(view.path()));
    let mut unneeded = vec![of_archive.join(&taken_out.path)];
    for used in [of_archive.join(&file.path), of_views.join(&of_view.path)] {
        let never_committed = used.with_file_name("never-committed.parquet");
        std::fs::copy(used, &never_committed).expect("copied");
        unneeded.push(never_committed);
    }
    let long_ago = UNIX_EPOCH + Duration::from_micros(long_ago_us as u64);
    let days = [of_archive, of_views].into_iter().flat_map(|table| std::fs::read_dir(table).expect("a folder"));
    for day in days.map(|day| day.expect("listed").path()) {
        let is_data = day.is_dir() && !day.file_name().is_some_and(|name| name.to_string_lossy().starts_with('_'));
        for file in std::fs::read_dir(&day).into_iter().flatten().filter(|_| is_data) {
            let file = std::fs::File::options().write(true).open(file.expect("listed").path()).expect("a file");
            file.set_modified(long_ago).expect("dated");
        }
    }
    unneeded
}

/// Every archived row, by partition and offset.
async fn archived(archive: &Archive) -> Vec<(i32, i64)> {
    let columns: Schema = [(PARTITION.into(), DataType::Int32), (OFFSET.into(), DataType::Int64)].into_iter().collect();
    let read = archive.read(&archive.files().await.expect("listed"), &columns).await.expect("read");
    let rows = rows::compute("read", archive.path(), move || read.collect()).await.expect("decoded");
    let partitions = rows.column(PARTITION).expect("a column").i32().expect("integers").iter().flatten();
    let offsets = rows.column(OFFSET).expect("a column").i64().expect("integers").iter().flatten();
    let mut places: Vec<(i32, i64)> = partitions.zip(offsets).collect();
    places.sort_unstable();
    places
}

/// A fresh archive of what was sent, counted at once.
async fn counted_at_once(sent: &[Sent], seed: u64) -> super::bench::Rows {
    let ids: Vec<PartitionId> = (0..PARTITIONS).map(|partition| PartitionId::new(LOG, partition)).collect();
    let bench = Bench::with(Settings::default(), &ids).await;
    let source = bench.source().clone();
    archives(bench.reconciler.storage.clone(), source, sent.to_vec(), seed).await;
    reconciles(bench.reconciler.clone(), sent.iter().map(|sent| sent.len() as i64).sum()).await;
    bench.rows_of(&bench.view().await).await
}

async fn race(seed: u64) {
    let mut dice = Dice::new(seed);
    let sent: Vec<Sent> = (0..PARTITIONS).map(|_| sent(&mut dice, 60)).collect();
    let whole: i64 = sent.iter().map(|sent| sent.len() as i64).sum();
    let ids: Vec<PartitionId> = (0..PARTITIONS).map(|partition| PartitionId::new(LOG, partition)).collect();
    let bench = Bench::with(Settings::default(), &ids).await;
    let Reconciler { storage, .. } = bench.reconciler.clone();
    // What is needed must stay, however old it is, and what is not needed must go.
    let first: Vec<Sent> = sent.iter().map(|sent| sent[..12].to_vec()).collect();
    archives(storage.clone(), bench.source().clone(), first, seed).await;
    reconciles(bench.reconciler.clone(), 24).await;
    let unneeded = old_files(&bench).await;
    let racing = [
        tokio::spawn(archives(storage, bench.source().clone(), sent.clone(), seed)),
        tokio::spawn(reconciles(bench.reconciler.clone(), whole)),
        tokio::spawn(maintains(bench.reconciler.clone(), 6)),
        tokio::spawn(maintains_until_gone(bench.reconciler.clone(), unneeded)),
    ];
    for task in racing {
        task.await.unwrap_or_else(|error| panic!("BRAID_SEED={seed}: {error}"));
    }
    maintains(bench.reconciler.clone(), 1).await;

    let archive = bench.reconciler.storage.archive("s").await.expect("read").expect("begun");
    let expected: Vec<(i32, i64)> = sent
        .iter()
        .zip(0..)
        .flat_map(|(sent, partition)| (0..sent.len() as i64).map(move |at| (partition, at)))
        .collect();
    assert_eq!(archived(&archive).await, expected, "BRAID_SEED={seed}: each record once");
    let rows = bench.rows_of(&bench.view().await).await;
    assert_eq!(rows, counted_at_once(&sent, seed).await, "BRAID_SEED={seed}: the view");
    let per_day = DataFile::by_partition(archive.files().await.expect("listed"));
    assert!(per_day.values().all(|files| files.len() <= 6), "BRAID_SEED={seed}: {per_day:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_commits_beside_a_pass_no_row_is_lost_or_counted_twice() {
    let first = first_seed();
    for seed in first..first + repetitions(3, 60) {
        race(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_merged_and_not_committed_are_orphans_and_the_next_pass_merges_anew() {
    let mut bench = Bench::new().await;
    for of in 1..=5 {
        bench.archived(&[of, A_DAY + of]).await;
    }
    bench.reconcile(&mut bench.view().await, 10).await.expect("it is the only one");
    let pass = Pass { names: &["s".to_owned()], dry_run: true, now_us: platform::clock::now_us() };
    let stop = CancellationToken::new();
    let planned = maintenance::run(&bench.reconciler, pass, &stop).await.expect("planned");
    let days: Vec<usize> = planned
        .iter()
        .map(|report| match report.step {
            Step::Merged { files, .. } => files,
            _ => panic!("{report}"),
        })
        .collect();
    assert_eq!(days, [5, 5]);
    let before = bench.archive.files().await.expect("listed");
    // As far as a pass came that was killed before its commit.
    let one_day: Vec<DataFile> = DataFile::by_partition(before.clone()).into_values().next().expect("a day");
    let columns = bench.archive.columns().expect("read");
    let rows = bench.archive.read(&one_day, &columns).await.expect("read");
    let frame = rows::compute("read", bench.archive.path(), move || rows.collect()).await.expect("decoded");
    bench.archive.write(&one_day[0].partition, frame, &[OFFSET]).await.expect("written");
    assert!(!bench.archive.refresh().await.expect("read"));
    assert_eq!(bench.archive.files().await.expect("listed"), before);

    let done = maintenance::run(&bench.reconciler, Pass { dry_run: false, ..pass }, &stop).await.expect("maintained");
    assert_eq!(done.len(), 2);
    assert!(bench.archive.refresh().await.expect("read"));
    let files = bench.archive.files().await.expect("listed");
    assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [5, 5]);
    assert_eq!(maintenance::run(&bench.reconciler, Pass { dry_run: false, ..pass }, &stop).await.expect("looked"), []);
    bench.archived(&[3, 6]).await;
    bench.reconcile(&mut bench.view().await, 12).await.expect("it is the only one");
    assert_eq!(bench.read().await, (2, Some(12), 11), "a copy is left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_noted_once_every_table_of_a_source_is_maintained() {
    let mut bench = Bench::new().await;
    bench.archived(&[1, 2, 3]).await;
    bench.reconcile(&mut bench.view().await, 3).await.expect("it is the only one");
    let (stop, now_us) = (CancellationToken::new(), platform::clock::now_us());
    let noted = async || {
        let archive = bench.reconciler.storage.archive("s").await.expect("read").expect("archived");
        archive.maintained_us().await.expect("read")
    };
    let pass = Pass { names: &["s".to_owned()], dry_run: false, now_us };
    maintenance::run(&bench.reconciler, pass, &stop).await.expect("maintained");
    assert_eq!(noted().await, None, "the view was not asked for");
    maintenance::run(&bench.reconciler, Pass { names: &[], ..pass }, &stop).await.expect("maintained");
    assert_eq!(noted().await, Some(now_us));
    damaged(&bench).await;
    let later = Pass { names: &[], now_us: now_us + 1, ..pass };
    assert!(maintenance::run(&bench.reconciler, later, &stop).await.is_err(), "the view does not fit its note");
    assert_eq!(noted().await, Some(now_us), "so it is tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_no_view_has_counted_stay_in_small_files() {
    let mut bench = Bench::new().await;
    for of in 1..=4 {
        bench.archived(&[of]).await;
    }
    bench.reconcile(&mut bench.view().await, 4).await.expect("it is the only one");
    bench.archived(&[5]).await;
    maintains(bench.reconciler.clone(), 1).await;
    assert!(bench.archive.refresh().await.expect("read"));
    let mut rows: Vec<u64> = bench.archive.files().await.expect("listed").iter().map(|file| file.rows).collect();
    rows.sort_unstable();
    assert_eq!(rows, [1, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_erased_records_are_merged_as_they_are() {
    let mut bench = Bench::new().await;
    for of in 1..=5 {
        bench.archived(&[of]).await;
    }
    bench.reconcile(&mut bench.view().await, 5).await.expect("it is the only one");
    assert_eq!(erase(&mut bench, "id = 2", 9).await.events, 1);
    bench.reconcile(&mut bench.view().await, 5).await.expect("it is the only one");
    maintains(bench.reconciler.clone(), 1).await;
    assert!(bench.archive.refresh().await.expect("read"));
    let files = bench.archive.files().await.expect("listed");
    assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [5]);
    let places: Vec<(i32, i64)> = (0..5).map(|at| (0, at)).collect();
    assert_eq!(archived(&bench.archive).await, places);
    assert_eq!(bench.read().await.2, 4);
    assert_eq!(erase(&mut bench, "id = 2", 9).await.events, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_many_small_files_becomes_one_that_counts_the_same_up_to_the_same_cut() {
    let mut bench = Bench::new().await;
    let mut view = bench.view().await;
    // Files so different in size that a reconcile merges none of them: rows of so many buckets.
    for (minute, buckets) in [(1, 22), (2, 7), (3, 1), (4, 1), (5, 1)] {
        let ids: Vec<i64> = (0..buckets).map(|bucket| bucket * 30 + minute).collect();
        bench.archived(&ids).await;
        bench.reconcile(&mut view, bench.next(&super::bench::id())).await.expect("it is the only one");
    }
    assert_eq!(view.files().await.expect("listed").len(), 5);
    let before = (bench.rows_of(&view).await, view.note().map(|note| Note::clone(note)));
    maintains(bench.reconciler.clone(), 1).await;
    assert!(view.refresh().await.expect("read"));
    let after = (bench.rows_of(&view).await, view.note().map(|note| Note::clone(note)));
    assert_eq!(after, before);
    let rows: Vec<u64> = view.files().await.expect("listed").iter().map(|file| file.rows).collect();
    assert_eq!(rows, [22], "one row for each key and bucket");
    bench.archived(&[6, 1]).await;
    bench.reconcile(&mut view, bench.next(&super::bench::id())).await.expect("it is the only one");
    assert_eq!(bench.read().await.2, 33);
}

/// What it takes to open a table.
#[derive(Debug)]
struct Opening {
    /// How many log entries lie behind the newest checkpoint, and are read one after the other.
    entries: usize,
    /// How many files that checkpoint has, and how many bytes.
    parts: usize,
    bytes: u64,
    /// How many files are listed.
    listed: usize,
}

impl Opening {
    /// Of the log in that folder.
    fn of(log: &Path) -> Opening {
        let files = std::fs::read_dir(log).expect("a folder").map(|file| {
            let file = file.expect("listed");
            (file.file_name().to_string_lossy().into_owned(), file.metadata().expect("there").len())
        });
        let files: Vec<(String, u64)> = files.collect();
        let version = |name: &str| name.get(..20).and_then(|number| number.parse::<u64>().ok());
        let checkpoints = || files.iter().filter(|(name, _)| name.contains(".checkpoint."));
        let newest = checkpoints().filter_map(|(name, _)| version(name)).max();
        let parts = checkpoints().filter(|(name, _)| version(name) == newest);
        let behind = files.iter().filter(|(name, _)| name.ends_with(".json") && version(name) > newest);
        Opening {
            entries: behind.count(),
            parts: parts.clone().count(),
            bytes: parts.map(|(_, bytes)| bytes).sum(),
            listed: files.len(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_day_has_few_files_after_a_pass() {
    /// Files of each minute, as a commit a minute leaves them: one of today, and one of an earlier day.
    const MINUTES: i64 = 24 * 60;
    const FILES_MAX: usize = 20;
    let (without_metric, _) = CATALOG.split_once("[metrics.m]").expect("it has one");
    let id = PartitionId::new(LOG, 0);
    let mut bench = Bench::of(without_metric, Settings::default(), std::slice::from_ref(&id)).await;
    let source = bench.source().clone();
    let mut dice = Dice::new(first_seed());
    // An hour is one commit here, because a commit takes longer than what it is made of.
    let (mut files, declared) = (Vec::new(), bench.archive.columns().expect("read"));
    for minute in 0..MINUTES {
        let today_ms = 40 * A_DAY * 60_000;
        let late_ms = dice.between(1, 30) * A_DAY * 60_000;
        let at_ms = [today_ms + minute * 60_000, today_ms + minute * 60_000 + 30_000, today_ms - late_ms + minute];
        let mut buffer = Buffer::new(&source, &declared, LOG, &BTreeMap::from([(0, 3 * minute)]));
        let mut decoder = Decoder::new(&source);
        for (at_ms, offset) in at_ms.into_iter().zip(3 * minute..) {
            let payload = format!(r#"{{"house": "h", "id": {offset}, "at": {at_ms}, "n": 1}}"#);
            let payload = Some(payload.as_bytes());
            let record = Incoming { partition: 0, offset, timestamp_us: None, key: None, payload, headers: None };
            buffer.push(record, &mut decoder);
        }
        files.extend(archive::commit::write(&bench.archive, buffer).await.expect("written"));
        if minute % 60 == 59 {
            let mut facts = bench.archive.facts();
            assert!(facts.advance(&id, 3 * (minute - 59), 3 * (minute + 1)));
            let commit = bench.archive.begin("ARCHIVE").adding(files.split_off(0));
            let committed = bench.archive.commit(commit, Some(facts)).await;
            assert!(matches!(committed, Ok(Committed::At(_))), "{committed:?}");
        }
    }
    assert_eq!(bench.archive.files().await.expect("listed").len() as i64, 2 * MINUTES);
    let pass = Pass { names: &[], dry_run: false, now_us: 41 * DAY_US };
    maintenance::run(&bench.reconciler, pass, &CancellationToken::new()).await.expect("maintained");
    let began = Instant::now();
    let archive = bench.reconciler.storage.archive("s").await.expect("read").expect("archived");
    let log = bench.folder.path().join(&bench.reconciler.catalog.deployment.name).join(bench.archive.path());
    let opening = Opening::of(&log.join("_delta_log"));
    println!("opened within {:?}: {opening:?}", began.elapsed());
    // Nothing of that grows with the history of the table.
    assert_eq!((opening.entries, opening.parts), (0, 1), "{opening:?}");
    assert!(opening.listed <= 200 && opening.bytes <= 1 << 20, "{opening:?}");
    let per_day = DataFile::by_partition(archive.files().await.expect("listed"));
    assert_eq!(per_day.len(), 31);
    let most = per_day.values().map(Vec::len).max().unwrap_or_default();
    assert!(most <= FILES_MAX, "{most} files of one day");
    let places: Vec<(i32, i64)> = (0..3 * MINUTES).map(|offset| (0, offset)).collect();
    assert_eq!(archived(&archive).await, places);
    let before = Facts::clone(archive.note().expect("noted"));
    assert_eq!(before, bench.archive.facts(), "facts are as they were");
}
