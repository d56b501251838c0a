//! Readers: what they are told, and whether it is true.

use std::rc::Rc;

use shared_logic::catalog::{DecodingRules, RulesHash};
use shared_logic::complete::{self, Evidence, Gap, Shards, Standing, TopicState, Verdict};
use shared_logic::log::PartitionId;

use super::mask::Mask;
use super::world::{Archive, CounterId, View, World, hash};

/// What a reader looked at; shards are read at the time of the answer.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    views: Vec<Option<Rc<View>>>,
    archive: Rc<Archive>,
    topic: TopicState,
}

impl World {
    /// A slow reader takes a look and holds it.
    pub(super) fn hold(&mut self) {
        self.held = Some(self.snapshot());
    }

    fn snapshot(&self) -> Snapshot {
        let log = Some((self.topic.log.clone(), self.topic.partitions.len() as i32));
        Snapshot {
            views: self.views.iter().map(|versions| versions.last().cloned()).collect(),
            archive: Rc::clone(&self.archive),
            topic: TopicState { log, at_us: 0 },
        }
    }

    /// What is wrong with any answer that any reader would be given now, or with the commit that led to it.
    pub(super) fn wrong(&mut self) -> Option<String> {
        if self.unmet.is_some() {
            return self.unmet.take();
        }
        let now = self.snapshot();
        let mut looks = vec![("now", now.clone())];
        if let Some(held) = &self.held {
            looks.push(("with a held look", held.clone()));
            looks.push((
                "with held views and the archive of now",
                Snapshot { views: held.views.clone(), ..now.clone() },
            ));
            looks.push(("with an older look at archive and topic", Snapshot { views: now.views, ..held.clone() }));
        }
        let mut definitions: Vec<usize> = self.scenario.catalogs[..=self.catalog].concat();
        definitions.sort_unstable();
        definitions.dedup();
        for definition in definitions {
            for (how, look) in &looks {
                self.answers += 1;
                match self.answered(definition, look) {
                    Answer::Gaps(_) => {}
                    Answer::Exact => self.complete += 1,
                    Answer::Wrong(what) => {
                        return Some(format!(
                            "a reader of definition {definition}, {how}, is told `complete`, but {what}"
                        ));
                    }
                }
            }
        }
        None
    }

    /// Why the answers of definitions that no catalog left out are not complete now.
    pub(super) fn interrupted(&self) -> Option<String> {
        let now = self.snapshot();
        let all = self.scenario.catalogs.iter();
        let lasting =
            self.scenario.catalogs[0].iter().filter(|definition| all.clone().all(|of| of.contains(definition)));
        lasting.map(|definition| (definition, self.answered(*definition, &now))).find_map(|(definition, answer)| {
            match answer {
                Answer::Exact => None,
                Answer::Gaps(gaps) => Some(format!("definition {definition}: {gaps}")),
                Answer::Wrong(what) => Some(format!("definition {definition} is wrong: {what}")),
            }
        })
    }

    /// A few fair rounds without faults; gives why answers are still not complete.
    pub(super) fn heal(&mut self) -> Option<String> {
        let mut gaps = Vec::new();
        for _ in 0..4 {
            self.tell(|| "-- a fair round".to_owned());
            self.calm();
            self.archiver_catches_up();
            self.workers_catch_up();
            self.archiver_catches_up();
            self.reconcile_to_the_end();
            self.drop_all();
            self.workers_catch_up();
            gaps = self.left_open();
            if gaps.is_empty() {
                return None;
            }
        }
        Some(gaps.join("; "))
    }

    /// What the newest catalog's readers still miss, and which cuts do not reach their log's end.
    fn left_open(&self) -> Vec<String> {
        let now = self.snapshot();
        let mut open = Vec::new();
        for (id, end) in self.archive.facts.closed_partitions() {
            if let Some(counted) = self.redis.counted.get(&id).filter(|counted| **counted > end) {
                open.push(format!("{id} was counted up to {counted}, and no loss is noted from {end} on"));
            }
        }
        for definition in self.scenario.catalogs[self.catalog] {
            match self.answered(*definition, &now) {
                Answer::Exact => {}
                Answer::Gaps(gaps) => open.push(format!("definition {definition}: {gaps}")),
                Answer::Wrong(what) => open.push(format!("definition {definition} is wrong: {what}")),
            }
            let view = now.views[self.scenario.metric_of[*definition]].as_ref();
            for (partition, (_, end)) in self.topic.partitions.iter().enumerate() {
                let id = self.id(partition);
                let cut = view
                    .filter(|view| view.note.definition == hash(*definition))
                    .and_then(|view| view.note.cut.get(&id));
                if cut != Some(*end) {
                    open.push(format!("the cut of definition {definition} stays at {cut:?}, {id} ends at {end}"));
                }
            }
        }
        open
    }

    /// What a reader of that definition would be told now to be missing.
    pub(super) fn gaps(&self, definition: usize) -> Vec<Gap> {
        self.judged(definition, &self.snapshot()).0.gaps
    }

    /// What a reader decides, and the shards by which it does.
    fn judged(&self, definition: usize, snapshot: &Snapshot) -> (Verdict, Shards) {
        let view = snapshot.views[self.scenario.metric_of[definition]].as_deref();
        let standing = Standing::of(&Evidence {
            definition: &hash(definition),
            rules: &DecodingRules::from("rules"),
            view: view.map(|view| &view.note),
            archive: Some(&snapshot.archive.facts),
            archive_version: snapshot.archive.version,
            topic: Some(&snapshot.topic),
            log_only: false,
        });
        let shards: Shards = standing.needed().map(|id| (id.clone(), self.redis.shards.get(id).cloned())).collect();
        (standing.judge(&shards, |_| None), shards)
    }

    fn answered(&self, definition: usize, snapshot: &Snapshot) -> Answer {
        let (verdict, shards) = self.judged(definition, snapshot);
        if !verdict.gaps.is_empty() {
            return Answer::Gaps(format!("{:?}", verdict.gaps));
        }
        if let Some(partition) = self.forgotten(snapshot) {
            return Answer::Wrong(format!("{partition} has events and is not begun"));
        }
        let view = snapshot.views[self.scenario.metric_of[definition]].as_deref();
        let (hash, facts) = (hash(definition), &snapshot.archive.facts);
        let own =
            complete::own_view(view.map(|view| &view.note), &hash, &RulesHash::from("rules"), Some(facts)).and(view);
        if own.is_some_and(|view| view.note.definition != hash) {
            return Answer::Wrong("the view counts another definition".to_owned());
        }
        let rows = own.map(|view| &view.rows);
        for (id, facts) in snapshot.archive.facts.partitions() {
            let below = rows.and_then(|rows| rows.get(&id)).copied().unwrap_or_default();
            // What the archive knows that a closed log held is missed if it is not there; until it is settled, also what speed
            // had counted of it.
            let unsettled = !snapshot.archive.facts.is_settled(&id);
            let counted = self.redis.counted.get(&id).filter(|_| unsettled && id.log != self.topic.log);
            let known_end = facts.next.max(facts.end).max(counted.copied().unwrap_or_default());
            let (above, upto) = self.counted(definition, &id, &verdict, &shards, known_end);
            let total = below.plus(above);
            let accepted = facts.lost.iter().filter(|lost| lost.accepted);
            let lost = accepted.fold(Mask::default(), |lost, range| lost.and(Mask::span(range.from, range.to)));
            let wanted = Mask::span(facts.begin, upto).without(lost);
            if total.is_wrong()
                || !wanted.without(total).is_empty()
                || !total.without(Mask::span(facts.begin, upto)).is_empty()
            {
                return Answer::Wrong(format!(
                    "{id} has {total} and wants {wanted}: view {below}, slices {above}, {verdict:?}"
                ));
            }
        }
        Answer::Exact
    }

    /// A partition that the topic had when the reader looked, with events, and that the archive has not begun.
    fn forgotten(&self, snapshot: &Snapshot) -> Option<PartitionId> {
        let (log, partitions) = snapshot.topic.log.as_ref()?;
        let topic = self.past.iter().chain([&self.topic]).find(|topic| topic.log == *log)?;
        let known = |id: &PartitionId| snapshot.archive.facts.partition(id).is_some();
        let with_events = (0..*partitions).filter(|partition| topic.partitions[*partition as usize].1 > 0);
        with_events.map(|partition| PartitionId::new(log.clone(), partition)).find(|id| !known(id))
    }

    /// What the slices of a partition hold that the verdict says count, and up to where the answer speaks.
    fn counted(
        &self,
        definition: usize,
        id: &PartitionId,
        verdict: &Verdict,
        shards: &Shards,
        known_end: i64,
    ) -> (Mask, i64) {
        let (Some(from), Some(Some(shard))) = (verdict.from.get(id), shards.get(id)) else {
            return (Mask::default(), known_end);
        };
        let slices = shard.slices.iter().filter(|begin| *begin >= from);
        let counter =
            |slice: &i64| CounterId { partition: id.clone(), instance: shard.instance, slice: *slice, definition };
        let counters = slices.filter_map(|slice| self.redis.counters.get(&counter(slice)));
        (counters.fold(Mask::default(), |sum, counter| sum.plus(*counter)), shard.cursor)
    }
}

enum Answer {
    Exact,
    Gaps(String),
    Wrong(String),
}
