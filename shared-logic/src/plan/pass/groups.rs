//! The groups of one grouping: the finest one of each event, and the coarser ones that hold it.

use std::ops::Range;
use std::sync::Arc;

use super::Grouping;
use super::codes::ALL;
use super::encoded::Encoded;
use crate::catalog::MAX_BY;
use crate::group_key::GroupKey;
use crate::hash_index::HashIndex;
use crate::measure::{MeasureKind, NO_GROUP, Value};
use crate::partial::{Group, grouping_sets};

/// A group: the code of each column's value, and at last that of the bucket.
type Key = [u32; MAX_BY + 1];

/// The groups that the events of some rows belong to.
///
/// A group is named by its number: first the finest ones, then the others.
#[derive(Debug)]
pub(super) struct Groups<'a> {
    grouping: &'a Grouping,
    /// Every grouping set but the finest, as masks of the columns.
    coarser_sets: Vec<u32>,
    finest: Distinct,
    coarser: Distinct,
    /// Of each finest group, its group in each of the coarser sets; one behind the other.
    holders: Vec<u32>,
    /// Of each event, its finest group.
    of_events: Vec<u32>,
}

impl<'a> Groups<'a> {
    /// No groups yet. There is room for one of each value of a column: as a rule there are no fewer.
    pub(super) fn new(grouping: &'a Grouping, events: &Encoded) -> Groups<'a> {
        let values = grouping.keys.iter().map(|key| events.keys[*key].len()).max().unwrap_or_default();
        Groups {
            grouping,
            coarser_sets: grouping_sets(grouping.keys.len()).skip(1).collect(),
            finest: Distinct { keys: Vec::with_capacity(values), index: HashIndex::with_room(values) },
            coarser: Distinct::default(),
            holders: Vec::new(),
            of_events: Vec::new(),
        }
    }

    /// Adds the events of the next rows; those that are not `wanted` have no group.
    pub(super) fn extend(&mut self, events: &Encoded, wanted: Option<&[bool]>, rows: Range<usize>) {
        let columns: Vec<&[u32]> = self.grouping.keys.iter().map(|key| events.keys[*key].of_rows.as_slice()).collect();
        let buckets = &events.buckets[self.grouping.grain].of_rows;
        self.of_events.reserve(rows.len());
        for row in rows {
            if wanted.is_some_and(|wanted| !wanted[row]) {
                self.of_events.push(NO_GROUP);
                continue;
            }
            let mut key = [ALL; MAX_BY + 1];
            key.iter_mut().zip(&columns).for_each(|(code, column)| *code = column[row]);
            key[MAX_BY] = buckets[row];
            let (group, is_new) = self.finest.place(key);
            if is_new {
                self.add_holders(key);
            }
            self.of_events.push(group);
        }
    }

    /// Finds the groups that hold a new finest one.
    fn add_holders(&mut self, finest: Key) {
        for set in &self.coarser_sets {
            let mut key = finest;
            let columns = key.iter_mut().take(self.grouping.keys.len()).enumerate();
            columns.filter(|(column, _)| (*set >> *column) & 1 == 0).for_each(|(_, code)| *code = ALL);
            let (group, _) = self.coarser.place(key);
            self.holders.push(group);
        }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.finest.keys.len() + self.coarser.keys.len()
    }

    /// How many finest groups there are.
    pub(super) fn finest(&self) -> usize {
        self.finest.keys.len()
    }

    /// The finest group of each event; [`NO_GROUP`] for one that is not wanted.
    pub(super) fn of_events(&self) -> &[u32] {
        &self.of_events
    }

    /// What each group is about.
    pub(super) fn about(&self, events: &Encoded) -> Arc<[Group]> {
        let (columns, buckets) = (&self.grouping.keys, &events.buckets[self.grouping.grain]);
        let mut room = String::new();
        let groups = self.finest.keys.iter().chain(&self.coarser.keys).map(|key| {
            let parts = columns.iter().zip(key).map(|(column, code)| events.keys[*column].part(*code));
            (GroupKey::of_parts(parts, &mut room), buckets.start(key[MAX_BY]))
        });
        groups.collect()
    }

    /// The values of the finest groups → those of all groups.
    pub(super) fn add_up(&self, kind: MeasureKind, finest: Vec<Value>) -> Vec<Value> {
        let mut values = finest;
        values.resize(self.len(), kind.identity());
        for group in 0..self.finest() {
            for holder in self.holders_of(group) {
                values[holder] = kind.merge(values[holder].clone(), values[group].clone());
            }
        }
        values
    }

    /// The groups that hold at least one of the events, of which these are the finest groups.
    pub(super) fn holding(&self, of_events: &[u32]) -> Vec<u32> {
        let mut holds = vec![false; self.len()];
        for group in of_events.iter().filter(|group| **group != NO_GROUP) {
            holds[*group as usize] = true;
        }
        for group in 0..self.finest() {
            if holds[group] {
                self.holders_of(group).for_each(|holder| holds[holder] = true);
            }
        }
        (0..).zip(holds).filter(|(_, holds)| *holds).map(|(group, _)| group).collect()
    }

    /// The coarser groups that hold a finest one.
    fn holders_of(&self, finest: usize) -> impl Iterator<Item = usize> {
        let (sets, first) = (self.coarser_sets.len(), self.finest());
        self.holders[finest * sets..][..sets].iter().map(move |group| first + *group as usize)
    }
}

/// Keys, each once.
#[derive(Debug, Default)]
struct Distinct {
    keys: Vec<Key>,
    index: HashIndex,
}

impl Distinct {
    /// The position of a key, which is added if it is new; and whether it is.
    fn place(&mut self, key: Key) -> (u32, bool) {
        let hash = hash(&key);
        if let Some(known) = self.index.get(hash, |at| self.keys[at as usize] == key) {
            return (known, false);
        }
        let at = self.keys.len() as u32;
        self.index.insert(hash, at);
        self.keys.push(key);
        (at, true)
    }
}

/// FxHash, as the compiler of Rust uses it for small keys. Its upper bits are the better ones.
fn hash(key: &Key) -> u32 {
    let add = |hash: u64, code: &u32| (hash.rotate_left(5) ^ u64::from(*code)).wrapping_mul(0x517C_C1B7_2722_0A95);
    (key.iter().fold(0, add) >> 32) as u32
}
