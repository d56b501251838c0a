//! R12, walked at random: one partition whose log loses its tail and grows again or stays short, with one archiver, one
//! worker, one reconcile, one reader and an operator, each with the project's own functions. Records have a number, so that
//! what is counted can be told from what has only the same offset. Some offsets are markers, without a record.
//!
//! After every step, an answer that claims to be complete counts no record twice, and every record that had arrived
//! when it was dated, unless an operator accepted a loss. At the end of every walk, once all layers catch up, answers
//! are complete.

use std::collections::{BTreeMap, BTreeSet};

use shared_logic::catalog::{DecodingRules, DefinitionHash};
use shared_logic::complete::{self, Evidence, Standing, TopicState};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::{Asked, Note};
use shared_logic::contracts::speed_view::{Instance, Shard};
use shared_logic::cut::{self, CutPlan, Rotated};
use shared_logic::log::{Check, Content, Offsets, Outcome, PartitionId, Position, Witness};
use test_kit::{Dice, first_seed, repetitions};

use super::world::hash;

const TOPIC: &str = "log";
const STEPS: usize = 60;
const RECORDS_MAX: usize = 12;

#[test]
fn a_log_that_lost_its_tail_is_never_answered_as_if_it_had_not() {
    let wanted = repetitions(200_000, 4_000_000);
    let (mut steps, mut complete, mut exactly, mut by_end) = (0, 0, 0, 0);
    for seed in first_seed().. {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
            match world.answer() {
                Ok(_) => complete += 1,
                Err(Answer::Incomplete) => {}
                Err(Answer::Wrong(why)) => panic!("BRAID_SEED={seed}: {why}\n{}", world.story.join("\n")),
            }
        }
        if let Err(why) = world.heals() {
            panic!("BRAID_SEED={seed}: {why}\n{}", world.story.join("\n"));
        }
        (steps, exactly, by_end) = (steps + STEPS, exactly + world.exactly, by_end + world.by_end);
        if steps >= wanted {
            break;
        }
    }
    assert!(exactly > 0, "no log grew again exactly up to a cursor");
    assert!(by_end > 0, "no end decided where the last record was gone");
    assert!(complete * 10 > steps, "only {complete} of {steps} answers were complete");
}

#[derive(Debug)]
enum Answer {
    Incomplete,
    Wrong(String),
}

struct World {
    dice: Dice,
    /// By offset; `None` is a marker.
    log: Vec<Option<u32>>,
    /// What a lagging end hides.
    hidden: Vec<Option<u32>>,
    fresh: u32,
    losses: usize,
    facts: Facts,
    rows: BTreeMap<PartitionId, BTreeMap<i64, u32>>,
    shards: BTreeMap<PartitionId, Shard>,
    counters: BTreeMap<(PartitionId, i64), Vec<u32>>,
    cut: Option<Offsets>,
    /// What an answer claims to hold.
    dated: BTreeSet<u32>,
    /// What archiver and worker have read and not written: from that position of that incarnation.
    archiver: Option<(PartitionId, i64, Option<u32>)>,
    worker: Option<(PartitionId, i64, Option<u32>)>,
    /// How often a worker found that the log had lost its tail and had grown again exactly up to the cursor; …
    exactly: usize,
    /// … and how often no record but only the log's end told so.
    by_end: usize,
    story: Vec<String>,
}

fn witness(offset: i64, record: u32) -> Witness {
    let bytes = record.to_le_bytes();
    Witness::of(offset, None, &Content { timestamp_us: None, key: None, payload: Some(&bytes), headers: None })
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let mut facts = Facts::default();
        let first = PartitionId::new(TOPIC, 0);
        facts.begin(&first, 0);
        let losses = dice.between(0, 3) as usize;
        World {
            dice,
            log: Vec::new(),
            hidden: Vec::new(),
            fresh: 0,
            losses,
            facts,
            rows: BTreeMap::new(),
            shards: BTreeMap::new(),
            counters: BTreeMap::new(),
            cut: None,
            dated: BTreeSet::new(),
            archiver: None,
            worker: None,
            exactly: 0,
            by_end: 0,
            story: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.dice.below(17) {
            0..4 => self.produce(),
            4..8 => self.archive(),
            8..12 => self.count(),
            12 => self.reconcile(),
            13 if self.losses > 0 && self.hidden.is_empty() && !self.log.is_empty() => self.lose(),
            14 => self.accept(),
            15 => self.give_up(),
            _ => self.returns(),
        }
    }

    fn produce(&mut self) {
        if self.log.len() < RECORDS_MAX && self.hidden.is_empty() {
            // Neither at the start nor two in a row: a position after nothing but markers has no witness.
            let is_marker = self.log.last().is_some_and(Option::is_some) && self.dice.chance(25);
            let record = (!is_marker).then_some(self.fresh);
            self.story.push(format!("{record:?} arrives at {}", self.log.len()));
            self.log.push(record);
            self.fresh += 1;
        }
    }

    fn lose(&mut self) {
        self.losses -= 1;
        let tail = self.log.split_off(self.dice.below(self.log.len()));
        let comes_back = self.dice.chance(30);
        self.story.push(format!("the log ends at {}, comes back: {comes_back}", self.log.len()));
        if comes_back {
            self.hidden = tail;
        }
    }

    fn returns(&mut self) {
        self.log.append(&mut self.hidden);
    }

    fn accept(&mut self) {
        if self.facts.accept_losses() > 0 {
            self.dated.clear();
        }
    }

    fn current(&self) -> PartitionId {
        self.facts.current(TOPIC, 0)
    }

    /// Compares the log with a position, as both layers do; `None`: it is too short.
    fn compared(&self, witness: Option<Witness>, next: i64) -> Option<Outcome> {
        let end = self.log.len() as i64;
        let Some(known) = witness else { return (end >= next).then_some(Outcome::Fits) };
        let mut check = Check::new(known, next, false);
        let from = check.begins_at().max(0);
        let at = |offset: i64| Some(self::witness(offset, self.log[offset as usize]?));
        let mut records = (from..end).filter_map(at);
        let found = records.find_map(|record| check.record(&record));
        found.or_else(|| check.end(end))
    }

    /// What the archive last archived at that offset, up to that incarnation.
    fn archived(&self, id: &PartitionId, offset: i64) -> Option<u32> {
        let lives = self.facts.lives(id);
        let (life, _, _) = lives.iter().rfind(|(_, from, to)| (*from..*to).contains(&offset))?;
        self.rows.get(life)?.get(&offset).copied()
    }

    /// The last record that is archived below that offset.
    fn last_archived(&self, id: &PartitionId, at: i64) -> Option<Witness> {
        (0..at).rev().find_map(|offset| Some(witness(offset, self.archived(id, offset)?)))
    }

    fn archive(&mut self) {
        let id = self.current();
        let known = self.facts.partition(&id).expect("begun").clone();
        let Some((read, from, record)) = self.archiver.take() else {
            if let Some(record) = self.log.get(known.next as usize) {
                self.archiver = Some((id, known.next, *record));
            } else if let Some(Outcome::Differs(seen)) = self.compared(known.witness, known.next) {
                self.begins(&id, seen);
            }
            return;
        };
        // The witness is compared after the record was read.
        match self.compared(known.witness, known.next) {
            Some(Outcome::Differs(seen)) => self.begins(&id, seen),
            Some(Outcome::Fits) if read == id && self.facts.advance(&id, from, from + 1) => {
                self.story.push(format!("{id} archives {record:?} at {from}"));
                if let Some(record) = record {
                    self.facts.note_witness(&id, witness(from, record));
                    self.rows.entry(id).or_default().insert(from, record);
                }
            }
            _ => {}
        }
    }

    /// As `batch_layer::archive` does: the first offset that differs from what was archived there.
    fn begins(&mut self, id: &PartitionId, seen: i64) {
        let differs = |offset: &i64| self.archived(id, *offset) != self.log[*offset as usize];
        let next = self.facts.partition(id).expect("begun").next;
        let at = (0..next.min(self.log.len() as i64)).find(differs).unwrap_or(seen).min(seen);
        let before = self.last_archived(id, at);
        if let Some(next) = self.facts.lose_tail(id, at, before) {
            self.began(&next, at);
        }
    }

    fn began(&mut self, next: &PartitionId, at: i64) {
        self.story.push(format!("{next} begins at {at}"));
        // Its shard dates answers itself.
        let whole = self.log.iter().chain(&self.hidden).skip(at as usize);
        for record in whole.flatten() {
            self.dated.remove(record);
        }
        self.worker = None;
    }

    fn count(&mut self) {
        let id = self.current();
        let Some(shard) = self.shards.get(&id).cloned() else {
            let at = cut::opening(self.cut.iter(), &id, &self.facts).expect("begun");
            let known = self.facts.partition(&id).filter(|known| known.next == at);
            let at = Position { offset: at, witness: known.and_then(|known| known.witness) };
            let opened = Shard::open(None, at, &[hash(0)], Instance::new(self.dice.throw())).expect("there is none");
            self.story.push(format!("{id} is opened at {}", at.offset));
            self.shards.insert(id, opened);
            return;
        };
        if shard.truncated.is_some() {
            return;
        }
        let archived = self.facts.partition(&id).filter(|known| known.next > shard.cursor || shard.witness().is_none());
        let ahead = archived.and_then(|known| Some(self.compared(Some(known.witness?), known.next)));
        let own = self.compared(shard.witness(), shard.cursor);
        let outcomes = [ahead.unwrap_or(Some(Outcome::Fits)), own];
        let differs = outcomes.iter().find_map(|outcome| match outcome {
            Some(Outcome::Differs(at)) => Some(*at),
            _ => None,
        });
        if let Some(at) = differs {
            let is_end = self.log.len() as i64 == shard.cursor;
            self.exactly += usize::from(is_end);
            self.by_end += usize::from(is_end && self.log[at as usize..].iter().all(Option::is_none));
            let marked = Shard::mark(Some(&shard), shard.instance, at).expect("its instance");
            self.story.push(format!("{id} is marked at {at}"));
            self.shards.insert(id, marked);
            self.worker = None;
            return;
        }
        let fits = outcomes.iter().all(|outcome| *outcome == Some(Outcome::Fits));
        match self.worker.take() {
            Some((read, from, record)) if fits && read == id && from == shard.cursor => {
                let read = record.map(|record| witness(from, record));
                let to = Position { offset: from + 1, witness: read.or(shard.witness()) };
                let applied = Shard::apply(Some(&shard), &shard.expected(), to).expect("as expected");
                self.story.push(format!("{id} counts {record:?} at {from}"));
                self.counters.entry((id.clone(), shard.last_slice())).or_default().extend(record);
                self.shards.insert(id, applied);
            }
            _ => match self.log.get(shard.cursor as usize) {
                Some(record) => self.worker = Some((id, shard.cursor, *record)),
                // The end dates the answer, because the witness fits.
                None if fits && self.hidden.is_empty() => self.dated.extend(self.log.iter().flatten().copied()),
                None => {}
            },
        }
    }

    /// As `batch_layer::give_up` does: an operator says that the log will not be whole again.
    fn give_up(&mut self) {
        if !self.hidden.is_empty() {
            return;
        }
        let (id, end) = (self.current(), self.log.len() as i64);
        let (next, before) = (self.facts.partition(&id).expect("begun").next, self.last_archived(&id, end));
        if let Some(next) = self.facts.give_up(&id, next, end, before) {
            self.began(&next, end);
        }
        for id in self.facts.incarnations(TOPIC, 0).into_iter().filter(|id| !self.facts.is_settled(id)) {
            let Some(shard) = self.shards.get_mut(&id).filter(|shard| shard.cursor > end) else { continue };
            *shard = Shard::mark(Some(shard), shard.instance, end).expect("its instance");
            self.story.push(format!("{id} is given up at {end}"));
        }
    }

    fn reconcile(&mut self) {
        let id = self.current();
        let mut rotated = Rotated::new();
        if let Ok((shard, _)) = Shard::rotate(self.shards.get(&id), 9) {
            let vouched = |position: &Position| {
                let known = position.witness.map(|witness| (witness, self.archived(&id, witness.offset)));
                known.is_none_or(|(found, row)| row.is_some_and(|row| witness(found.offset, row).is_same(&found)))
            };
            let count = if shard.truncated.is_some() { 0 } else { shard.slices.len() };
            let begins = shard.positions().take(count).filter(vouched).map(|position| position.offset);
            rotated.insert(id.clone(), begins.collect());
            if shard.truncated.is_some() {
                let known = self.facts.partition(&id).expect("begun").clone();
                if let Some(next) = self.facts.lose_tail(&id, known.next, known.witness) {
                    self.began(&next, known.next);
                }
            }
            self.shards.insert(id.clone(), shard);
        }
        let truncated: Vec<PartitionId> = self.facts.truncated_partitions().map(|(id, _)| id).collect();
        for id in truncated {
            self.settle(&id);
        }
        let CutPlan::Ready(cut) = cut::plan(self.cut.as_ref(), &rotated, &self.facts) else { return };
        self.story.push(format!("a reconcile takes the cut {cut:?}"));
        self.cut = Some(cut);
    }

    fn settle(&mut self, id: &PartitionId) {
        let all = self.facts.incarnations(TOPIC, 0);
        let holds = |found: &Witness| {
            all.iter().any(|id| {
                let row = self.rows.get(id).and_then(|rows| rows.get(&found.offset));
                row.is_some_and(|row| witness(found.offset, *row).is_same(found))
            })
        };
        let lost = self.shards.get(id).and_then(|shard| cut::lost_with_tail(shard, holds));
        let next = self.facts.partition(&self.current()).expect("begun").next;
        let shard = self.shards.get(id);
        if lost.is_some() && shard.is_some_and(|shard| shard.truncated.is_none() && next < shard.cursor) {
            return;
        }
        self.facts.settle_truncated(id, lost);
    }

    /// The records that are counted.
    fn answer(&self) -> Result<Vec<u32>, Answer> {
        let (definition, rules): (DefinitionHash, _) = (hash(0), DecodingRules::from("rules"));
        let note = self.cut.clone().map(|cut| Note {
            definition: definition.clone(),
            cut,
            archive_version: 0,
            retired_before: None,
            committed_at_us: 0,
            asked: Asked::default(),
        });
        let topic = TopicState { log: Some((TOPIC.to_owned(), 1)), at_us: 0 };
        let shards = self.shards.iter().map(|(id, shard)| (id.clone(), Some(shard.clone()))).collect();
        let standing = Standing::of(&Evidence {
            definition: &definition,
            rules: &rules,
            view: note.as_ref(),
            archive: Some(&self.facts),
            archive_version: 0,
            topic: Some(&topic),
            log_only: false,
        });
        let verdict = standing.judge(&shards, |_| None);
        if !verdict.gaps.is_empty() {
            return Err(Answer::Incomplete);
        }
        let mut counted: Vec<u32> = Vec::new();
        for (id, rows) in &self.rows {
            let below = self.cut.as_ref().and_then(|cut| cut.get(id)).unwrap_or(i64::MIN);
            counted.extend(rows.range(..below).map(|(_, record)| *record));
        }
        for ((id, slice), records) in &self.counters {
            let counts = verdict.from.get(id).is_some_and(|from| slice >= from);
            if counts
                && self.shards.get(id).is_some_and(|shard| complete::counts(shard) && shard.slices.contains(slice))
            {
                counted.extend(records);
            }
        }
        let distinct: BTreeSet<u32> = counted.iter().copied().collect();
        if distinct.len() < counted.len() {
            return Err(Answer::Wrong(format!("counted twice: {counted:?}")));
        }
        let missing: Vec<&u32> = self.dated.difference(&distinct).collect();
        if missing.is_empty() {
            Ok(counted)
        } else {
            Err(Answer::Wrong(format!("complete without {missing:?}: {counted:?}")))
        }
    }

    /// All layers catch up, and an operator accepts what is lost.
    fn heals(&mut self) -> Result<(), String> {
        self.returns();
        // A log that ends below a position is waited for, unless an operator gives up what lay there.
        let stays_short = self.dice.chance(50);
        while !stays_short && self.log.len() < RECORDS_MAX {
            self.produce();
        }
        for _ in 0..6 {
            if stays_short {
                self.give_up();
            }
            for _ in 0..4 * RECORDS_MAX {
                self.archive();
                self.count();
            }
            self.reconcile();
            self.accept();
        }
        let id = self.current();
        let cursor = self.shards.get(&id).map(|shard| shard.cursor);
        match self.answer() {
            Ok(_) if cursor >= Some(self.log.len() as i64) => Ok(()),
            answer => Err(format!("never complete again: {answer:?}, cursor {cursor:?}")),
        }
    }
}
