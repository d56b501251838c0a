//! Some items in the order of their keys, which lie elsewhere.
//!
//! A window that closes may hold a million keys. To compare two of them by looking them up costs more than to sort the eight bytes that
//! tell nearly all of them apart: those behind what all keys begin with. So a key is looked up twice, and again only where these agree.

/// Items of which the one with the least key is taken first.
#[derive(Debug)]
pub(super) struct LeastFirst {
    /// From the last to the first.
    items: Vec<u32>,
}

impl LeastFirst {
    /// All items at once. `key` gives the key of an item; no two have the same.
    pub(super) fn new<'a>(items: &[u32], key: impl Fn(u32) -> &'a [u8]) -> LeastFirst {
        let first = items.first().map_or(&[][..], |first| key(*first));
        let shared = items.iter().map(|item| common(first, key(*item))).min().unwrap_or_default();
        let mut by_word: Vec<(u64, u32)> = items.iter().map(|item| (word(&key(*item)[shared..]), *item)).collect();
        by_word.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| key(b.1).cmp(key(a.1))));
        LeastFirst { items: by_word.into_iter().map(|(_, item)| item).collect() }
    }

    /// Takes the item with the least key.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.items.pop()
    }
}

/// How many bytes both begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The first eight bytes as a number: of two keys, that with the lesser number is the lesser one.
fn word(key: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.iter_mut().zip(key).for_each(|(room, byte)| *room = *byte);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few bytes, among them the one that a short key is filled up with; and beginnings of any length.
        #[test]
        fn items_come_in_the_order_of_their_keys(
            shared in prop::collection::vec(0..3_u8, 0..12),
            ends in prop::collection::btree_set(prop::collection::vec(0..3_u8, 0..12), 0..60),
            turned in any::<bool>(),
        ) {
            let mut keys: Vec<Vec<u8>> = ends.into_iter().map(|end| [shared.as_slice(), &end].concat()).collect();
            keys.sort();
            let mut items: Vec<u32> = (0..keys.len() as u32).collect();
            if turned {
                items.reverse();
            }
            let mut least_first = LeastFirst::new(&items, |item| keys[item as usize].as_slice());
            let taken: Vec<u32> = std::iter::from_fn(|| least_first.pop()).collect();
            prop_assert_eq!(taken, (0..keys.len() as u32).collect::<Vec<u32>>());
        }
    }
}
