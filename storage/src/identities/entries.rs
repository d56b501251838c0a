//! Identities and places in memory.

use shared_logic::identity::Identity;
use shared_logic::log::PartitionId;

/// Events by identity, and where they lie.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries {
    /// The partitions, which entries name by their numbers here.
    pub(super) partitions: Vec<PartitionId>,
    pub(super) rows: Vec<Entry>,
}

/// An event's identity and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) partition: u32,
    pub(super) offset: i64,
}

impl Entries {
    /// Adds an event.
    pub fn push(&mut self, identity: Identity, log: &str, partition: i32, offset: i64) {
        let partition = self.number(log, partition);
        self.rows.push(Entry { identity, partition, offset });
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds the events of others.
    pub fn append(&mut self, others: Entries) {
        let numbers: Vec<u32> = others.partitions.iter().map(|id| self.number(&id.log, id.partition)).collect();
        let numbered = |entry: Entry| Entry { partition: numbers[entry.partition as usize], ..entry };
        self.rows.extend(others.rows.into_iter().map(numbered));
    }

    /// Sorts them, and keeps of copies in one partition the first: as the others lie behind it, whoever counts one of them counts
    /// the first one, too.
    pub(super) fn sort(&mut self) {
        self.rows.sort_unstable();
        self.rows.dedup_by_key(|entry| (entry.identity, entry.partition));
    }

    fn number(&mut self, log: &str, partition: i32) -> u32 {
        let known = self.partitions.iter().position(|id| id.partition == partition && id.log == log);
        let number = known.unwrap_or_else(|| {
            self.partitions.push(PartitionId::new(log, partition));
            self.partitions.len() - 1
        });
        number as u32
    }
}
