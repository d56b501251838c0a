//! Faults, and what operators do. Each walk has a few of each.

use std::rc::Rc;

use shared_logic::contracts::archive::{ImportedRecords, import_log};
use shared_logic::log::{OffsetRange, PartitionId};
use test_kit::Dice;

use super::world::{File, Redis, Topic, World};

/// How many more of each there may be.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultsLeft {
    crashes: usize,
    lost_replies: usize,
    emptied: usize,
    restored: usize,
    partitions: usize,
    recreated: usize,
    trimmed: usize,
    rolled_back: usize,
    early_drops: usize,
    shards_deleted: usize,
    imports: usize,
}

impl FaultsLeft {
    pub(super) fn random(dice: &mut Dice) -> FaultsLeft {
        FaultsLeft {
            crashes: dice.below(5),
            lost_replies: dice.below(4),
            emptied: dice.below(2),
            restored: dice.below(3),
            partitions: dice.below(2),
            recreated: dice.below(2),
            trimmed: dice.below(2),
            rolled_back: dice.below(2),
            early_drops: dice.below(2),
            shards_deleted: dice.below(3),
            imports: dice.below(3),
        }
    }
}

impl World {
    /// Whether a reply is lost; no more than so many are.
    pub(super) fn loses_a_reply(&mut self) -> bool {
        let lost = self.faults.lost_replies > 0 && self.dice.chance(15);
        self.faults.lost_replies -= usize::from(lost);
        lost
    }

    /// Whether a process is killed; no more than so many are.
    pub(super) fn is_killed(&mut self) -> bool {
        let killed = self.faults.crashes > 0 && self.dice.chance(4);
        self.faults.crashes -= usize::from(killed);
        killed
    }

    /// Something that an operator does, or a fault.
    pub(super) fn fault(&mut self) {
        let left = self.faults.clone();
        match self.dice.below(12) {
            0 if left.emptied > 0 => {
                self.faults.emptied -= 1;
                self.redis = Redis::default();
                self.tell(|| "FAULT Redis is emptied".to_owned());
            }
            1 if left.restored > 0 && self.copy.is_none() => {
                self.copy = Some(self.redis.clone());
                self.tell(|| "a copy of Redis is taken".to_owned());
            }
            2 if left.restored > 0 && self.copy.is_some() => {
                self.faults.restored -= 1;
                self.redis = self.copy.take().unwrap_or_default();
                self.tell(|| "FAULT Redis is replaced by the older copy".to_owned());
            }
            3 if left.partitions > 0 && self.topic.partitions.len() < 3 => {
                self.faults.partitions -= 1;
                self.topic.partitions.push((0, 0));
                self.tell(|| "a partition is added".to_owned());
            }
            4 if left.recreated > 0 => {
                self.faults.recreated -= 1;
                self.recreate();
            }
            5 if left.trimmed > 0 => self.trim(),
            6 if self.catalog + 1 < self.scenario.catalogs.len() => self.deploy(),
            7 if left.rolled_back > 0 => {
                let metric = self.dice.below(self.views.len());
                if let [.., older, _] = self.views[metric].as_slice() {
                    let older = Rc::clone(older);
                    self.faults.rolled_back -= 1;
                    self.views[metric].push(older);
                    self.tell(|| format!("metric {metric} is rolled back by one version"));
                }
            }
            8 if left.early_drops > 0 => {
                let many = self.redis.shards.iter().find(|(_, shard)| shard.slices.len() > 1);
                if let Some((id, last)) = many.map(|(id, shard)| (id.clone(), shard.last_slice())) {
                    self.faults.early_drops -= 1;
                    self.tell(|| "FAULT a drop too early".to_owned());
                    self.drop_below(&id, last);
                }
            }
            9 if left.shards_deleted > 0 => {
                let known: Vec<_> = self.redis.shards.keys().cloned().collect();
                if !known.is_empty() {
                    self.faults.shards_deleted -= 1;
                    let id = self.dice.pick(&known);
                    self.delete_shard(id);
                }
            }
            10 if left.imports > 0 => self.import(),
            _ => {}
        }
    }

    /// An operator imports a file: one that is new, or one that was imported before, in which case nothing changes.
    fn import(&mut self) {
        self.faults.imports -= 1;
        let (digest, rows) = (self.dice.below(2) as u128, self.dice.between(1, 3));
        let mut facts = self.archive.facts.clone();
        let records = ImportedRecords { rows, ..ImportedRecords::default() };
        if !facts.add_import(digest, "a file", 0, &records) {
            return;
        }
        let id = PartitionId::new(import_log(digest), 0);
        self.commit(
            || format!("{id} is imported, with {rows} rows"),
            |archive| {
                archive.facts = facts;
                let range = OffsetRange { id: id.clone(), from: 0, to: rows };
                archive.files.push(File { range, foreign: false });
            },
        );
    }

    /// A shard's key is deleted by hand, and its counters are left. What it had counted beyond an archived end is
    /// forgotten with it.
    fn delete_shard(&mut self, id: &PartitionId) {
        self.redis.shards.remove(id);
        self.redis.counted.remove(id);
        self.tell(|| format!("FAULT the shard {id} is deleted by hand"));
    }

    fn recreate(&mut self) {
        let log = format!("log-{}", self.past.len() + 1);
        let partitions = vec![(0, 0); self.topic.partitions.len()];
        // Records that arrived after the archive last asked for the end, and that were never counted, are lost without a trace.
        let asked = if self.dice.chance(50) { self.topic.partitions.len() } else { 0 };
        for partition in 0..asked {
            let (id, end) = (self.id(partition), self.topic.partitions[partition].1);
            // Of a partition that the archive has not begun, the end is not noted.
            if self.archive.facts.partition(&id).is_some() {
                Rc::make_mut(&mut self.archive).facts.see_end(&id, end);
            }
        }
        self.tell(|| format!("the topic is deleted and created again as {log}"));
        self.past.push(std::mem::replace(&mut self.topic, Topic { log, partitions }));
    }

    fn trim(&mut self) {
        let partition = self.dice.below(self.topic.partitions.len());
        let id = self.id(partition);
        let (start, end) = self.topic.partitions[partition];
        if start < end {
            self.faults.trimmed -= 1;
            let start = self.dice.between(start + 1, end);
            self.topic.partitions[partition].0 = start;
            self.tell(|| format!("FAULT retention: {id} starts at {start} now"));
        }
    }
}
