//! A reconcile: rotates, waits for the archive, recomputes each metric, asks for the shards that were missing, commits
//! rows and cut at once.

use std::rc::Rc;

use shared_logic::catalog::RulesHash;
use shared_logic::complete::own_view;
use shared_logic::contracts::batch_view::{Asked, Note};
use shared_logic::contracts::speed_view::Shard;
use shared_logic::cut::{self, CutPlan, Rotated};
use shared_logic::log::{OffsetRange, Offsets, PartitionId};

use super::mask::Mask;
use super::world::{Archive, File, View, World, hash};

/// The version of the deployment that all of this is about.
pub(super) const VERSION: &str = "v1";

#[derive(Debug, Clone)]
pub(super) struct Reconcile {
    archive: Rc<Archive>,
    to_rotate: Vec<PartitionId>,
    rotated: Rotated,
    /// The archive reached what was rotated, or the wait is over.
    waited: bool,
    /// Closed logs whose shards it has asked.
    settled: Vec<String>,
    catalog: usize,
    definitions: Vec<usize>,
    /// Recomputed for the last of the definitions, on that version of its view.
    made: Option<Made>,
}

#[derive(Debug, Clone)]
struct Made {
    /// The number of versions of the metric's view on which it was recomputed.
    base: usize,
    view: View,
    /// The shards that were missing were asked for again since.
    asked: bool,
}

impl World {
    /// One step of one of two reconciles.
    pub(super) fn reconcile(&mut self) {
        let at = self.dice.below(self.reconciles.len());
        match self.reconciles[at].take() {
            None => {
                if self.dice.chance(60) {
                    let catalog = self.dice.below(self.catalog + 1);
                    self.reconciles[at] = Some(self.starts(at, catalog));
                }
            }
            Some(_) if self.is_killed() => self.tell(|| format!("reconcile {at} is killed")),
            Some(reconcile) => self.reconciles[at] = self.reconcile_step(at, reconcile),
        }
    }

    /// One step of a reconcile of the newest catalog that may fail for a metric.
    pub(super) fn ordinary_reconcile(&mut self) {
        self.reconciles[0] = match self.reconciles[0].take() {
            None => {
                let mut reconcile = self.starts(0, self.catalog);
                let fails = self.dice.chance(30).then(|| self.dice.below(reconcile.definitions.len()));
                fails.map(|at| reconcile.definitions.remove(at));
                Some(reconcile)
            }
            Some(reconcile) => self.reconcile_step(0, reconcile),
        };
    }

    /// What runs ends; then one of the newest catalog runs.
    pub(super) fn reconcile_to_the_end(&mut self) {
        let newest = self.starts(9, self.catalog);
        let running: Vec<Reconcile> = self.reconciles.iter_mut().filter_map(Option::take).collect();
        for reconcile in running.into_iter().chain([newest]) {
            let mut left = Some(reconcile);
            while let Some(reconcile) = left {
                left = self.reconcile_step(9, reconcile);
            }
        }
    }

    fn starts(&mut self, at: usize, catalog: usize) -> Reconcile {
        self.tell(|| format!("reconcile {at} starts with catalog {catalog}"));
        let archive = Rc::clone(&self.archive);
        let open = archive.facts.partitions().filter(|(id, _)| !archive.facts.is_closed(&id.log));
        Reconcile {
            to_rotate: open.map(|(id, _)| id).collect(),
            archive,
            rotated: Rotated::new(),
            waited: false,
            settled: Vec::new(),
            catalog,
            definitions: self.scenario.catalogs[catalog].to_vec(),
            made: None,
        }
    }

    fn reconcile_step(&mut self, at: usize, mut me: Reconcile) -> Option<Reconcile> {
        if let Some(id) = me.to_rotate.pop() {
            if let Ok((shard, _)) = Shard::rotate(self.redis.shards.get(&id), self.max_slices) {
                self.tell(|| format!("reconcile {at} rotates {id} and gets {:?}", shard.slices));
                me.rotated.insert(id.clone(), shard.slices.clone());
                self.redis.shards.insert(id, shard);
            }
            return Some(me);
        }
        if !me.waited {
            // At some time the wait is over, whether the archive has come so far or not.
            me.waited = cut::behind(&me.rotated, &me.archive.facts).is_empty() || self.dice.chance(30);
            me.archive = Rc::clone(&self.archive);
            return Some(me);
        }
        let Some(definition) = me.definitions.last().copied() else {
            self.notes_what_is_over(me.catalog);
            return None;
        };
        if self.is_paused(self.scenario.metric_of[definition]) {
            // A view that was rolled back stays as it is.
            me.definitions.pop();
            me.made = None;
            return Some(me);
        }
        match me.made.take() {
            None => self.reconcile_recomputes(definition, &mut me),
            Some(made) if !made.asked => self.reconcile_asks_again(at, made, &mut me),
            Some(made) => self.reconcile_commits(at, definition, made, &mut me),
        }
        Some(me)
    }

    fn reconcile_recomputes(&mut self, definition: usize, me: &mut Reconcile) {
        let logs = &me.archive.facts.logs;
        if let Some(log) = logs.iter().find(|log| log.closed && !log.is_over(VERSION) && !me.settled.contains(&log.log))
        {
            let log = log.log.clone();
            self.settle(&log);
            me.archive = Rc::clone(&self.archive);
            me.settled.push(log);
            return;
        }
        me.made = self.recomputed(definition, me);
        if me.made.is_none() {
            // Its look at the archive is older than the newest view.
            me.archive = Rc::clone(&self.archive);
        }
    }

    /// R6: the logs of which every view includes everything, and Redis holds nothing.
    fn notes_what_is_over(&mut self, catalog: usize) {
        let cuts = self.cuts(catalog);
        if cuts.len() < self.scenario.catalogs[catalog].len() {
            return;
        }
        let is_gone = |id: PartitionId| {
            !self.redis.shards.contains_key(&id) && self.redis.counters.keys().all(|counter| counter.partition != id)
        };
        let over = self.archive.facts.maybe_over(VERSION, &cuts).filter(|log| log.ids().all(is_gone));
        let over: Vec<String> = over.map(|log| log.log.clone()).collect();
        if !over.is_empty() {
            self.commit(|| format!("{over:?} are over"), |archive| archive.facts.note_over(VERSION, &over));
        }
    }

    /// R13: a shard that was missing may have been opened meanwhile. Then everything is recomputed, up to one of its
    /// slices.
    fn reconcile_asks_again(&mut self, at: usize, made: Made, me: &mut Reconcile) {
        let facts = &me.archive.facts;
        let open = facts.partitions().filter(|(id, _)| !facts.is_closed(&id.log));
        let missing: Vec<PartitionId> = open.map(|(id, _)| id).filter(|id| !me.rotated.contains_key(id)).collect();
        let known = me.rotated.len();
        for id in missing {
            if let Some(shard) = self.redis.shards.get(&id) {
                me.rotated.insert(id, shard.slices.clone());
            }
        }
        if me.rotated.len() == known {
            me.made = Some(Made { asked: true, ..made });
        } else {
            self.tell(|| format!("reconcile {at} finds shards that were missing"));
        }
    }

    fn reconcile_commits(&mut self, at: usize, definition: usize, made: Made, me: &mut Reconcile) {
        let (metric, Made { base, view, .. }) = (self.scenario.metric_of[definition], made);
        if base != self.views[metric].len() {
            me.archive = Rc::clone(&self.archive);
            return;
        }
        let newest = self.views[metric].last();
        let is_own = newest.is_none_or(|newest| counts(newest, definition, &self.archive));
        let was_complete = is_own && self.gaps(definition).is_empty();
        let previous = newest.map(|newest| newest.note.cut.clone());
        self.tell(|| {
            format!("reconcile {at} commits metric {metric}, definition {definition}, cut {:?}", view.note.cut)
        });
        self.views[metric].push(Rc::new(view));
        me.definitions.pop();
        if was_complete {
            self.unmet = self.unmet.take().or_else(|| self.does_not_meet(definition, previous.as_ref(), me));
        }
    }

    /// R13: why the commit of that reconcile made complete answers incomplete, as far as the shards still have the
    /// slices that it knew.
    fn does_not_meet(&self, definition: usize, previous: Option<&Offsets>, me: &Reconcile) -> Option<String> {
        let has_them = |id: &PartitionId| {
            let facts = &me.archive.facts;
            let from = cut::of_partition(previous, id, facts).unwrap_or_default();
            let (known, shard) = (me.rotated.get(id), self.redis.shards.get(id));
            let known = known.filter(|_| !facts.is_closed(&id.log));
            known.zip(shard).is_some_and(|(known, shard)| {
                known.iter().filter(|begin| **begin >= from).all(|begin| shard.slices.contains(begin))
            })
        };
        let mut gaps = self.gaps(definition).into_iter();
        let gap = gaps.find(|gap| gap.partition.as_ref().is_some_and(has_them))?;
        Some(format!("a reconcile made complete answers of definition {definition} incomplete: {gap:?}"))
    }

    /// As `batch_layer::reconcile` does: cut and rows from the newest view and one look at the archive.
    fn recomputed(&self, definition: usize, me: &Reconcile) -> Option<Made> {
        let metric = self.scenario.metric_of[definition];
        let newest = self.views[metric].last();
        let previous = newest.map(|view| &view.note.cut);
        let CutPlan::Ready(cut) = cut::plan(previous, &me.rotated, &me.archive.facts) else { return None };
        let own = newest.filter(|newest| counts(newest, definition, &me.archive));
        let mut rows = own.map(|view| view.rows.clone()).unwrap_or_default();
        if own.is_some_and(|view| view.note.definition != hash(definition)) {
            rows.values_mut().for_each(|mask| *mask = mask.foreign());
        }
        for File { range: OffsetRange { id, from, to }, foreign } in &me.archive.files {
            let Some(below) = cut.get(id) else { continue };
            let held = own.and_then(|view| view.note.cut.get(id)).unwrap_or(0);
            let added = Mask::span((*from).max(held), (*to).min(below));
            let mask = rows.entry(id.clone()).or_default();
            *mask = mask.plus(if *foreign { added.foreign() } else { added });
        }
        let note = Note {
            definition: hash(definition),
            cut,
            archive_version: me.archive.version,
            retired_before: None,
            committed_at_us: 0,
            asked: Asked::default(),
        };
        Some(Made { base: self.views[metric].len(), view: View { note, rows }, asked: false })
    }
}

/// Whether the view counts that definition.
fn counts(view: &View, definition: usize, archive: &Archive) -> bool {
    own_view(Some(&view.note), &hash(definition), &RulesHash::from("rules"), Some(&archive.facts)).is_some()
}
