//! Random archives, metrics and limits of memory, counted in several reconciles of which two run at once and some are killed or
//! lose the reply to their commit, while events are erased: every version of the view holds what a count by hand gives for all
//! records below its cut that its archive still had, and so does a view that is counted at once. What each of them finds explains
//! what a speed layer counts of the same records, unless some of them were erased.

use std::collections::{BTreeMap, BTreeSet};

use platform::settings::Size;
use shared_logic::dedup::{RecentIdentities, Sighting};
use shared_logic::drift::{self, Found, Said};
use shared_logic::group_key::KeyPart;
use shared_logic::identity::Identity;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::measure::Value;
use test_kit::{Dice, first_seed, repetitions};

use super::super::*;
use super::audits::{audited, key};
use super::bench::{Bench, CATALOG, Event, Record, Rows, recount};
use super::erasures::erase;

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
/// The metric's grain, in the catalog and in minutes.
const GRAINS: [(&str, i64); 6] = [("1m", 1), ("30m", 30), ("1h", 60), ("90m", 90), ("8h", 8 * 60), ("1d", 24 * 60)];
/// The speed layer's windows: some copies lie within them, and some beyond.
const WINDOWS: [u64; 4] = [0, 2, 5, 500_000];
/// For two rows at a time, for eight, and for all.
const MEMORY: [u64; 3] = [2 * ROW_BYTES, 8 * ROW_BYTES, 512 << 20];

#[tokio::test(flavor = "multi_thread")]
async fn any_reconciles_count_what_a_count_by_hand_does() {
    let mut total = Tally::default();
    for seed in (first_seed()..).take(repetitions(12, 400)) {
        // The last line that is printed names the seed of a failure.
        println!("BRAID_SEED={seed}");
        let mut walk = Walk::new(seed).await;
        for _ in 0..STEPS {
            walk.step().await;
        }
        walk.ends().await;
        let Tally { commits, conflicts, kills, merged, recomputed, erased, drifted } = walk.tally;
        total.drifted += drifted;
        total.commits += commits;
        total.conflicts += conflicts;
        total.kills += kills;
        total.merged += merged;
        total.recomputed += recomputed;
        total.erased += erased;
    }
    let Tally { commits, conflicts, kills, merged, recomputed, erased, drifted } = total;
    assert!(
        conflicts > 0 && kills > 0 && commits > conflicts,
        "{commits} commits, {conflicts} conflicts, {kills} kills"
    );
    assert!(merged > 0 && recomputed > 0, "{merged} files replaced, {recomputed} hours recomputed");
    assert!(erased > 0, "nothing was erased");
    assert!(drifted > 0, "in no reconcile speed had counted a copy too many");
}

/// A reconcile that runs step by step, beside another.
struct Running {
    view: BatchView,
    archive: Archive,
    plan: Plan,
    done: Vec<DayDone>,
}

/// What has happened.
#[derive(Debug, Default)]
struct Tally {
    commits: u64,
    conflicts: u64,
    kills: u64,
    merged: usize,
    recomputed: u64,
    erased: u64,
    drifted: u64,
}

struct Walk {
    dice: Dice,
    bench: Bench,
    grain_ms: i64,
    /// Whether the metric counts only events whose `n` is not negative.
    is_filtered: bool,
    window: u64,
    records: Vec<Record>,
    /// By place, the version of the archive from which on a record is erased.
    erased: BTreeMap<(PartitionId, i64), u64>,
    running: [Option<Running>; 2],
    /// The cut of the newest version.
    cut: Offsets,
    tally: Tally,
}

impl Walk {
    async fn new(seed: u64) -> Walk {
        let mut dice = Dice::new(seed);
        let ((grain, minutes), is_filtered) = (*dice.pick(&GRAINS), dice.chance(50));
        let window = *dice.pick(&WINDOWS);
        let mut catalog = CATALOG.replace("30m", grain);
        catalog = catalog.replace("[sources.s]\n", &format!("[sources.s]\ndedup_window = {window}\n"));
        if is_filtered {
            catalog = catalog.replace("by = [", "where = \"n >= 0\"\nby = [");
        }
        let memory = Size::from_bytes(*dice.pick(&MEMORY));
        let reconcile = settings::Reconcile { memory, ..settings::Reconcile::default() };
        let bench = Bench::of(&catalog, Settings { reconcile, ..Settings::default() }, &partitions()).await;
        Walk {
            dice,
            bench,
            grain_ms: minutes * 60_000,
            is_filtered,
            window,
            records: Vec::new(),
            erased: BTreeMap::new(),
            running: [None, None],
            cut: Offsets::default(),
            tally: Tally::default(),
        }
    }

    async fn step(&mut self) {
        if self.dice.chance(30) {
            return self.archives().await;
        }
        if self.dice.chance(8) {
            return self.erases().await;
        }
        let at = self.dice.below(self.running.len());
        match self.running[at].take() {
            None => {
                let rotated = self.rotated();
                self.running[at] = Some(self.counts(&rotated).await);
            }
            // Its files and what it added to the index of identities stay behind.
            Some(_) if self.dice.chance(15) => self.tally.kills += 1,
            Some(running) => self.commits(running).await,
        }
    }

    /// Everything that is archived is counted, and nothing runs beside it; then everything is counted again, at once.
    async fn ends(&mut self) {
        let last = self.counts(&Rotated::new()).await;
        self.commits(last).await;
        self.audits().await;
        let everything: Offsets = partitions().into_iter().map(|id| (id.clone(), self.bench.next(&id))).collect();
        assert_eq!(self.cut, everything, "without shards the cut is what is archived");
        let (view, archive, reconciler) = (self.bench.view().await, self.bench.archive.clone(), &self.bench.reconciler);
        let rotated = Rotated::new();
        let counted = reconciler.recount(self.bench.metric(), &view, &Counted::Nothing, &archive, &rotated).await;
        let (plan, done) = counted.expect("counted");
        self.commits(Running { view, archive, plan, done }).await;
    }

    /// An audit recounts from the bytes, by other code again, and finds nothing.
    async fn audits(&self) {
        for key in [KeyPart::All, KeyPart::Missing, key(""), key("a")] {
            let found = audited(&self.bench, key).await;
            assert!(found.differences.is_empty() && found.without_bytes == 0, "{found:?}: {:?}", self.records);
        }
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

    /// Erases every copy of an event that is archived so far, in one commit or in several.
    async fn erases(&mut self) {
        let (house, id) = (*self.dice.pick(&["h", "j"]), self.dice.between(0, IDS - 1));
        let is_selected =
            |record: &&Record| record.event.as_ref().is_some_and(|event| (event.house, event.id) == (house, id));
        let places = self.records.iter().filter(is_selected).map(|record| (record.id.clone(), record.offset));
        let places: Vec<(PartitionId, i64)> = places.filter(|place| !self.erased.contains_key(place)).collect();
        let files_max = *self.dice.pick(&[1, 256]);
        let taken_out = erase(&mut self.bench, &format!("house = '{house}' and id = {id}"), files_max).await;
        assert_eq!(taken_out.events, places.len() as u64);
        let version = self.bench.archive.version();
        self.erased.extend(places.into_iter().map(|place| (place, version)));
        self.tally.erased += taken_out.events;
    }

    fn event(&mut self) -> Event {
        let at_ms = self.dice.between(0, DAYS - 1) * DAY_MS + *self.dice.pick(&MINUTES) * 60_000;
        let (house, k) = (*self.dice.pick(&["h", "j"]), *self.dice.pick(&[None, Some(""), Some("a")]));
        // Copies may differ in it. Two large ones leave 64 bits.
        let n = if self.dice.chance(80) { self.dice.between(-9, 9) } else { *self.dice.pick(&[i64::MIN, i64::MAX]) };
        Event { house, id: self.dice.between(0, IDS - 1), at_ms, k, n }
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

    async fn counts(&self, rotated: &Rotated) -> Running {
        let (view, archive) = (self.bench.view().await, self.bench.archive.clone());
        let (plan, done) = recount(&self.bench.reconciler, &view, &archive, rotated).await;
        Running { view, archive, plan, done }
    }

    /// Commits unless the other did since, and compares the new version with a count by hand.
    async fn commits(&mut self, running: Running) {
        let Running { mut view, archive, plan, done } = running;
        let is_newest = view.version() == self.bench.view().await.version();
        let (mut older, again) = (view.clone(), (plan.clone(), done.clone()));
        let (reconciler, metric) = (&self.bench.reconciler, self.bench.metric());
        self.tally.merged += done.iter().map(|day| day.replaced.len()).sum::<usize>();
        if let Some(note) = view.note().filter(|note| !plan.rebuilt && self.is_comparable(&note.cut, &plan, &archive)) {
            self.tally.drifted += self.explained(&note.cut, &plan, &done);
        }
        let committed = reconciler.commit(metric, &mut view, plan, done).await.expect("tried");
        assert_eq!(committed.is_some(), is_newest, "of two on one version, one commits");
        let Some(Changed { work, .. }) = committed else {
            self.tally.conflicts += 1;
            return;
        };
        if self.dice.chance(30) {
            // The reply was lost: a second try, on the version that it was planned on, changes nothing.
            let again = reconciler.commit(metric, &mut older, again.0, again.1).await;
            assert_eq!(again.expect("tried"), None);
        }
        self.tally.commits += 1;
        self.tally.recomputed += work.recomputed;
        let newest = self.bench.view().await;
        let note = newest.note().expect("committed");
        let (cut, archived_at) = (note.cut.clone(), note.archive_version);
        for id in partitions() {
            let (before, now) = (self.cut.get(&id).unwrap_or(0), cut.get(&id).expect("it is begun"));
            let archived = archive.facts().partition(&id).expect("begun").next;
            assert!(before <= now && now <= archived, "{id}: the cut moved from {before} to {now} of {archived}");
        }
        assert_eq!(
            self.bench.rows_of(&newest).await,
            self.by_hand(&cut, archived_at),
            "below {cut:?}: {:?}",
            self.records
        );
        self.cut = cut;
    }

    /// Whether nothing was erased of what a speed layer counts or knows as older copies, and no hour is counted again.
    fn is_comparable(&self, old: &Offsets, plan: &Plan, archive: &Archive) -> bool {
        let (facts, rules) = (archive.facts(), self.bench.source().decoding_rules());
        let is_whole = |range: &OffsetRange| drift::archived(range, self.window, &rules, &facts).is_ok();
        plan.tasks.iter().all(|task| task.units.is_empty()) && drift::moved(old, &plan.cut, &facts).iter().all(is_whole)
    }

    /// What was found between two cuts explains all that a speed layer counts there; returns how many events that is too much.
    fn explained(&self, old: &Offsets, plan: &Plan, done: &[DayDone]) -> u64 {
        let (metric, said) = (self.bench.metric(), self.said(old, &plan.cut));
        let kinds: Vec<_> = metric.measures.iter().map(|measure| measure.kind).collect();
        let mut found = Found::default();
        done.iter().for_each(|day| found.add(&kinds, day.found.clone()));
        let drift = drift::compare(metric, &said, &found);
        assert_eq!(drift.unexplained, 0, "{drift:?}: {said:?} and {found:?} of {:?}", self.records);
        let events = |rows: Rows| rows.values().map(|row| row.0).sum::<i64>();
        let archived_at = plan.archive_version;
        let changed = events(self.by_hand(&plan.cut, archived_at)) - events(self.by_hand(old, archived_at));
        let counted: i128 =
            said.values().map(|values| if let Value::Int(events) = values[0] { events } else { 0 }).sum();
        let of = &drift.measures[0];
        assert_eq!((of.speed.as_i64().map(i128::from), of.batch.as_i64()), (Some(counted), Some(changed)), "{of:?}");
        assert_eq!((of.difference.as_u64(), of.duplicates.as_u64()), (Some(drift.duplicates), Some(drift.duplicates)));
        drift.duplicates
    }

    /// What a speed layer counts between two cuts, everything together.
    fn said(&self, old: &Offsets, new: &Offsets) -> Said {
        let (metric, mut said) = (self.bench.metric(), Said::new());
        for id in partitions() {
            let mut records: Vec<&Record> = self.records.iter().filter(|record| record.id == id).collect();
            records.sort_by_key(|record| record.offset);
            let range = old.get(&id).unwrap_or(0)..new.get(&id).unwrap_or(0);
            let mut window = RecentIdentities::new(self.window);
            for record in records {
                let Some(event) = &record.event else { continue };
                let of_house = [event.house.as_bytes(), &event.id.to_le_bytes()];
                let identity = Identity::of(of_house, event.at_ms);
                let is_copy = window.judge(&[Sighting { identity, offset: record.offset }]) == [true];
                if is_copy || !range.contains(&record.offset) || self.is_filtered && event.n < 0 {
                    continue;
                }
                let bucket_us = (event.at_ms - event.at_ms % self.grain_ms) * 1_000;
                let nothing = || metric.measures.iter().map(|measure| measure.kind.identity()).collect();
                let values: &mut Vec<Value> = said.entry(bucket_us).or_insert_with(nothing);
                for (at, more) in [1, event.n].into_iter().enumerate() {
                    let sum = metric.measures[at].kind.merge(values[at].clone(), Value::Int(more.into()));
                    // As a slice keeps it.
                    values[at] = sum.finalized();
                }
            }
        }
        said
    }

    /// Of the copies of an event below the cut, the first counts: by log, partition and offset. What it says decides whether the
    /// event is counted. Those that were erased in that version of the archive are none.
    fn by_hand(&self, cut: &Offsets, archived_at: u64) -> Rows {
        let order = |id: &PartitionId| partitions().iter().position(|other| other == id);
        let is_below = |record: &&Record| cut.get(&record.id).is_some_and(|cut| record.offset < cut);
        let is_left = |record: &&Record| {
            let erased_at = self.erased.get(&(record.id.clone(), record.offset));
            erased_at.is_none_or(|erased_at| archived_at < *erased_at)
        };
        let mut below: Vec<&Record> = self.records.iter().filter(is_below).filter(is_left).collect();
        below.sort_by_key(|record| (order(&record.id), record.offset));
        let (mut seen, mut rows) = (BTreeSet::new(), Rows::new());
        for event in below.into_iter().filter_map(|record| record.event.as_ref()) {
            let is_first = seen.insert((event.house, event.id, event.at_ms));
            if is_first && !(self.is_filtered && event.n < 0) {
                let bucket_us = (event.at_ms - event.at_ms % self.grain_ms) * 1_000;
                let row = rows.entry((bucket_us, event.k.map(str::to_owned))).or_default();
                *row = (row.0 + 1, row.1 + i128::from(event.n));
            }
        }
        rows
    }
}

fn partitions() -> Vec<PartitionId> {
    LOGS.iter().flat_map(|log| (0..PARTITIONS).map(move |partition| PartitionId::new(*log, partition))).collect()
}
