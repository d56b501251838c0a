//! State by key.

use xxhash_rust::xxh3::xxh3_64;

use super::slab::Slab;
use crate::hash_index::HashIndex;

/// What the index takes for a key: two slots of eight bytes, as it is half empty.
const INDEX_BYTES: usize = 16;
/// The most bytes of a key that stand beside its state. With one more, a key would take eight bytes more.
const SHORT: usize = 22;
/// Below this many keys, an index is not made smaller.
const INDEX_MIN: usize = 1_024;

/// A state for each of some keys. A key has a number for as long as it is here.
#[derive(Debug)]
pub(super) struct Keyed<S> {
    index: HashIndex,
    entries: Slab<Entry<S>>,
    key_bytes: usize,
    /// The most keys since the index was made.
    most: usize,
}

#[derive(Debug)]
struct Entry<S> {
    key: Key,
    state: S,
}

/// The bytes of a key. Those of most are few, and stand beside its state: to find a key costs no look at another place.
#[derive(Debug)]
enum Key {
    /// So many of these.
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

/// The hash of a key.
pub(super) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

impl<S> Keyed<S> {
    pub(super) fn new() -> Keyed<S> {
        Keyed { index: HashIndex::default(), entries: Slab::new(), key_bytes: 0, most: 0 }
    }

    /// The number of a key, if it is here.
    pub(super) fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.index.get(hash as u32, |id| self.key(id) == key)
    }

    /// The number of a key, to which `state` is given if it is new.
    pub(super) fn place(&mut self, key: &[u8], hash: u64, state: impl FnOnce() -> S) -> u32 {
        self.find(key, hash).unwrap_or_else(|| {
            let key = Key::new(key);
            self.key_bytes += key.elsewhere();
            let id = self.entries.insert(Entry { key, state: state() });
            self.index.insert(hash as u32, id);
            self.most = self.most.max(self.entries.len());
            id
        })
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(entry) = self.entries.remove(id) else { return };
        self.index.remove(hash(entry.key.bytes()) as u32, id);
        self.key_bytes -= entry.key.elsewhere();
        if self.most > INDEX_MIN && self.entries.len() < self.most / 8 {
            self.index = HashIndex::default();
            self.most = self.entries.len();
            for (id, entry) in self.entries.iter() {
                self.index.insert(hash(entry.key.bytes()) as u32, id);
            }
        }
    }

    /// The bytes of a key.
    pub(super) fn key(&self, id: u32) -> &[u8] {
        self.entries.get(id).map_or(&[], |entry| entry.key.bytes())
    }

    /// The state of a key, if it is here.
    pub(super) fn state(&self, id: u32) -> Option<&S> {
        self.entries.get(id).map(|entry| &entry.state)
    }

    /// The state of a key, if it is here.
    pub(super) fn state_mut(&mut self, id: u32) -> Option<&mut S> {
        self.entries.get_mut(id).map(|entry| &mut entry.state)
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every state, in no order.
    pub(super) fn states(&self) -> impl Iterator<Item = &S> {
        self.entries.iter().map(|(_, entry)| &entry.state)
    }

    /// Every key with its state, in an order that depends on the keys alone.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&[u8], &S)> {
        let entries = self.entries.iter();
        let mut all: Vec<(u64, &Entry<S>)> = entries.map(|(_, entry)| (hash(entry.key.bytes()), entry)).collect();
        all.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.key.bytes().cmp(y.key.bytes())));
        all.into_iter().map(|(_, entry)| (entry.key.bytes(), &entry.state))
    }

    /// The memory, without what states point to.
    pub(super) fn bytes(&self) -> usize {
        self.entries.bytes() + self.key_bytes + self.most * INDEX_BYTES
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Key {
        let mut room = [0; SHORT];
        match room.get_mut(..bytes.len()) {
            Some(short) => {
                short.copy_from_slice(bytes);
                Key::Short(bytes.len() as u8, room)
            }
            None => Key::Long(bytes.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Key::Short(length, room) => &room[..usize::from(*length)],
            Key::Long(bytes) => bytes,
        }
    }

    /// The memory that it takes elsewhere.
    fn elsewhere(&self) -> usize {
        if let Key::Long(bytes) = self { bytes.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_bytes_however_many_they_are() {
        assert_eq!(size_of::<Option<Entry<u64>>>(), 32);
        let mut keyed = Keyed::new();
        let keys: Vec<Vec<u8>> = (0..60).map(|length| vec![0; length]).collect();
        for key in &keys {
            keyed.place(key, hash(key), || key.len());
        }
        assert_eq!(keyed.len(), 60, "keys that begin alike are not the same");
        for key in &keys {
            let id = keyed.find(key, hash(key)).expect("it is here");
            assert_eq!((keyed.key(id), keyed.state(id)), (key.as_slice(), Some(&key.len())));
        }
        keys.iter().for_each(|key| keyed.find(key, hash(key)).into_iter().for_each(|id| keyed.remove(id)));
        assert_eq!((keyed.len(), keyed.key_bytes), (0, 0));
    }

    #[test]
    fn a_key_keeps_its_state_until_it_is_forgotten() {
        let mut keyed = Keyed::new();
        let place = |keyed: &mut Keyed<u64>, n: u64| keyed.place(&n.to_be_bytes(), hash(&n.to_be_bytes()), || n);
        let ids: Vec<u32> = (0..10_000).map(|n| place(&mut keyed, n)).collect();
        for (n, id) in (0..).zip(&ids) {
            assert_eq!(place(&mut keyed, n), *id);
            assert_eq!((keyed.state(*id), keyed.key(*id)), (Some(&n), &n.to_be_bytes()[..]));
        }
        let most = keyed.bytes();
        ids.iter().skip(5).for_each(|id| keyed.remove(*id));
        assert_eq!(keyed.len(), 5);
        assert!(keyed.bytes() < most / 4, "{} of {most} bytes are left", keyed.bytes());
        for (n, id) in (0..5).zip(&ids) {
            assert_eq!(place(&mut keyed, n), *id, "what stays is found in an index that was made anew");
        }
        let new = place(&mut keyed, 10_001);
        assert_eq!(keyed.state(new), Some(&10_001));
        let in_order: Vec<u64> = keyed.in_order().map(|(_, state)| *state).collect();
        assert_eq!(in_order.len(), 6);
        assert!(in_order.is_sorted_by_key(|n| hash(&n.to_be_bytes())));
    }
}
