//! What a worker knows of a slice without reading it: the group keys' own fields that it has written.
//!
//! Counters change only together with the cursor, and a write is done only where the cursor is the one that its worker expects
//! (R2). So the fields hold what the worker wrote, as long as each of its writes was done: had another worker written since, the
//! next write would be refused. Whether a write was done is known once its script says so. Until then, and for good if the script
//! says anything else or nothing, the worker knows nothing ([`KnownFields::lend`]).
//!
//! A slice that begins at the cursor is empty. A worker that has written all of it knows also which fields it has not.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::instance::Instance;
use super::shard::Expected;
use crate::catalog::DefinitionHash;
use crate::hash_index::HashIndex;

/// The own fields of a slice's group keys, as far as they are known.
#[derive(Debug, Default)]
pub struct KnownFields {
    /// The instance, and the begin of the slice.
    slice: Option<(Instance, i64)>,
    /// Whether the slice has no other fields.
    are_all: bool,
    /// Whether one was written and could not be kept.
    lack_one: bool,
    /// Whether one of them lists other chunks than its own.
    list_others: bool,
    by_definition: BTreeMap<DefinitionHash, OwnFields>,
    /// The most bytes that are kept from one write to the next.
    limit: usize,
}

impl KnownFields {
    /// Nothing is known. As many bytes are kept; what one micro-batch writes may come on top for a while.
    pub fn new(limit: usize) -> KnownFields {
        KnownFields { limit, ..KnownFields::default() }
    }

    /// What is known of the expected slice, for one try to write. Here, nothing is known any more: whoever writes gives the fields
    /// back, by assigning them, once the write is done.
    pub fn lend(&mut self, expected: &Expected) -> KnownFields {
        let nothing = KnownFields::new(self.limit);
        let mut lent = mem::replace(self, nothing);
        let slice = Some((expected.instance, expected.slice));
        if lent.slice != slice {
            lent = KnownFields { slice, are_all: expected.cursor == expected.slice, ..KnownFields::new(lent.limit) };
        }
        if lent.bytes() > lent.limit {
            lent = KnownFields { slice, ..KnownFields::new(lent.limit) };
        }
        lent.are_all &= !lent.lack_one;
        lent.lack_one = false;
        lent
    }

    fn bytes(&self) -> usize {
        self.by_definition.values().map(OwnFields::bytes).sum()
    }

    /// Whether fields that are not known do not exist.
    pub(super) fn are_all(&self) -> bool {
        self.are_all
    }

    /// Whether a key may have other chunks than its own one, as far as it is known.
    pub(super) fn list_others(&self) -> bool {
        self.list_others
    }

    /// The fields of a definition; nothing if none is known.
    pub(super) fn of(&self, definition: &DefinitionHash) -> Option<&OwnFields> {
        self.by_definition.get(definition)
    }

    /// The fields of a definition.
    pub(super) fn of_mut(&mut self, definition: &DefinitionHash) -> &mut OwnFields {
        self.by_definition.entry(definition.clone()).or_default()
    }

    /// Notes whether one of the fields that were written could not be kept, and whether one of them lists other chunks. What was
    /// asked for stays as it is until the next write.
    pub(super) fn note(&mut self, lack_one: bool, list_others: bool) {
        self.lack_one |= lack_one;
        self.list_others |= list_others;
    }
}

/// The own fields of the group keys of one definition.
#[derive(Debug, Default)]
pub(super) struct OwnFields {
    /// One entry behind the other: the lengths of the key, of the field, and of the room for it, two bytes each; the key; the field.
    entries: Vec<u8>,
    /// Where the entry of each key begins.
    index: HashIndex,
}

/// The bytes of the lengths.
const HEAD: usize = 6;

/// Where an entry has what.
struct Entry {
    key: Range<usize>,
    field: Range<usize>,
    room: usize,
}

/// Where a key's field lies, until another one of the key is kept.
pub(super) struct Place {
    hash: u32,
    at: Option<u32>,
}

impl OwnFields {
    /// The field of a key.
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.at(&self.place(key))
    }

    /// Finds a key's field.
    pub(super) fn place(&self, key: &str) -> Place {
        self.place_by(hash_of(key), key)
    }

    /// Finds the fields of some keys. The processor waits for many of them at the same time, so there should be some dozens.
    pub(super) fn places<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Vec<Place> {
        let hashed: Vec<(u32, &str)> = keys.map(|key| (hash_of(key), key)).collect();
        self.index.touch(hashed.iter().map(|(hash, _)| *hash));
        hashed.into_iter().map(|(hash, key)| self.place_by(hash, key)).collect()
    }

    fn place_by(&self, hash: u32, key: &str) -> Place {
        let at = self.index.get(hash, |at| self.entries[self.entry(at).key] == *key.as_bytes());
        Place { hash, at }
    }

    /// The field there; nothing if none is known.
    pub(super) fn at(&self, place: &Place) -> Option<&[u8]> {
        place.at.map(|at| &self.entries[self.entry(at).field])
    }

    /// Keeps a key's field in place of the one before, which lies there. Returns whether it does; if not, none of the key is known.
    pub(super) fn keep(&mut self, Place { hash, at }: Place, key: &str, field: &[u8]) -> bool {
        if let Some(at) = at {
            let entry = self.entry(at);
            if let Ok(length) = u16::try_from(field.len())
                && field.len() <= entry.room
            {
                self.entries[at as usize + 2..][..2].copy_from_slice(&length.to_le_bytes());
                self.entries[entry.field.start..][..field.len()].copy_from_slice(field);
                return true;
            }
            // Its room is not used again.
            self.index.remove(hash, at);
        }
        self.append(hash, key, field).is_some()
    }

    /// Adds an entry, if its lengths and its place can be written down.
    fn append(&mut self, hash: u32, key: &str, field: &[u8]) -> Option<()> {
        // A field grows with the buckets of its chunk.
        let room = field.len() + field.len() / 2;
        let [Ok(key_length), Ok(field_length), Ok(room_length)] = [key.len(), field.len(), room].map(u16::try_from)
        else {
            return None;
        };
        let at = u32::try_from(self.entries.len()).ok()?;
        let needed = HEAD + key.len() + room;
        if self.entries.capacity() - self.entries.len() < needed {
            // By less than a vector grows by itself, which is twice.
            self.entries.reserve_exact(needed.max(self.entries.len() / 4).max(1_024));
        }
        for length in [key_length, field_length, room_length] {
            self.entries.extend_from_slice(&length.to_le_bytes());
        }
        self.entries.extend_from_slice(key.as_bytes());
        self.entries.extend_from_slice(field);
        self.entries.resize(at as usize + needed, 0);
        self.index.insert(hash, at);
        Some(())
    }

    fn entry(&self, at: u32) -> Entry {
        let at = at as usize;
        let length = |number: usize| {
            let bytes = &self.entries[at + 2 * number..][..2];
            usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
        };
        let (key, field) = (at + HEAD, at + HEAD + length(0));
        Entry { key: key..field, field: field..field + length(1), room: length(2) }
    }

    fn bytes(&self) -> usize {
        self.entries.capacity() + self.index.bytes()
    }
}

fn hash_of(key: &str) -> u32 {
    xxh3_64(key.as_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use test_kit::Dice;

    use super::*;

    fn expected(instance: u64, slice: i64, cursor: i64) -> Expected {
        let instance = Instance::new(instance);
        Expected { cursor, slice, definitions: BTreeMap::new(), instance, witness: None }
    }

    fn definition() -> DefinitionHash {
        "00000000000000aa".parse().expect("16 digits")
    }

    fn keep(fields: &mut OwnFields, key: &str, field: &[u8]) -> bool {
        let place = fields.place(key);
        fields.keep(place, key, field)
    }

    /// What is known of the key `k`.
    fn known(fields: &KnownFields) -> Option<&[u8]> {
        fields.of(&definition())?.get("k")
    }

    #[test]
    fn fields_are_kept_however_they_grow_and_shrink() {
        let mut fields = OwnFields::default();
        let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut dice = Dice::new(7);
        for _ in 0..5_000 {
            let key = format!("{}{}", "k".repeat(dice.below(40)), dice.below(30));
            let field: Vec<u8> = (0..dice.below(60)).map(|_| dice.throw() as u8).collect();
            assert!(keep(&mut fields, &key, &field));
            expected.insert(key, field);
        }
        for (key, field) in &expected {
            assert_eq!(fields.get(key), Some(field.as_slice()), "{key}");
        }
        assert_eq!(fields.get("another"), None);
        assert!(fields.bytes() >= expected.iter().map(|(key, field)| key.len() + field.len()).sum::<usize>());
    }

    #[test]
    fn a_field_that_is_too_long_to_be_kept_is_not_known_any_more() {
        let mut fields = OwnFields::default();
        let long = vec![1; 70_000];
        assert!(keep(&mut fields, "k", b"short") && !keep(&mut fields, "k", &long));
        assert_eq!(fields.get("k"), None);
        assert!(keep(&mut fields, "k", b"short"), "and known again, once it is shorter");
        assert_eq!(fields.get("k"), Some(b"short".as_slice()));
        assert!(!keep(&mut fields, &"k".repeat(70_000), b"short"));
    }

    #[test]
    fn fields_are_those_of_one_slice_of_one_instance() {
        let mut fields = KnownFields::new(1_000_000);
        for (instance, slice) in [(1, 10), (2, 10), (2, 20)] {
            let mut lent = fields.lend(&expected(instance, slice, slice));
            assert!(lent.are_all() && known(&lent).is_none(), "it begins at the cursor, so it is empty");
            assert!(keep(lent.of_mut(&definition()), "k", b"f"));
            fields = lent;
            let lent = fields.lend(&expected(instance, slice, slice + 5));
            assert!(lent.are_all() && known(&lent) == Some(b"f".as_slice()));
            fields = lent;
        }
        let lent = fields.lend(&expected(2, 0, 20));
        assert!(!lent.are_all() && known(&lent).is_none(), "others have written this one");
    }

    #[test]
    fn what_was_lent_and_not_given_back_is_not_known() {
        let mut fields = KnownFields::new(1_000_000);
        let mut lent = fields.lend(&expected(1, 10, 10));
        assert!(keep(lent.of_mut(&definition()), "k", b"f"));
        let lent = fields.lend(&expected(1, 10, 11));
        assert!(!lent.are_all() && known(&lent).is_none());
    }

    #[test]
    fn as_much_is_kept_as_there_is_room_for() {
        let mut fields = KnownFields::new(2_000_000);
        let mut lent = fields.lend(&expected(1, 10, 10));
        for n in 0..20_000 {
            assert!(keep(lent.of_mut(&definition()), &n.to_string(), &[0; 100]));
        }
        assert!(lent.bytes() > 2_000_000);
        fields = lent;
        let mut lent = fields.lend(&expected(1, 10, 11));
        assert!(lent.bytes() == 0 && !lent.are_all(), "from then on, others may exist");
        assert!(keep(lent.of_mut(&definition()), "k", b"f"));
        fields = lent;
        assert_eq!(known(&fields.lend(&expected(1, 10, 12))), Some(b"f".as_slice()));
    }

    #[test]
    fn where_one_could_not_be_kept_the_others_are_not_all() {
        let mut fields = KnownFields::new(1_000_000);
        let mut lent = fields.lend(&expected(1, 10, 10));
        lent.note(true, false);
        assert!(lent.are_all(), "what is asked for does not change while it is written");
        fields = lent;
        let lent = fields.lend(&expected(1, 10, 11));
        assert!(!lent.are_all());
        fields = lent;
        assert!(!fields.lend(&expected(1, 10, 12)).are_all());
    }
}
