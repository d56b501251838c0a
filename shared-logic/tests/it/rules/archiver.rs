//! The archivers: two, so that each meets the other's commits. One registers the topic, then reads a partition and commits rows
//! together with the next offset.

use std::collections::BTreeMap;
use std::rc::Rc;

use shared_logic::catalog::Start;
use shared_logic::contracts::archive::{Appended, AppendedTo};
use shared_logic::log::{OffsetRange, PartitionId};

use super::world::{Archive, File, World};

/// What an archiver does next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// It has read the archive and asked for the topic's id; it asks where the topic's partitions start and end. By name, so
    /// the answer may be about another log.
    AskOffsets(Session),
    /// It registers the topic with those starts and ends.
    Register(Session, BTreeMap<i32, i64>, BTreeMap<i32, i64>),
    /// It reads from that offset on.
    Read(PartitionId, i64),
    /// It has read rows, and asks for the topic's id.
    AskId(File),
    /// The id is still that of the rows' log, so it commits them.
    Commit(File),
}

/// What a session starts from.
#[derive(Debug, Clone)]
pub(super) struct Session {
    archive: Rc<Archive>,
    /// The topic's log when it was asked, and how many partitions it had.
    log: String,
    partitions: usize,
    /// The partition that it will read.
    partition: usize,
}

impl World {
    /// One step of one of the archivers.
    pub(super) fn archiver(&mut self) {
        let at = self.dice.below(self.archivers.len());
        let step = match self.archivers[at].take() {
            Some(_) if self.is_killed() => return,
            Some(step) => step,
            None => {
                let partition = self.dice.below(self.topic.partitions.len());
                Step::AskOffsets(self.starts_session(partition))
            }
        };
        let far = self.dice.chance(50);
        self.archivers[at] = self.archiver_step(step, far);
        // Most sessions register the topic as soon as they have seen it.
        if matches!(self.archivers[at], Some(Step::Register(..))) && self.dice.chance(80) {
            self.archivers[at] = self.archivers[at].take().and_then(|step| self.archiver_step(step, far));
        }
        if self.dice.chance(5) {
            self.accept_losses();
        }
    }

    /// An archiver without faults comes to the end of every partition, and an operator accepts what is lost.
    pub(super) fn archiver_catches_up(&mut self) {
        self.archivers.fill(None);
        for partition in 0..self.topic.partitions.len() {
            for _ in 0..4 {
                let mut next = Some(Step::AskOffsets(self.starts_session(partition)));
                while let Some(step) = next {
                    next = self.archiver_step(step, true);
                }
            }
        }
        self.accept_losses();
    }

    fn starts_session(&self, partition: usize) -> Session {
        Session {
            archive: Rc::clone(&self.archive),
            log: self.topic.log.clone(),
            partitions: self.topic.partitions.len(),
            partition,
        }
    }

    fn archiver_step(&mut self, step: Step, far: bool) -> Option<Step> {
        match step {
            Step::AskOffsets(session) => {
                let asked = || (0..).zip(self.topic.partitions.iter().take(session.partitions));
                let starts = asked().map(|(partition, (start, _))| (partition, *start)).collect();
                let ends = asked().map(|(partition, (_, end))| (partition, *end)).collect();
                Some(Step::Register(session, starts, ends))
            }
            Step::Register(session, starts, ends) => self.register(&session, &starts, &ends),
            Step::Read(id, from) => self.read_rows(id, from, far),
            Step::AskId(rows) => (rows.range.id.log == self.topic.log).then_some(Step::Commit(rows)),
            Step::Commit(rows) => {
                self.commit_rows(rows);
                None
            }
        }
    }

    /// As `batch_layer::archive` does: registers the topic in the facts that it knows, and commits what that changes unless
    /// another commit came first. Then it reads on.
    fn register(&mut self, session: &Session, starts: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>) -> Option<Step> {
        let first = if self.start_latest { Start::Latest } else { Start::Earliest };
        let mut facts = session.archive.facts.clone();
        let changes = facts.register_topic(&session.log, first, starts, ends, &starts.keys().copied().collect());
        if !changes.is_empty() {
            let changes = changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if self.archive.version == session.archive.version {
                self.commit(|| changes, |archive| archive.facts = facts);
            } else {
                self.tell(|| format!("an archiver's commit is refused: {changes}"));
            }
            return None;
        }
        let id = PartitionId::new(session.log.clone(), session.partition as i32);
        let next = facts.partition(&id)?.next;
        (next < ends[&id.partition]).then_some(Step::Read(id, next))
    }

    /// Reads whichever log the topic is by now, as the client does.
    fn read_rows(&mut self, id: PartitionId, from: i64, far: bool) -> Option<Step> {
        let (start, end) = self.topic.partitions.get(id.partition as usize).copied().unwrap_or_default();
        let to = if far { end } else { self.dice.between(from, end.max(from)) };
        let foreign = id.log != self.topic.log;
        let range = OffsetRange { id, from, to };
        (start <= from && from < to).then_some(Step::AskId(File { range, foreign }))
    }

    fn commit_rows(&mut self, rows: File) {
        let OffsetRange { id, from, to } = &rows.range;
        let read = AppendedTo { id: id.clone(), from: *from, next: *to, witness: None, end: Some(*to) };
        // On whatever others have committed since the session began.
        let added = Appended { partitions: vec![read], ..Appended::default() };
        let Some(facts) = self.archive.facts.append(&added) else {
            self.tell(|| format!("an archiver's commit of [{from}, {to}) of {id} is refused"));
            return;
        };
        self.commit(
            || format!("holds [{from}, {to}) of {id}"),
            |archive| {
                archive.facts = facts;
                archive.files.push(rows.clone());
            },
        );
    }

    pub(super) fn commit(&mut self, what: impl FnOnce() -> String, change: impl FnOnce(&mut Archive)) {
        let archive = Rc::make_mut(&mut self.archive);
        change(archive);
        archive.version += 1;
        let version = archive.version;
        self.tell(|| format!("archive version {version}: {}", what()));
    }

    /// A reconcile asks the shards of a closed log how far they were counted, and notes what is lost.
    pub(super) fn settle(&mut self, log: &str) {
        let cursors = self.redis.shards.iter().map(|(id, shard)| (id.clone(), shard.cursor)).collect();
        self.commit(|| format!("{log} is settled"), |archive| archive.facts.settle(log, &cursors));
    }

    fn accept_losses(&mut self) {
        let open = self.archive.facts.partitions().any(|(_, facts)| facts.lost.iter().any(|lost| !lost.accepted));
        if open {
            self.commit(
                || "an operator accepts the losses".to_owned(),
                |archive| {
                    archive.facts.accept_losses();
                },
            );
        }
    }
}
