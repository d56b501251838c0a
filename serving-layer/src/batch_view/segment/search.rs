//! Looks for one key among the groups of a block.
//!
//! No key is put together for that. Keys ascend, so a key that shares more with the key before than that shares with the wanted one
//! differs from the wanted one where the key before does. Most keys are passed by that alone.

use std::cmp::Ordering;

use super::block::Malformed;
use super::varint;

/// The groups of a block, one after the other, each compared with the wanted key.
#[derive(Debug)]
pub(super) struct Search<'a, 'k> {
    pub(super) rest: &'a [u8],
    wanted: &'k [u8],
    /// How many bytes the key before has, and how many of these it has in common with the wanted key.
    length: usize,
    common: usize,
    /// How the key before compares with the wanted one.
    order: Ordering,
}

impl<'a, 'k> Search<'a, 'k> {
    pub(super) fn of(content: &'a [u8], wanted: &'k [u8]) -> Search<'a, 'k> {
        Search { rest: content, wanted, length: 0, common: 0, order: Ordering::Less }
    }

    /// Goes to the next group: how its key compares with the wanted one, and its payload; `None` after the last.
    pub(super) fn advance(&mut self) -> Result<Option<(Ordering, &'a [u8])>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.group().map(Some).ok_or(Malformed)
    }

    fn group(&mut self) -> Option<(Ordering, &'a [u8])> {
        let shared = usize::try_from(varint::take(&mut self.rest)?).ok()?;
        let others = varint::take_bytes(&mut self.rest)?;
        if shared > self.length {
            return None;
        }
        self.length = shared + others.len();
        if shared <= self.common {
            let wanted = &self.wanted[shared..];
            let more = others.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            self.common = shared + more;
            self.order = others[more..].cmp(&wanted[more..]);
        }
        Some((self.order, varint::take_bytes(&mut self.rest)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use test_kit::Dice;

    use super::*;

    /// Groups of these keys, each with its key as payload.
    fn content<'a>(keys: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
        let mut content = Vec::new();
        let mut before: &[u8] = &[];
        for key in keys {
            let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
            varint::put(&mut content, shared as u64);
            for bytes in [&key[shared..], key.as_slice()] {
                varint::put(&mut content, bytes.len() as u64);
                content.extend_from_slice(bytes);
            }
            before = key;
        }
        content
    }

    fn any_key(dice: &mut Dice) -> Vec<u8> {
        (0..dice.below(7)).map(|_| *dice.pick(b"abc")).collect()
    }

    #[test]
    fn every_key_is_compared_as_if_it_was_put_together() {
        for seed in 1..500 {
            let mut dice = Dice::new(seed);
            let keys: BTreeSet<Vec<u8>> = (0..dice.below(60)).map(|_| any_key(&mut dice)).collect();
            let (wanted, content) = (any_key(&mut dice), content(keys.iter()));
            let mut search = Search::of(&content, &wanted);
            for key in &keys {
                let found = search.advance().expect("whole");
                assert_eq!(found, Some((key.cmp(&wanted), key.as_slice())), "seed {seed}: {key:?} and {wanted:?}");
            }
            assert_eq!(search.advance().expect("whole"), None);
        }
    }

    #[test]
    fn a_key_that_shares_more_than_there_is_is_malformed() {
        for content in [&[1, 0, 0][..], &[0, 1, b'a', 0, 2, 0, 0], &[0, 1], &[0, 1, b'a', 1]] {
            let mut search = Search::of(content, b"ab");
            let ends = std::iter::from_fn(|| search.advance().transpose()).find(Result::is_err);
            assert!(matches!(ends, Some(Err(Malformed))), "{content:?}");
        }
    }
}
