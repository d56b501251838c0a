//! The archiver, and its zombie: begins partitions, commits rows with the next offset, notes losses, closes logs.

use std::rc::Rc;

use shared_logic::log::{OffsetRange, PartitionId};

use super::world::{Archive, File, World};

/// On the way from an offset to a commit.
#[derive(Debug, Clone)]
pub(super) enum Read {
    /// It is about to begin the partition there.
    Begin(PartitionId, i64),
    /// It reads at that offset of that log, as it believes.
    At(PartitionId, i64),
    /// It read `[from, to)`, of another log or not.
    Rows(PartitionId, i64, i64, bool),
    /// The topic's id, asked after the rows were read, was this log's.
    Asked(PartitionId, i64, i64, bool),
}

impl World {
    /// One step of one of two archivers.
    pub(super) fn archiver(&mut self) {
        let at = self.dice.below(self.archivers.len());
        if let Some(read) = self.archivers[at].take() {
            if self.is_killed() {
                return;
            }
            let far = self.dice.chance(50);
            self.archivers[at] = self.go_on(read, far);
        } else if self.dice.chance(10) {
            self.close_logs();
        } else {
            let partition = self.dice.below(self.topic.partitions.len());
            self.archivers[at] = self.begin_or_go_on(partition);
        }
        if self.dice.chance(5) {
            self.accept_losses();
        }
    }

    /// An archiver without faults comes to the ends of all logs, and an operator accepts what is lost.
    pub(super) fn archiver_catches_up(&mut self) {
        self.archivers.fill(None);
        self.close_logs();
        for partition in 0..self.topic.partitions.len() {
            for _ in 0..4 {
                let mut read = self.begin_or_go_on(partition);
                while let Some(on_the_way) = read {
                    read = self.go_on(on_the_way, true);
                }
            }
        }
        self.accept_losses();
    }

    fn commit(&mut self, what: impl FnOnce() -> String, change: impl FnOnce(&mut Archive)) {
        let archive = Rc::make_mut(&mut self.archive);
        change(archive);
        archive.version += 1;
        let version = archive.version;
        self.tell(|| format!("archive version {version}: {}", what()));
    }

    fn close_logs(&mut self) {
        let facts = &self.archive.facts;
        let ended: Vec<String> = facts
            .logs
            .iter()
            .filter(|log| !log.closed && log.log != self.topic.log)
            .map(|log| log.log.clone())
            .collect();
        for log in ended {
            self.commit(|| format!("{log} is closed"), |archive| archive.facts.close(&log));
        }
    }

    /// A reconcile asks the shards of a closed log, and notes what was counted beyond what is archived.
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

    /// Begins the partition, or notes what it lost, or gives where to read on.
    fn begin_or_go_on(&mut self, partition: usize) -> Option<Read> {
        let id = self.id(partition);
        let (start, end) = self.topic.partitions[partition];
        let Some(next) = self.archive.facts.partition(&id).map(|facts| facts.next) else {
            let first_seen = self.archive.facts.logs.is_empty();
            let begin = if first_seen && self.start_latest { end } else { start };
            return Some(Read::Begin(id, begin));
        };
        if next < start {
            self.commit(|| format!("[{next}, {start}) of {id} is lost"), |archive| archive.facts.lose(&id, start));
            return None;
        }
        (next < end).then_some(Read::At(id, next))
    }

    /// Reads whatever the topic is by now, as the client does; asks whose records they were; commits.
    fn go_on(&mut self, read: Read, far: bool) -> Option<Read> {
        match read {
            Read::Begin(id, offset) => {
                self.commit(|| format!("begins {id} at {offset}"), |archive| archive.facts.begin(&id, offset));
                None
            }
            Read::At(id, from) => {
                let end = self.topic.partitions.get(id.partition as usize).map_or(0, |(_, end)| *end);
                let to = if far { end } else { self.dice.between(from, end.max(from)) };
                let foreign = id.log != self.topic.log;
                (from < to).then_some(Read::Rows(id, from, to, foreign))
            }
            Read::Rows(id, from, to, foreign) => {
                (id.log == self.topic.log).then_some(Read::Asked(id, from, to, foreign))
            }
            Read::Asked(id, from, to, foreign) => {
                self.commit_rows(id, from, to, foreign);
                None
            }
        }
    }

    fn commit_rows(&mut self, id: PartitionId, from: i64, to: i64, foreign: bool) {
        let mut facts = self.archive.facts.clone();
        if !facts.advance(&id, from, to) {
            self.tell(|| format!("an archiver's commit of [{from}, {to}) of {id} is refused"));
            return;
        }
        facts.see_end(&id, to);
        self.commit(
            || format!("holds [{from}, {to}) of {id}"),
            |archive| {
                archive.facts = facts;
                archive.files.push(File { range: OffsetRange { id: id.clone(), from, to }, foreign });
            },
        );
    }
}
