//! A reconcile: rotates, waits for the archive, recomputes each metric, commits rows and cut at once.

use std::collections::BTreeMap;
use std::rc::Rc;

use shared_logic::complete::own_view;
use shared_logic::contracts::batch_view::Note;
use shared_logic::contracts::speed_view::Shard;
use shared_logic::cut::{self, CutPlan};
use shared_logic::log::{OffsetRange, PartitionId};

use super::mask::Mask;
use super::world::{Archive, File, View, World, hash};

#[derive(Debug, Clone)]
pub(super) struct Reconcile {
    archive: Rc<Archive>,
    to_rotate: Vec<PartitionId>,
    rotated: BTreeMap<PartitionId, i64>,
    /// Closed logs whose shards it has asked.
    settled: Vec<String>,
    definitions: Vec<usize>,
    /// Recomputed for the last of the definitions, on that version of its view.
    made: Option<(usize, View)>,
    /// It waits for the archive as long as it takes.
    patient: bool,
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

    /// One step of a reconcile of the newest catalog that may fail for a metric, but never gives up waiting.
    pub(super) fn patient_reconcile(&mut self) {
        self.reconciles[0] = match self.reconciles[0].take() {
            None => {
                let mut reconcile = self.starts(0, self.catalog);
                reconcile.patient = true;
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
            rotated: BTreeMap::new(),
            settled: Vec::new(),
            definitions: self.scenario.catalogs[catalog].to_vec(),
            made: None,
            patient: false,
        }
    }

    fn reconcile_step(&mut self, at: usize, mut me: Reconcile) -> Option<Reconcile> {
        if let Some(id) = me.to_rotate.pop() {
            if let Ok((shard, begin)) = Shard::rotate(self.redis.shards.get(&id), self.max_slices) {
                self.tell(|| format!("reconcile {at} rotates {id} and gets {begin}"));
                self.redis.shards.insert(id.clone(), shard);
                me.rotated.insert(id, begin);
            }
            return Some(me);
        }
        let definition = *me.definitions.last()?;
        let metric = self.scenario.metric_of[definition];
        let Some((base, view)) = me.made.take() else {
            if let CutPlan::Waiting(behind) = cut::plan(None, &me.rotated, &me.archive.facts) {
                if !me.patient && self.dice.chance(30) {
                    // The wait is over: what the archive does not cover is left to the next one.
                    me.rotated.extend(behind.into_iter().map(|late| (late.partition, late.archived)));
                }
                me.archive = Rc::clone(&self.archive);
                return Some(me);
            }
            let logs = &me.archive.facts.logs;
            if let Some(log) = logs.iter().find(|log| log.closed && !me.settled.contains(&log.log)) {
                let log = log.log.clone();
                self.settle(&log);
                me.archive = Rc::clone(&self.archive);
                me.settled.push(log);
                return Some(me);
            }
            me.made = self.recomputed(definition, &me);
            if me.made.is_none() {
                // Its look at the archive is older than the newest view.
                me.archive = Rc::clone(&self.archive);
            }
            return Some(me);
        };
        if base == self.views[metric].len() {
            self.tell(|| {
                format!("reconcile {at} commits metric {metric}, definition {definition}, cut {:?}", view.note.cut)
            });
            self.views[metric].push(Rc::new(view));
            me.definitions.pop();
        } else {
            me.archive = Rc::clone(&self.archive);
        }
        Some(me)
    }

    /// As `batch_layer::reconcile` does: cut and rows from the newest view and one look at the archive.
    fn recomputed(&self, definition: usize, me: &Reconcile) -> Option<(usize, View)> {
        let metric = self.scenario.metric_of[definition];
        let newest = self.views[metric].last();
        let previous = newest.map(|view| &view.note.cut);
        let CutPlan::Ready(cut) = cut::plan(previous, &me.rotated, &me.archive.facts) else { return None };
        let own = newest.filter(|view| own_view(Some(&view.note), &hash(definition)).is_some());
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
        let note = Note { definition: hash(definition), cut, archive_version: me.archive.version, committed_at_us: 0 };
        Some((self.views[metric].len(), View { note, rows }))
    }
}
