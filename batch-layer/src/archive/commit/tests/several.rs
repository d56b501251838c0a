//! Several archivers of one archive, at random: each reads whatever partitions it believes to be its own, commits when it likes, dies, or goes
//! on with what it had read long ago. One that finds a lost tail, and retention, commit in between. Whoever believed what: in the end the archive
//! holds each record of each partition once, and its facts say so.

use std::collections::BTreeSet;

use shared_logic::contracts::archive::PARTITION;
use shared_logic::log::Offsets;
use test_kit::{Dice, first_seed, repetitions};

use super::*;

const PARTITIONS: i32 = 3;
const ARCHIVERS: usize = 3;

/// An archiver: what it knows, and what it has read and not committed yet.
struct Archiver {
    archive: Archive,
    buffer: Option<Buffer>,
}

/// What happened, so that a test that says nothing is noticed.
#[derive(Default)]
struct Happened {
    committed: usize,
    dropped: usize,
    lost_tails: usize,
}

struct Several {
    world: World,
    dice: Dice,
    archivers: Vec<Archiver>,
    /// Where the log of each partition ends.
    ends: Vec<i64>,
    happened: Happened,
}

impl Several {
    async fn begun(seed: u64) -> Several {
        let (world, dice) = (World::new(), Dice::new(seed));
        let mut begun = Facts::default();
        (0..PARTITIONS).for_each(|partition| begun.begin(&PartitionId::new("log", partition), 0));
        facts(&mut world.archive().await, begun, None).await.expect("begun");
        let mut archivers = Vec::new();
        for _ in 0..ARCHIVERS {
            archivers.push(Archiver { archive: world.archive().await, buffer: None });
        }
        Several { world, dice, archivers, ends: vec![0; PARTITIONS as usize], happened: Happened::default() }
    }

    async fn step(&mut self) {
        let at = self.dice.below(ARCHIVERS);
        match self.dice.below(10) {
            0 => self.ends.iter_mut().for_each(|end| *end += 3),
            1..=4 => self.reads(at).await,
            5 | 6 => self.commits(at).await,
            7 => self.commit_at_once(at, (at + 1) % ARCHIVERS).await,
            8 => match self.dice.below(3) {
                0 => self.dies(at).await,
                1 => self.loses_a_tail(at).await,
                _ => self.retires(at).await,
            },
            // A zombie: what it has read lies there for as long as the dice say.
            _ => {}
        }
    }

    /// Reads some records. If it had none, it begins a session, with the partitions that it believes to be its own.
    async fn reads(&mut self, at: usize) {
        if self.archivers[at].buffer.is_none() {
            let own = (0..PARTITIONS).filter(|_| self.dice.chance(60)).collect();
            self.begins(at, &own).await;
        }
        let Some(buffer) = &mut self.archivers[at].buffer else { return };
        let mut decoder = Decoder::new(&self.world.source);
        let reached: Vec<(i32, i64)> = buffer.reached.iter().map(|(partition, (_, to))| (*partition, *to)).collect();
        for (partition, from) in reached {
            let upto = (from + self.dice.between(0, 3)).min(self.ends[partition as usize]);
            for offset in from..upto {
                let payload = Some(br#"{"at": 1000}"#.as_slice());
                let record = Incoming { partition, offset, timestamp_us: None, key: None, payload, headers: None };
                assert_eq!(buffer.push(record, &mut decoder), None);
            }
        }
    }

    async fn begins(&mut self, at: usize, own: &BTreeSet<i32>) {
        let Archiver { archive, buffer } = &mut self.archivers[at];
        archive.refresh().await.expect("read");
        let facts = archive.facts();
        let ids: Vec<PartitionId> = own.iter().map(|partition| facts.current("log", *partition)).collect();
        let next = ids.iter().map(|id| (id.partition, facts.partition(id).expect("begun").next)).collect();
        let incarnations: BTreeMap<i32, String> = ids.into_iter().map(|id| (id.partition, id.log)).collect();
        let declared = archive.columns().expect("read");
        *buffer = Some(Buffer::new(&self.world.source, &declared, "log", &next).with_incarnations(&incarnations));
    }

    async fn commits(&mut self, at: usize) {
        let Several { world, archivers, happened, .. } = self;
        let Archiver { archive, buffer } = &mut archivers[at];
        let Some(rows) = buffer.take() else { return };
        *buffer = goes_on(world, archive, rows, happened).await;
    }

    /// Both try while the other does.
    async fn commit_at_once(&mut self, one: usize, other: usize) {
        let (first, second) = (one.min(other), one.max(other));
        let Several { world, archivers, happened, .. } = self;
        let (before, from) = archivers.split_at_mut(second);
        let (one, other) = (&mut before[first], &mut from[0]);
        let (Some(of_one), Some(of_other)) = (one.buffer.take(), other.buffer.take()) else { return };
        let mut besides = Happened::default();
        (one.buffer, other.buffer) = tokio::join!(
            goes_on(world, &mut one.archive, of_one, happened),
            goes_on(world, &mut other.archive, of_other, &mut besides)
        );
        happened.committed += besides.committed;
        happened.dropped += besides.dropped;
    }

    /// Its rows are written, and it dies before it has committed them.
    async fn dies(&mut self, at: usize) {
        let archive = self.world.archive().await;
        let Some(rows) = std::mem::replace(&mut self.archivers[at], Archiver { archive, buffer: None }).buffer else {
            return;
        };
        write(&self.archivers[at].archive, rows).await.expect("written");
    }

    /// It finds that a partition's log holds other records from some offset on.
    async fn loses_a_tail(&mut self, at: usize) {
        let partition = self.dice.below(PARTITIONS as usize) as i32;
        let back = self.dice.between(0, 2);
        let archive = &mut self.archivers[at].archive;
        archive.refresh().await.expect("read");
        let mut lost = archive.facts();
        let id = lost.current("log", partition);
        let known = lost.partition(&id).expect("begun");
        let from = (known.next - back).max(known.begin);
        lost.lose_tail(&id, from, None).expect("the newest incarnation");
        if facts(archive, lost, None).await.expect("tried") != Committed::Conflict {
            self.happened.lost_tails += 1;
        }
    }

    async fn retires(&mut self, at: usize) {
        let day = self.dice.between(1, 1_000);
        let below = (0..PARTITIONS).map(|partition| (PartitionId::new("log", partition), day));
        let below: Offsets = below.collect();
        self.archivers[at].archive.change("RETIRE", |facts| facts.retire(day, &below)).await.expect("noted");
    }

    /// One archiver without faults archives the rest. Then every incarnation holds each of its offsets once, and nothing else is there.
    async fn ends_exactly(&mut self) {
        for _ in 0..1_000 {
            self.begins(0, &(0..PARTITIONS).collect()).await;
            self.reads(0).await;
            if !self.archivers[0].buffer.as_ref().is_some_and(Buffer::has_progress) {
                let facts = self.archivers[0].archive.facts();
                let is_whole = |partition: &i32| {
                    let known = facts.partition(&facts.current("log", *partition)).expect("begun");
                    known.next >= self.ends[*partition as usize]
                };
                if (0..PARTITIONS).all(|partition| is_whole(&partition)) {
                    break;
                }
            }
            self.commits(0).await;
        }
        let archive = self.world.archive().await;
        let mut expected = Vec::new();
        for (id, known) in archive.facts().partitions() {
            expected.extend((known.begin..known.next).map(|offset| (id.log.clone(), id.partition, offset)));
        }
        expected.sort();
        assert_eq!(places(&archive).await, expected);
    }
}

/// Commits, and reads on behind it, or drops everything if others came first.
async fn goes_on(world: &World, archive: &mut Archive, rows: Buffer, happened: &mut Happened) -> Option<Buffer> {
    let following = rows.following();
    match world.commit(archive, rows).await.expect("tried") {
        Committed::At(_) => {
            happened.committed += 1;
            Some(following)
        }
        Committed::Conflict => {
            happened.dropped += 1;
            None
        }
    }
}

/// Where every row lies.
async fn places(archive: &Archive) -> Vec<(String, i32, i64)> {
    let files = archive.files().await.expect("listed");
    let columns = [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64)];
    let columns = columns.into_iter().map(|(name, kind)| (name.into(), kind)).collect::<Schema>();
    let rows = archive.read(&files, &columns).await.expect("read");
    let rows = crate::rows::compute("read rows", archive.path(), move || rows.collect()).await.expect("decoded");
    let logs =
        rows.column(LOG).expect("there").str().expect("texts").iter().map(|log| log.unwrap_or_default().to_owned());
    let partitions = rows.column(PARTITION).expect("there").i32().expect("integers").iter().flatten();
    let offsets = rows.column(OFFSET).expect("there").i64().expect("integers").iter().flatten();
    let mut places: Vec<(String, i32, i64)> =
        logs.zip(partitions).zip(offsets).map(|((log, partition), offset)| (log, partition, offset)).collect();
    places.sort();
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_believes_what_each_record_is_archived_once() {
    let (mut committed, mut dropped, mut lost_tails) = (0, 0, 0);
    for seed in first_seed()..first_seed() + repetitions(5, 100) {
        println!("seed {seed}");
        let mut several = Several::begun(seed).await;
        for _ in 0..60 {
            several.step().await;
        }
        several.ends_exactly().await;
        committed += several.happened.committed;
        dropped += several.happened.dropped;
        lost_tails += several.happened.lost_tails;
    }
    assert!(committed > 20 && dropped > 5 && lost_tails > 0, "{committed}, {dropped}, {lost_tails}");
}
