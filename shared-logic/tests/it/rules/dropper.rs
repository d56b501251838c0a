//! The dropper: takes slices that every view holds off the front of shards, and unlinks their counters some time later.

use shared_logic::contracts::speed_view::Shard;
use shared_logic::cut;
use shared_logic::log::PartitionId;

use super::reconcile::VERSION;
use super::world::{CounterId, World};

/// What the dropper found some time ago and acts on later.
#[derive(Debug, Clone, Default)]
pub(super) struct Dropper {
    /// Cuts below which slices may be dropped.
    drops: Vec<(PartitionId, i64)>,
    /// Counters whose slice was not listed.
    sweeps: Vec<CounterId>,
}

impl World {
    /// Looks at cuts, drops by what it knew, finds unlisted counters, or unlinks one that it found.
    pub(super) fn dropper(&mut self) {
        match self.dice.below(4) {
            0 => {
                // Workers of an older catalog drop, too.
                let catalog = self.dice.below(self.catalog + 1);
                self.look_what_to_drop(catalog);
            }
            1 if !self.dropper.drops.is_empty() => {
                let at = self.dice.below(self.dropper.drops.len());
                let (id, cut) = self.dropper.drops.swap_remove(at);
                self.drop_below(&id, cut);
            }
            2 => {
                let counters = self.redis.counters.keys();
                self.dropper.sweeps = counters.filter(|counter| !self.is_listed(counter)).cloned().collect();
            }
            _ => {
                if let Some(counter) = self.dropper.sweeps.pop()
                    && !self.is_listed(&counter)
                {
                    self.redis.counters.remove(&counter);
                }
            }
        }
    }

    fn look_what_to_drop(&mut self, catalog: usize) {
        let cuts = self.cuts(catalog);
        let known: Vec<PartitionId> = self.redis.shards.keys().cloned().collect();
        self.dropper.drops =
            known.into_iter().filter_map(|id| cut::droppable(cuts.iter(), &id).map(|cut| (id, cut))).collect();
        for (id, end) in cut::deletable(VERSION, &cuts, &self.archive.facts) {
            if Shard::delete(self.redis.shards.get(&id), end).is_ok() {
                self.redis.shards.remove(&id);
                self.tell(|| format!("the shard {id} of a closed log is deleted"));
            }
        }
    }

    pub(super) fn drop_below(&mut self, id: &PartitionId, cut: i64) {
        if let Ok((shard, dropped)) = Shard::drop_below(self.redis.shards.get(id), cut)
            && !dropped.is_empty()
        {
            self.tell(|| format!("slices {dropped:?} of {id} are dropped, below the cut {cut}"));
            self.redis.shards.insert(id.clone(), shard);
        }
    }

    fn is_listed(&self, counter: &CounterId) -> bool {
        let shard = self.redis.shards.get(&counter.partition);
        shard.is_some_and(|shard| shard.instance == counter.instance && shard.slices.contains(&counter.slice))
    }

    /// Drops all that the newest catalog allows.
    pub(super) fn drop_all(&mut self) {
        self.look_what_to_drop(self.catalog);
        for (id, cut) in std::mem::take(&mut self.dropper.drops) {
            self.drop_below(&id, cut);
        }
    }
}
