//! Everything that lasts (the topic, Redis, the archive, the views) and the processes that act on it.

use std::collections::BTreeMap;
use std::rc::Rc;

use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use shared_logic::contracts::speed_view::{Instance, Shard};
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use test_kit::Dice;

use super::archiver::Step;
use super::dropper::Dropper;
use super::fault::FaultsLeft;
use super::mask::Mask;
use super::reader::Snapshot;
use super::reconcile::Reconcile;
use super::worker::Worker;

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

#[derive(Debug, Clone, Default)]
pub(super) struct Redis {
    pub(super) shards: BTreeMap<PartitionId, Shard>,
    /// They outlive their slice until they are unlinked.
    pub(super) counters: BTreeMap<CounterId, Mask>,
    /// Not a key of Redis: how far each partition was counted. It lasts as long as the data of Redis, so that the model notices
    /// when counts are lost that Redis still holds.
    pub(super) counted: BTreeMap<PartitionId, i64>,
}

/// What a slice of a shard counts for one definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CounterId {
    pub(super) partition: PartitionId,
    /// The life of the shard that counted it.
    pub(super) instance: Instance,
    /// Where the slice begins.
    pub(super) slice: i64,
    pub(super) definition: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Archive {
    pub(super) facts: Facts,
    pub(super) version: u64,
    pub(super) files: Vec<File>,
}

/// What one commit archived.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) range: OffsetRange,
    /// Whether the records belong to another log.
    pub(super) foreign: bool,
}

#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) note: Note,
    pub(super) rows: BTreeMap<PartitionId, Mask>,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) scenario: Scenario,
    pub(super) max_slices: usize,
    pub(super) start_latest: bool,
    pub(super) faults: FaultsLeft,

    // What lasts.
    pub(super) topic: Topic,
    pub(super) past: Vec<Topic>,
    pub(super) redis: Redis,
    /// An older state of Redis, which may come back.
    pub(super) copy: Option<Redis>,
    pub(super) archive: Rc<Archive>,
    /// The versions of each metric's view.
    pub(super) views: Vec<Vec<Rc<View>>>,
    /// The newest deployed catalog.
    pub(super) catalog: usize,

    // Who acts on it.
    pub(super) workers: Vec<Worker>,
    pub(super) archivers: Vec<Option<Step>>,
    pub(super) reconciles: Vec<Option<Reconcile>>,
    pub(super) dropper: Dropper,
    /// What a slow reader has seen.
    pub(super) held: Option<Snapshot>,

    // What came of it.
    /// How a reconcile's commit made complete answers incomplete.
    pub(super) unmet: Option<String>,
    /// Every step, to be printed when an answer is wrong.
    story: Vec<String>,
    /// How many answers were judged, and how many of them were complete.
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
        let faults = FaultsLeft::random(&mut dice);
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
            dropper: Dropper::default(),
            held: None,
            catalog: 0,
            faults,
            unmet: None,
            story: Vec::new(),
            answers: 0,
            complete: 0,
            dice,
        }
    }

    /// One step of any process, or a fault.
    pub(super) fn step(&mut self) {
        match self.dice.below(100) {
            0..16 => self.produce(),
            16..32 => self.archiver(),
            32..66 => self.worker(),
            66..84 => self.reconcile(),
            84..91 => self.dropper(),
            91..94 => self.hold(),
            94 => self.operator(),
            _ => self.fault(),
        }
    }

    /// One step of ordinary life: no fault, and no reconcile of an older catalog.
    pub(super) fn calm_step(&mut self) {
        match self.dice.below(100) {
            0..20 => self.produce(),
            20..40 => self.archiver(),
            40..70 => self.worker(),
            70..88 => self.ordinary_reconcile(),
            88..98 => self.dropper(),
            _ if self.catalog + 1 < self.scenario.catalogs.len() => self.deploy(),
            _ => {}
        }
    }

    pub(super) fn deploy(&mut self) {
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

    /// From now on every worker runs the newest catalog, no view is paused, and there are no faults.
    pub(super) fn calm(&mut self) {
        self.faults = FaultsLeft::default();
        self.resume_all();
        for worker in &mut self.workers {
            if worker.catalog != self.catalog || worker.exited {
                *worker = Worker::started(self.catalog);
            }
        }
    }
}
