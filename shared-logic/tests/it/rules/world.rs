//! Everything that lasts: the topic, Redis, the archive, the views; who acts on it, and what can befall it.

use std::collections::BTreeMap;
use std::rc::Rc;

use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use shared_logic::contracts::speed_view::Shard;
use shared_logic::cut;
use shared_logic::log::{Offsets, PartitionId};

use super::archiver::Read;
use super::mask::Mask;
use super::reader::Snapshot;
use super::reconcile::Reconcile;
use super::worker::Worker;
use crate::dice::Dice;

/// Offsets stay below it, so that a mask holds them.
const OFFSET_MAX: i64 = 40;

/// The catalogs that are deployed one after the other, and which metric each definition is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) catalogs: &'static [&'static [usize]],
    pub(super) metric_of: &'static [usize],
}

const SCENARIOS: [Scenario; 7] = [
    Scenario { catalogs: &[&[0]], metric_of: &[0] },
    Scenario { catalogs: &[&[0, 1]], metric_of: &[0, 1] },
    Scenario { catalogs: &[&[0], &[1]], metric_of: &[0, 0] },
    Scenario { catalogs: &[&[0], &[1], &[0]], metric_of: &[0, 0] },
    Scenario { catalogs: &[&[0], &[0, 1]], metric_of: &[0, 1] },
    Scenario { catalogs: &[&[0, 1], &[0], &[0, 1]], metric_of: &[0, 1] },
    Scenario { catalogs: &[&[0, 1], &[0, 2], &[2]], metric_of: &[0, 1, 1] },
];

/// One life of the topic: per partition, where it starts and ends.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) log: String,
    pub(super) partitions: Vec<(i64, i64)>,
}

/// Shards, and counters by (partition, slice, definition), which outlive their slice until they are swept.
#[derive(Debug, Clone, Default)]
pub(super) struct Redis {
    pub(super) shards: BTreeMap<PartitionId, Shard>,
    pub(super) counters: BTreeMap<(PartitionId, i64, usize), Mask>,
    /// No key of Redis but what nobody may forget as long as Redis does not: up to where each partition was counted.
    pub(super) counted: BTreeMap<PartitionId, i64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Archive {
    pub(super) facts: Facts,
    pub(super) version: u64,
    /// `[from, to)` of each commit, and whether the records were another log's.
    pub(super) files: Vec<(PartitionId, i64, i64, bool)>,
}

#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) note: Note,
    pub(super) rows: BTreeMap<PartitionId, Mask>,
}

/// How many more of each.
#[derive(Debug, Clone, Default)]
struct Left {
    crashes: usize,
    lost_replies: usize,
    emptied: usize,
    restored: usize,
    partitions: usize,
    recreated: usize,
    trimmed: usize,
    rolled_back: usize,
    early_drops: usize,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) scenario: Scenario,
    pub(super) max_slices: usize,
    pub(super) start_latest: bool,
    pub(super) topic: Topic,
    pub(super) past: Vec<Topic>,
    pub(super) redis: Redis,
    copy: Option<Redis>,
    pub(super) archive: Rc<Archive>,
    pub(super) views: Vec<Vec<Rc<View>>>,
    pub(super) workers: Vec<Worker>,
    pub(super) archivers: Vec<Option<Read>>,
    pub(super) reconciles: Vec<Option<Reconcile>>,
    /// Cuts that a dropper knew some time ago, and counters that a sweeper found unlisted some time ago.
    drops: Vec<(PartitionId, i64)>,
    sweeps: Vec<(PartitionId, i64, usize)>,
    pub(super) held: Option<Snapshot>,
    /// The newest deployed catalog.
    pub(super) catalog: usize,
    left: Left,
    story: Vec<String>,
    pub(super) answers: usize,
    pub(super) complete: usize,
}

pub(super) fn hash(definition: usize) -> DefinitionHash {
    format!("{definition:016x}").parse().expect("16 digits")
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let scenario = *dice.pick(&SCENARIOS);
        let start = dice.between(0, 2);
        let partitions = dice.between(1, 2) as usize;
        let partitions = (0..partitions).map(|_| (start, start + dice.between(0, 2))).collect();
        let left = Left {
            crashes: dice.below(5),
            lost_replies: dice.below(4),
            emptied: dice.below(2),
            restored: dice.below(3),
            partitions: dice.below(2),
            recreated: dice.below(2),
            trimmed: dice.below(2),
            rolled_back: dice.below(2),
            early_drops: dice.below(2),
        };
        World {
            scenario,
            max_slices: dice.between(2, 6) as usize,
            start_latest: dice.chance(25),
            topic: Topic { log: "log-0".to_owned(), partitions },
            past: Vec::new(),
            redis: Redis::default(),
            copy: None,
            archive: Rc::new(Archive::default()),
            views: vec![Vec::new(); scenario.metric_of.iter().max().map_or(0, |metric| metric + 1)],
            workers: vec![Worker::started(0), Worker::started(0)],
            archivers: vec![None, None],
            reconciles: vec![None, None],
            drops: Vec::new(),
            sweeps: Vec::new(),
            held: None,
            catalog: 0,
            left,
            story: Vec::new(),
            answers: 0,
            complete: 0,
            dice,
        }
    }

    /// One step of somebody.
    pub(super) fn step(&mut self) {
        match self.dice.below(100) {
            0..16 => self.produce(),
            16..32 => self.archiver(),
            32..66 => self.worker(),
            66..84 => self.reconcile(),
            84..91 => self.dropper(),
            91..94 => self.hold(),
            _ => self.befall(),
        }
    }

    /// One step of ordinary life: no fault, no reconcile of an older catalog, and none that gives up waiting.
    pub(super) fn calm_step(&mut self) {
        match self.dice.below(100) {
            0..20 => self.produce(),
            20..40 => self.archiver(),
            40..70 => self.worker(),
            70..88 => self.patient_reconcile(),
            88..98 => self.dropper(),
            _ if self.catalog + 1 < self.scenario.catalogs.len() => self.deploy(),
            _ => {}
        }
    }

    fn deploy(&mut self) {
        self.catalog += 1;
        let catalog = self.catalog;
        self.tell(|| format!("catalog {catalog} is deployed"));
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        self.story.push(what());
    }

    pub(super) fn told(&self) -> String {
        self.story.iter().enumerate().map(|(at, line)| format!("{:4}. {line}\n", at + 1)).collect()
    }

    pub(super) fn id(&self, partition: usize) -> PartitionId {
        PartitionId::new(self.topic.log.clone(), partition as i32)
    }

    /// The hashes of a catalog's definitions.
    pub(super) fn hashes(&self, catalog: usize) -> Vec<DefinitionHash> {
        self.scenario.catalogs[catalog].iter().map(|definition| hash(*definition)).collect()
    }

    /// The cuts of the newest views of a catalog's metrics, whatever they count.
    pub(super) fn cuts(&self, catalog: usize) -> Vec<Offsets> {
        let views =
            self.scenario.catalogs[catalog].iter().filter_map(|d| self.views[self.scenario.metric_of[*d]].last());
        views.map(|view| view.note.cut.clone()).collect()
    }

    /// Takes one from a store of faults, if there is one left.
    pub(super) fn loses_a_reply(&mut self) -> bool {
        let lost = self.left.lost_replies > 0 && self.dice.chance(15);
        self.left.lost_replies -= usize::from(lost);
        lost
    }

    pub(super) fn is_killed(&mut self) -> bool {
        let killed = self.left.crashes > 0 && self.dice.chance(4);
        self.left.crashes -= usize::from(killed);
        killed
    }

    fn produce(&mut self) {
        let partition = self.dice.below(self.topic.partitions.len());
        let count = self.dice.between(1, 2);
        let end = &mut self.topic.partitions[partition].1;
        if *end + count < OFFSET_MAX {
            *end += count;
            let (log, end) = (self.topic.log.clone(), *end);
            self.tell(|| format!("{count} events arrive, {log}/{partition} ends at {end}"));
        }
    }

    /// A dropper looks at cuts, drops by what it knew, finds unlisted counters, unlinks what it found.
    fn dropper(&mut self) {
        match self.dice.below(4) {
            0 => {
                // One that runs an older catalog is a dropper, too.
                let catalog = self.dice.below(self.catalog + 1);
                self.look_what_to_drop(catalog);
            }
            1 if !self.drops.is_empty() => {
                let at = self.dice.below(self.drops.len());
                let (id, cut) = self.drops.swap_remove(at);
                self.drop_below(&id, cut);
            }
            2 => {
                let listed = |(id, slice, _): &(PartitionId, i64, usize)| {
                    self.redis.shards.get(id).is_some_and(|shard| shard.slices.contains(slice))
                };
                self.sweeps = self.redis.counters.keys().filter(|counter| !listed(counter)).cloned().collect();
            }
            _ => {
                if let Some((id, slice, definition)) = self.sweeps.pop() {
                    self.unlink(&id, slice, definition);
                }
            }
        }
    }

    fn look_what_to_drop(&mut self, catalog: usize) {
        let cuts = self.cuts(catalog);
        let known: Vec<PartitionId> = self.redis.shards.keys().cloned().collect();
        self.drops = known.into_iter().filter_map(|id| cut::droppable(cuts.iter(), &id).map(|cut| (id, cut))).collect();
        for (id, end) in cut::deletable(&cuts, &self.archive.facts) {
            if Shard::delete(self.redis.shards.get(&id), end).is_ok() {
                self.redis.shards.remove(&id);
                self.tell(|| format!("the shard {id} of a closed log is deleted"));
            }
        }
    }

    fn drop_below(&mut self, id: &PartitionId, cut: i64) {
        if let Ok((shard, dropped)) = Shard::drop_below(self.redis.shards.get(id), cut)
            && !dropped.is_empty()
        {
            self.tell(|| format!("slices {dropped:?} of {id} are dropped, below the cut {cut}"));
            self.redis.shards.insert(id.clone(), shard);
        }
    }

    fn unlink(&mut self, id: &PartitionId, slice: i64, definition: usize) {
        if !self.redis.shards.get(id).is_some_and(|shard| shard.slices.contains(&slice)) {
            self.redis.counters.remove(&(id.clone(), slice, definition));
        }
    }

    /// A calm dropper with the newest catalog.
    pub(super) fn drop_all(&mut self) {
        self.look_what_to_drop(self.catalog);
        for (id, cut) in std::mem::take(&mut self.drops) {
            self.drop_below(&id, cut);
        }
    }

    /// Operators and faults.
    fn befall(&mut self) {
        let left = self.left.clone();
        match self.dice.below(10) {
            0 if left.emptied > 0 => {
                self.left.emptied -= 1;
                self.redis = Redis::default();
                self.tell(|| "FAULT Redis is emptied".to_owned());
            }
            1 if left.restored > 0 && self.copy.is_none() => {
                self.copy = Some(self.redis.clone());
                self.tell(|| "a copy of Redis is taken".to_owned());
            }
            2 if left.restored > 0 && self.copy.is_some() => {
                self.left.restored -= 1;
                self.redis = self.copy.take().unwrap_or_default();
                self.tell(|| "FAULT Redis is replaced by the older copy".to_owned());
            }
            3 if left.partitions > 0 && self.topic.partitions.len() < 3 => {
                self.left.partitions -= 1;
                self.topic.partitions.push((0, 0));
                self.tell(|| "a partition is added".to_owned());
            }
            4 if left.recreated > 0 => {
                self.left.recreated -= 1;
                self.recreate();
            }
            5 if left.trimmed > 0 => self.trim(),
            6 if self.catalog + 1 < self.scenario.catalogs.len() => self.deploy(),
            7 if left.rolled_back > 0 => {
                let metric = self.dice.below(self.views.len());
                if let [.., older, _] = self.views[metric].as_slice() {
                    let older = Rc::clone(older);
                    self.left.rolled_back -= 1;
                    self.views[metric].push(older);
                    self.tell(|| format!("metric {metric} is rolled back by one version"));
                }
            }
            8 if left.early_drops > 0 => {
                let many = self.redis.shards.iter().find(|(_, shard)| shard.slices.len() > 1);
                if let Some((id, last)) = many.map(|(id, shard)| (id.clone(), shard.last_slice())) {
                    self.left.early_drops -= 1;
                    self.tell(|| "FAULT a drop too early".to_owned());
                    self.drop_below(&id, last);
                }
            }
            _ => {}
        }
    }

    fn recreate(&mut self) {
        let log = format!("log-{}", self.past.len() + 1);
        let partitions = vec![(0, 0); self.topic.partitions.len()];
        // What came after the archive last asked for the end, and was counted by nobody, is not known to have been.
        let asked = if self.dice.chance(50) { self.topic.partitions.len() } else { 0 };
        for partition in 0..asked {
            let (id, end) = (self.id(partition), self.topic.partitions[partition].1);
            Rc::make_mut(&mut self.archive).facts.see_end_if_begun(&id, end);
        }
        self.tell(|| format!("the topic is deleted and created again as {log}"));
        self.past.push(std::mem::replace(&mut self.topic, Topic { log, partitions }));
    }

    fn trim(&mut self) {
        let partition = self.dice.below(self.topic.partitions.len());
        let id = self.id(partition);
        let (start, end) = self.topic.partitions[partition];
        if start < end {
            self.left.trimmed -= 1;
            let start = self.dice.between(start + 1, end);
            self.topic.partitions[partition].0 = start;
            self.tell(|| format!("FAULT retention: {id} starts at {start} now"));
        }
    }

    /// Everybody runs the newest catalog and no fault befalls.
    pub(super) fn calm(&mut self) {
        self.left = Left::default();
        for worker in &mut self.workers {
            if worker.catalog != self.catalog || worker.exited {
                *worker = Worker::started(self.catalog);
            }
        }
    }
}

/// Asking for the end of a partition that the archive has not begun notes nothing.
trait SeeEnd {
    fn see_end_if_begun(&mut self, id: &PartitionId, end: i64);
}

impl SeeEnd for Facts {
    fn see_end_if_begun(&mut self, id: &PartitionId, end: i64) {
        if self.partition(id).is_some() {
            self.see_end(id, end);
        }
    }
}
