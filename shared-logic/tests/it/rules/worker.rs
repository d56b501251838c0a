//! A worker of the speed layer: per partition a lane that looks, opens, adopts, reads, asks the topic's id, applies.

use shared_logic::contracts::speed_view::{Expected, Instance, Refusal, Shard};
use shared_logic::cut;
use shared_logic::log::PartitionId;

use super::mask::Mask;
use super::world::{CounterId, World};

#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) catalog: usize,
    /// It met other definitions: it ends, and adopts at its next start.
    pub(super) exited: bool,
    pub(super) lanes: [Lane; 3],
}

/// What a lane does next.
#[derive(Debug, Clone, Default)]
pub(super) enum Lane {
    #[default]
    Look,
    Open(PartitionId, i64, Instance),
    Adopt(PartitionId),
    Reopen(PartitionId, i64, i64, Instance),
    Read(PartitionId, Shard),
    /// It read up to an offset, and whether the records were another log's.
    Ask(PartitionId, Shard, i64, bool),
    Apply(PartitionId, Expected, i64, bool),
}

impl Worker {
    pub(super) fn started(catalog: usize) -> Worker {
        Worker { catalog, exited: false, lanes: Default::default() }
    }
}

impl World {
    /// One step of some worker: a restart, or of one of its lanes.
    pub(super) fn worker(&mut self) {
        let at = self.dice.below(self.workers.len());
        let mine = self.workers[at].catalog;
        if self.workers[at].exited || self.is_killed() || (mine != self.catalog && self.dice.chance(10)) {
            // A zombie of the older catalog may come back, too.
            let catalog = if self.dice.chance(70) { self.catalog } else { mine };
            self.workers[at] = Worker::started(catalog);
            self.tell(|| format!("worker {at} starts with catalog {catalog}"));
            return;
        }
        let partition = self.dice.below(self.topic.partitions.len());
        let far = self.dice.chance(50);
        self.lane(at, partition, far);
    }

    /// Both workers take every partition as far as it goes.
    pub(super) fn workers_catch_up(&mut self) {
        for at in 0..self.workers.len() {
            for partition in 0..self.topic.partitions.len() {
                for _ in 0..14 {
                    self.lane(at, partition, true);
                }
            }
        }
    }

    fn lane(&mut self, at: usize, partition: usize, far: bool) {
        if self.workers[at].exited {
            self.workers[at] = Worker::started(self.catalog);
        }
        let lane = std::mem::take(&mut self.workers[at].lanes[partition]);
        let catalog = self.workers[at].catalog;
        let next = match lane {
            Lane::Look => self.look(catalog, partition),
            Lane::Open(id, offset, instance) => {
                let opened = Shard::open(self.redis.shards.get(&id), offset, &self.hashes(catalog), instance);
                self.written(at, id, &format!("opens it at {offset}"), opened)
            }
            Lane::Adopt(id) => {
                let adopted = Shard::adopt(self.redis.shards.get(&id), &self.hashes(catalog));
                self.written(at, id, "adopts its definitions", adopted)
            }
            Lane::Reopen(id, cursor, to, instance) => {
                let existing = self.redis.shards.get(&id);
                let reopened = Shard::reopen(existing, cursor, to, &self.hashes(catalog), instance);
                self.written(at, id, &format!("reopens it at {to}"), reopened)
            }
            Lane::Read(id, shard) => self.read(id, shard, partition, far),
            Lane::Ask(id, ..) if id.log != self.topic.log => Lane::Look,
            Lane::Ask(id, shard, to, foreign) => Lane::Apply(id, shard.expected(), to, foreign),
            Lane::Apply(id, expected, to, foreign) => self.apply(at, id, expected, to, foreign),
        };
        if !self.workers[at].exited {
            self.workers[at].lanes[partition] = next;
        }
    }

    fn look(&mut self, catalog: usize, partition: usize) -> Lane {
        let id = self.id(partition);
        match self.redis.shards.get(&id) {
            None => match cut::opening(self.cuts(catalog).iter(), &id, &self.archive.facts) {
                Some(offset) => Lane::Open(id, offset, self.instance()),
                None => Lane::Look,
            },
            Some(shard) if !shard.counts(&self.hashes(catalog)) => Lane::Adopt(id),
            Some(shard) => Lane::Read(id, shard.clone()),
        }
    }

    fn instance(&mut self) -> Instance {
        Instance::new(self.dice.throw())
    }

    fn written(&mut self, at: usize, id: PartitionId, what: &str, shard: Result<Shard, Refusal>) -> Lane {
        let Ok(shard) = shard else { return Lane::Look };
        self.tell(|| format!("worker {at}, shard {id}: {what}; cursor {}, slices {:?}", shard.cursor, shard.slices));
        self.redis.shards.insert(id.clone(), shard.clone());
        if self.loses_a_reply() { Lane::Look } else { Lane::Read(id, shard) }
    }

    /// Goes on reading at the cursor, whichever log the topic is by now: so does the client.
    fn read(&mut self, id: PartitionId, shard: Shard, partition: usize, far: bool) -> Lane {
        let (start, end) = self.topic.partitions[partition];
        let foreign = id.log != self.topic.log;
        if shard.cursor > end {
            Lane::Look
        } else if shard.cursor < start {
            Lane::Reopen(id, shard.cursor, start, self.instance())
        } else {
            let to = if far { end } else { self.dice.between(shard.cursor, end) };
            Lane::Ask(id, shard, to, foreign)
        }
    }

    /// As `speed_layer::count::apply` does: repeats, moves to another slice, goes on, or ends.
    fn apply(&mut self, at: usize, id: PartitionId, expected: Expected, to: i64, foreign: bool) -> Lane {
        let from = expected.cursor;
        match Shard::apply(self.redis.shards.get(&id), &expected, to) {
            Ok(shard) => {
                let (slice, instance) = (expected.slice, expected.instance);
                let counted = Mask::span(from, to);
                let counted = if foreign { counted.foreign() } else { counted };
                for definition in self.scenario.catalogs[self.workers[at].catalog] {
                    let counter = CounterId { partition: id.clone(), instance, slice, definition: *definition };
                    let held = self.redis.counters.entry(counter).or_default();
                    *held = held.plus(counted);
                }
                self.tell(|| format!("worker {at}, shard {id}: applies [{from}, {to}) to slice {slice}"));
                self.redis.shards.insert(id.clone(), shard.clone());
                self.redis.counted.insert(id.clone(), to);
                if self.loses_a_reply() { Lane::Apply(id, expected, to, foreign) } else { Lane::Read(id, shard) }
            }
            Err(Refusal::Missing) => Lane::Look,
            Err(Refusal::Differs(shard)) if shard.definitions == expected.definitions => {
                if shard.instance != expected.instance {
                    Lane::Look
                } else if to > from && shard.cursor == to {
                    Lane::Read(id, shard)
                } else if shard.cursor == from {
                    Lane::Apply(id, Expected { slice: shard.last_slice(), ..expected }, to, foreign)
                } else {
                    Lane::Look
                }
            }
            Err(Refusal::Differs(shard)) => {
                if !shard.definitions.keys().eq(expected.definitions.keys()) {
                    self.tell(|| format!("worker {at}, shard {id}: meets other definitions and ends"));
                    self.workers[at].exited = true;
                }
                Lane::Look
            }
        }
    }
}
