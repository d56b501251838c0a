//! Random archives, recounted in several reconciles of which two run at once: every version of the view holds what a
//! count by hand gives for all records below its cut.

use std::collections::BTreeSet;

use shared_logic::log::{Offsets, PartitionId};
use test_kit::{Dice, first_seed, repetitions};

use super::super::*;
use super::bench::{Bench, Event, GRAIN_MS, Record, Rows, recount};

/// In the order in which the archive meets them, which is not that of their names.
const LOGS: [&str; 2] = ["z", "a"];
const PARTITIONS: i32 = 2;
const STEPS: usize = 24;
const DAYS: i64 = 3;
const DAY_MS: i64 = 86_400_000;
/// Of each day, so that an hour has several buckets, and a day hours that are not touched.
const MINUTES: [i64; 5] = [0, 29, 31, 7 * 60, 23 * 60 + 59];
/// Few, so that copies meet across commits, partitions, logs and reconciles, and houses have the same ids.
const IDS: i64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn any_reconciles_count_what_a_count_by_hand_does() {
    let (mut commits, mut conflicts) = (0, 0);
    for seed in (first_seed()..).take(repetitions(8, 300)) {
        // The last line that is printed names the seed of a failure.
        println!("BRAID_SEED={seed}");
        let mut walk = Walk::new(seed).await;
        for _ in 0..STEPS {
            walk.step().await;
        }
        walk.ends().await;
        (commits, conflicts) = (commits + walk.committed, conflicts + walk.conflicted);
    }
    assert!(conflicts > 0 && commits > conflicts, "{commits} commits and {conflicts} conflicts");
}

/// A reconcile that runs step by step, beside another.
struct Running {
    view: BatchView,
    archive: Archive,
    plan: Plan,
    files: Vec<DataFile>,
}

struct Walk {
    dice: Dice,
    bench: Bench,
    records: Vec<Record>,
    running: [Option<Running>; 2],
    /// The cut of the newest version.
    cut: Offsets,
    committed: u64,
    conflicted: u64,
}

impl Walk {
    async fn new(seed: u64) -> Walk {
        let bench = Bench::with(Settings::default(), &partitions()).await;
        Walk {
            dice: Dice::new(seed),
            bench,
            records: Vec::new(),
            running: [None, None],
            cut: Offsets::default(),
            committed: 0,
            conflicted: 0,
        }
    }

    async fn step(&mut self) {
        if self.dice.chance(30) {
            return self.archives().await;
        }
        let at = self.dice.below(self.running.len());
        match self.running[at].take() {
            None => {
                let rotated = self.rotated();
                self.running[at] = Some(self.recounts(&rotated).await);
            }
            Some(running) => self.commits(running).await,
        }
    }

    /// Everything that is archived is recounted, and nothing runs beside it.
    async fn ends(&mut self) {
        let last = self.recounts(&Rotated::new()).await;
        self.commits(last).await;
        let everything: Offsets = partitions().into_iter().map(|id| (id.clone(), self.bench.next(&id))).collect();
        assert_eq!(self.cut, everything, "without shards the cut is what is archived");
    }

    /// Archives some records of one log: some are copies, some are invalid, and some offsets hold no record.
    async fn archives(&mut self) {
        let log = *self.dice.pick(&LOGS);
        let mut records = Vec::new();
        for id in partitions().into_iter().filter(|id| id.log == log) {
            let mut offset = self.bench.next(&id);
            for _ in 0..self.dice.below(5) {
                offset += i64::from(self.dice.chance(10));
                let event = if self.dice.chance(10) { None } else { Some(self.event()) };
                records.push(Record { id: id.clone(), offset, event });
                offset += 1;
            }
        }
        if !records.is_empty() {
            self.bench.archive_these(log, &records).await;
            self.records.extend(records);
        }
    }

    fn event(&mut self) -> Event {
        let at_ms = self.dice.between(0, DAYS - 1) * DAY_MS + *self.dice.pick(&MINUTES) * 60_000;
        let (house, k) = (*self.dice.pick(&["h", "j"]), *self.dice.pick(&[None, Some(""), Some("a")]));
        Event { house, id: self.dice.between(0, IDS - 1), at_ms, k, n: self.dice.between(-9, 9) }
    }

    /// Slices of some of the shards, anywhere up to a little beyond what is archived. The others are missing.
    fn rotated(&mut self) -> Rotated {
        let mut rotated = Rotated::new();
        for id in partitions() {
            if self.dice.chance(80) {
                let beyond = self.bench.next(&id) + 2;
                let mut slices: Vec<i64> = (0..3).map(|_| self.dice.between(0, beyond)).collect();
                slices.sort_unstable();
                slices.dedup();
                rotated.insert(id, slices);
            }
        }
        rotated
    }

    async fn recounts(&self, rotated: &Rotated) -> Running {
        let (view, archive) = (self.bench.view().await, self.bench.archive.clone());
        let (plan, files) = recount(&self.bench.reconciler, &view, &archive, rotated).await;
        Running { view, archive, plan, files }
    }

    /// Commits unless the other did since, and compares the new version with a count by hand.
    async fn commits(&mut self, running: Running) {
        let Running { mut view, archive, plan, files } = running;
        let is_newest = view.version() == self.bench.view().await.version();
        let committed = self.bench.reconciler.commit(self.bench.metric(), &mut view, plan, files).await.expect("tried");
        assert_eq!(committed.is_some(), is_newest, "of two on one version, one commits");
        if committed.is_none() {
            self.conflicted += 1;
            return;
        }
        self.committed += 1;
        let newest = self.bench.view().await;
        let cut = newest.note().expect("committed").cut.clone();
        for id in partitions() {
            let (before, now) = (self.cut.get(&id).unwrap_or(0), cut.get(&id).expect("it is begun"));
            let archived = archive.facts().partition(&id).expect("begun").next;
            assert!(before <= now && now <= archived, "{id}: the cut moved from {before} to {now} of {archived}");
        }
        assert_eq!(
            self.bench.rows_of(&newest).await,
            by_hand(&self.records, &cut),
            "below {cut:?}: {:?}",
            self.records
        );
        self.cut = cut;
    }
}

fn partitions() -> Vec<PartitionId> {
    LOGS.iter().flat_map(|log| (0..PARTITIONS).map(move |partition| PartitionId::new(*log, partition))).collect()
}

/// Of the copies of an event below the cut, the first counts: by log, partition and offset.
fn by_hand(records: &[Record], cut: &Offsets) -> Rows {
    let order = |id: &PartitionId| partitions().iter().position(|other| other == id);
    let mut below: Vec<&Record> =
        records.iter().filter(|record| cut.get(&record.id).is_some_and(|cut| record.offset < cut)).collect();
    below.sort_by_key(|record| (order(&record.id), record.offset));
    let (mut seen, mut rows) = (BTreeSet::new(), Rows::new());
    for event in below.into_iter().filter_map(|record| record.event.as_ref()) {
        if seen.insert((event.house, event.id, event.at_ms)) {
            let bucket_us = (event.at_ms - event.at_ms % GRAIN_MS) * 1_000;
            let row = rows.entry((bucket_us, event.k.map(str::to_owned))).or_default();
            *row = (row.0 + 1, row.1 + event.n);
        }
    }
    rows
}
