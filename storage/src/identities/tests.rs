use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use platform::settings;
use polars::prelude::Schema;
use shared_logic::catalog::Deployment;
use shared_logic::identity::Identity;
use shared_logic::log::PartitionId;
use test_kit::{Dice, first_seed, repetitions};

use super::*;
use crate::Storage;

const DAY: &str = "2026-04-24";
/// Identity, partition, offset.
type Row = (Identity, PartitionId, i64);

fn rules() -> RulesHash {
    RulesHash::from("00000000000000aa")
}

/// In memory where that is possible: what is tested here does not depend on whether a file is durable.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

async fn archive(folder: &Path) -> Archive {
    let settings = settings::Store { url: folder.display().to_string(), ..settings::Store::default() };
    let deployment = Deployment::new("braid", "v1");
    let storage = Storage::new(&settings, &deployment).expect("a store");
    storage.create_archive("s", &Schema::default()).await.expect("created")
}

/// Few enough for copies to be common, and some that agree with others in many of their first bits.
fn identity(dice: &mut Dice) -> Identity {
    let mut bits = Dice::new(dice.below(60) as u64);
    let (first, second) = (bits.throw(), bits.throw());
    match dice.below(4) {
        0 => Identity(first, second ^ 1),
        1 => Identity(first ^ (1 << dice.below(64)), second),
        _ => Identity(first, second),
    }
}

fn row(dice: &mut Dice) -> Row {
    let id = PartitionId::new(*dice.pick(&["log", "log.1"]), dice.between(0, 2) as i32);
    let offset = if dice.chance(50) { dice.between(0, 99) } else { dice.between(0, 1 << 50) };
    (identity(dice), id, offset)
}

fn entries(rows: &[Row]) -> Entries {
    let mut entries = Entries::default();
    rows.iter().for_each(|(identity, id, offset)| entries.push(*identity, &id.log, id.partition, *offset));
    entries
}

/// What the runs hold of those identities.
async fn found(archive: &Archive, runs: &[Run], wanted: &[Identity]) -> BTreeSet<Row> {
    let mut rows = BTreeSet::new();
    for run in runs {
        let found = archive.find(run, wanted).await.expect("read");
        rows.extend(found.places.into_iter().map(|(at, id, offset)| (wanted[at], id, offset)));
    }
    rows
}

/// Of copies in one partition, the first and the last.
fn ends(rows: &[Row]) -> BTreeSet<Row> {
    let mut sorted = rows.to_vec();
    sorted.sort();
    let of_event = sorted.chunk_by(|a, b| (a.0, &a.1) == (b.0, &b.1));
    of_event.flat_map(|copies| copies.first().into_iter().chain(copies.last())).cloned().collect()
}

/// No copy that the runs name is overlooked, and none is made up, however entries are divided and merged.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_written_is_found_and_nothing_else() {
    let folder = folder();
    let archive = archive(folder.path()).await;
    for seed in (first_seed()..).take(repetitions(20, 400)) {
        let mut dice = Dice::new(seed);
        let rows_max = *dice.pick(&[2, 8, 30, 10_000]);
        let (mut runs, mut written): (Vec<Run>, Vec<Row>) = (Vec::new(), Vec::new());
        for _ in 0..dice.between(1, 12) {
            let rows: Vec<Row> = (0..dice.between(1, 40)).map(|_| row(&mut dice)).collect();
            runs.push(archive.write_run(&rules(), DAY, entries(&rows)).await.expect("written"));
            written.extend(rows);
            if dice.chance(30) {
                runs = archive.merge_runs(&rules(), DAY, runs, rows_max).await.expect("merged");
            }
        }
        let mut wanted: Vec<Identity> = (0..80).map(|_| identity(&mut dice)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let is_wanted = |row: &&Row| wanted.binary_search(&row.0).is_ok();
        let expected: Vec<Row> = written.iter().filter(is_wanted).cloned().collect();
        // Runs may hold further copies of one partition, which lie between the first and the last.
        let seen: Vec<Row> = found(&archive, &runs, &wanted).await.into_iter().collect();
        assert_eq!(ends(&seen), ends(&expected), "BRAID_SEED={seed}, runs of at most {rows_max}");
        assert!(seen.iter().all(|row| expected.contains(row)), "BRAID_SEED={seed}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_reads_few_entries_and_an_entry_takes_few_bytes() {
    let folder = folder();
    let archive = archive(folder.path()).await;
    let (mut dice, mut rows) = (Dice::new(1), Vec::new());
    for offset in 0..100_000_i64 {
        let id = PartitionId::new("log", (offset % 64) as i32);
        rows.push((Identity(dice.throw(), dice.throw()), id, 1_000_000_000 + offset * 64));
    }
    let run = &archive.write_run(&rules(), DAY, entries(&rows)).await.expect("written");
    let bytes = run.size as f64 / run.rows as f64;
    assert!(bytes < 20.0, "an entry takes {bytes} bytes");

    let mut wanted: Vec<Identity> = rows.iter().step_by(100).map(|(identity, ..)| *identity).collect();
    wanted.sort_unstable();
    let found_them = archive.find(run, &wanted).await.expect("read");
    assert_eq!(found_them.places.len(), 1_000);
    assert!(found_them.read < 1_020, "{} entries were read for 1,000", found_them.read);
    let mut others: Vec<Identity> = (0..1_000).map(|_| Identity(dice.throw(), dice.throw())).collect();
    others.sort_unstable();
    let found_others = archive.find(run, &others).await.expect("read");
    assert_eq!(found_others.places, []);
    assert!(found_others.read < 20, "{} entries were read for nothing", found_others.read);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_runs_are_divided_and_a_look_reads_only_those_of_its_prefix() {
    let folder = folder();
    let archive = archive(folder.path()).await;
    let mut dice = Dice::new(1);
    let (mut runs, mut written): (Vec<Run>, Vec<Row>) = (Vec::new(), Vec::new());
    for offset in 0..60 {
        let rows: Vec<Row> = (0..10)
            .map(|n| (Identity(dice.throw(), dice.throw()), PartitionId::new("log", 0), offset * 10 + n))
            .collect();
        runs.push(archive.write_run(&rules(), DAY, entries(&rows)).await.expect("written"));
        runs = archive.merge_runs(&rules(), DAY, runs, 100).await.expect("merged");
        written.extend(rows);
    }
    assert_eq!(runs.iter().map(|run| run.rows).sum::<u64>(), 600);
    assert!(runs.iter().all(|run| run.rows <= 250), "{runs:?}");
    for (identity, id, offset) in written {
        let of_prefix = runs.iter().filter(|run| !run.prefix.among(&[identity]).is_empty()).cloned();
        let of_prefix: Vec<Run> = of_prefix.collect();
        assert!(of_prefix.len() < 20, "{} of {} runs", of_prefix.len(), runs.len());
        assert_eq!(found(&archive, &of_prefix, &[identity]).await, BTreeSet::from([(identity, id, offset)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_run_are_its_entries_however_long_their_prefixes_and_few_its_blocks() {
    let folder = folder();
    let archive = archive(folder.path()).await;
    for (seed, count) in (1..).zip([1, 20, 400, 10_000]) {
        let mut dice = Dice::new(seed);
        let row = |offset: i64| (Identity(dice.throw(), dice.throw()), PartitionId::new("log", 0), offset);
        let rows: Vec<Row> = (0..count).map(row).collect();
        let run = archive.write_run(&rules(), DAY, entries(&rows)).await.expect("written");
        let opened = archive.opened(&run).await.expect("read");
        for bits in [0, 1, 4, 8] {
            let mut found: BTreeSet<Row> = BTreeSet::new();
            for prefix in Prefix::default().divided(bits) {
                let part = archive.entries_with(&opened, prefix).await.expect("read");
                assert!(part.rows.iter().all(|entry| Prefix::of(entry.identity, bits) == prefix), "{count}, {bits}");
                let place = |entry: &super::entries::Entry| part.partitions[entry.partition as usize].clone();
                found.extend(part.rows.iter().map(|entry| (entry.identity, place(entry), entry.offset)));
            }
            assert_eq!(
                found,
                rows.iter().cloned().collect::<BTreeSet<Row>>(),
                "{count} entries, prefixes of {bits} bits"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_copies_in_one_partition_a_run_keeps_two() {
    let folder = folder();
    let archive = archive(folder.path()).await;
    let copy = |partition: i32, offset: i64| (Identity(7, 7), PartitionId::new("log", partition), offset);
    let all: Vec<Row> = (0..900).map(|offset| copy(offset as i32 % 3, offset)).collect();
    let run = archive.write_run(&rules(), DAY, entries(&all)).await.expect("written");
    let kept: BTreeSet<Row> =
        [0, 1, 2].into_iter().flat_map(|at| [copy(at, at.into()), copy(at, i64::from(at) + 897)]).collect();
    assert_eq!((run.rows, found(&archive, &[run], &[Identity(7, 7)]).await), (6, kept));
}

/// An index of one run, which covers the offsets up to `next`, as the successor of what is kept.
async fn extended(archive: &Archive, next: i64) -> Identities {
    let mut index = archive.identities(&rules()).await.expect("read");
    let rows = [(Identity(next as u64, 0), PartitionId::new("log", 0), next - 1)];
    let run = archive.write_run(&rules(), DAY, entries(&rows)).await.expect("written");
    index.days.entry(DAY.to_owned()).or_default().push(run);
    index.covered.set(PartitionId::new("log", 0), next);
    index
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_extend_an_index_at_once_one_does() {
    let folder = folder();
    let archive = archive(folder.path()).await;
    let (mut one, mut other) = (extended(&archive, 1).await, extended(&archive, 2).await);
    assert!(archive.keep_identities(&rules(), &mut one).await.expect("tried"));
    assert!(!archive.keep_identities(&rules(), &mut other).await.expect("tried"));
    assert_eq!(archive.identities(&rules()).await.expect("read"), one);
    let mut next = extended(&archive, 2).await;
    assert!(archive.keep_identities(&rules(), &mut next).await.expect("tried"), "it has looked again");
    assert_eq!(archive.identities(&rules()).await.expect("read").runs(DAY).len(), 2);
    let others = RulesHash::from("00000000000000bb");
    assert_eq!(archive.identities(&others).await.expect("read"), Identities::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_which_a_run_is_missing_or_damaged_is_not_used() {
    let folder = folder();
    let archive = archive(folder.path()).await;
    let mut kept = extended(&archive, 1).await;
    assert!(archive.keep_identities(&rules(), &mut kept).await.expect("tried"));
    let run = &kept.runs(DAY)[0];
    let path = folder.path().join("braid/archive/s").join(&run.path);
    let bytes = std::fs::read(&path).expect("read");
    let damaged = [&bytes[..bytes.len() - 1], &[0; 40], b""];
    for bytes in damaged {
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(archive.identities(&rules()).await.expect("read"), kept.emptied());
        assert!(archive.find(run, &[Identity(1, 0)]).await.is_err());
    }
    // The numbers of the entries in its only block, which nothing but a look at that block meets.
    let header = 12 + u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
    for (first, behind) in [(u32::MAX, u32::MAX), (0, 2), (1, 0)] {
        let mut damaged = bytes.clone();
        damaged[header..header + 4].copy_from_slice(&first.to_le_bytes());
        damaged[header + 4..header + 8].copy_from_slice(&behind.to_le_bytes());
        std::fs::write(&path, damaged).expect("written");
        let found = archive.find(run, &[Identity(1, 0)]).await;
        assert!(matches!(found, Err(StoreError::Foreign { .. })), "{first}, {behind}: {found:?}");
    }
    std::fs::write(&path, &bytes).expect("written");
    assert_eq!(archive.identities(&rules()).await.expect("read"), kept);
    std::fs::remove_file(&path).expect("removed");
    let mut anew = archive.identities(&rules()).await.expect("read");
    assert_eq!(anew, kept.emptied());
    assert!(archive.keep_identities(&rules(), &mut anew).await.expect("tried"), "it follows the list that is not used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_kept_as_long_as_a_reconcile_may_still_look_into_it() {
    let folder = folder();
    let archive = archive(folder.path()).await;
    let root = folder.path().join("braid/archive/s");
    let mut older = extended(&archive, 1).await;
    assert!(archive.keep_identities(&rules(), &mut older).await.expect("tried"));
    let list = |number: u64| format!("_identities/{}/{number:020}.json", rules());
    let age = |path: &str, hours: u64| {
        let now = UNIX_EPOCH + Duration::from_micros(platform::clock::now_us() as u64);
        let file = std::fs::File::options().write(true).open(root.join(path)).expect("a file");
        file.set_modified(now - Duration::from_secs(hours * 3600)).expect("dated");
    };
    let run = older.runs(DAY)[0].path.clone();
    age(&list(1), 9);
    age(&run, 9);
    // Its only run is merged into another, just now.
    let mut newer = extended(&archive, 2).await;
    newer.days.get_mut(DAY).expect("a day").remove(0);
    assert!(archive.keep_identities(&rules(), &mut newer).await.expect("tried"));
    assert_eq!(
        archive.remove_identities(&rules()).await.expect("looked"),
        0,
        "a reconcile may have read the first list"
    );
    age(&list(2), 2);
    age(&newer.runs(DAY)[0].path, 2);
    assert_eq!(archive.remove_identities(&rules()).await.expect("removed"), 2, "the first list and its run");
    assert!(!root.join(&run).exists());
    assert_eq!(archive.identities(&rules()).await.expect("read"), newer);
    let others = RulesHash::from("00000000000000bb");
    assert_eq!(archive.remove_identities(&others).await.expect("looked"), 0, "another catalog may use it");
    age(&list(2), 24 * 8);
    age(&newer.runs(DAY)[0].path, 24 * 8);
    assert_eq!(archive.remove_identities(&others).await.expect("removed"), 2);
}
