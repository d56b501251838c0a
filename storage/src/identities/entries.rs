//! Identities and places in memory.

use std::collections::BTreeMap;

use shared_logic::dedup::Place;
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

    /// Those of about so many events whose places name logs by their numbers in that list. They are sorted the faster, the more they are
    /// in the order of identities and then of places.
    pub fn of_copies(events: impl Iterator<Item = (Identity, Place)>, count: usize, logs: &[String]) -> Entries {
        let (mut places, mut last) = (BTreeMap::new(), None);
        let mut rows: Vec<Entry> = Vec::with_capacity(count);
        for (identity, Place { log, partition, offset }) in events {
            let known = last.filter(|(place, _)| *place == (log, partition));
            let next = places.len() as u32;
            let (place, number) =
                known.unwrap_or_else(|| ((log, partition), *places.entry((log, partition)).or_insert(next)));
            last = Some((place, number));
            rows.push(Entry { identity, partition: number, offset });
        }
        // By the order of places, and no longer as they were met.
        let mut numbers = vec![0; places.len()];
        let mut partitions = Vec::with_capacity(places.len());
        for (new, ((log, partition), old)) in (0..).zip(places) {
            numbers[old as usize] = new;
            let log = logs.get(log as usize).map_or("", String::as_str);
            partitions.push(PartitionId::new(log, partition));
        }
        rows.iter_mut().for_each(|entry| entry.partition = numbers[entry.partition as usize]);
        Entries { partitions, rows }
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

    /// Sorts them, and keeps of copies in one partition the first and the last. Whoever counts one of them counts the first one, too;
    /// and how far the last one lies before a new copy says what the speed layer counts of that.
    pub(super) fn sort(&mut self) {
        self.rows.sort_unstable();
        let (mut kept, mut before) = (0, None);
        for at in 0..self.rows.len() {
            let entry = self.rows[at];
            let own = (entry.identity, entry.partition);
            let next = self.rows.get(at + 1).map(|next| (next.identity, next.partition));
            if before != Some(own) || next != Some(own) {
                self.rows[kept] = entry;
                kept += 1;
            }
            before = Some(own);
        }
        self.rows.truncate(kept);
        self.rows.dedup();
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
