//! Digests of slices: two sets of documents are equal if in every slice their number and the sum of their hashes are (I5).

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Into how many slices ids are divided, by the highest bits of their hashes: a power of two. Shares of tables are ranges of slices, or
/// parts of one, as they are divided by the same bits.
pub const SLICES: u32 = 64;

/// The slice of an id.
pub fn slice_of(id: &str) -> u32 {
    (xxh3_64(id.as_bytes()) >> (u64::BITS - SLICES.trailing_zeros())) as u32
}

/// The hash of an id and its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentHash(u128);

impl DocumentHash {
    /// That of a document, whose text is as [`Documents::document`](super::Documents::document) writes it, or as the server returns it.
    pub fn of(id: &str, document: &[u8]) -> DocumentHash {
        let mut bytes = Vec::with_capacity(8 + id.len() + document.len());
        bytes.extend_from_slice(&(id.len() as u64).to_be_bytes());
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(document);
        DocumentHash(xxh3_128(&bytes))
    }
}

/// What the documents of a slice are, in whatever order they came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SliceDigest {
    /// How many there are.
    pub documents: u64,
    /// The sum of their hashes, without what leaves 128 bits.
    sum: u128,
}

impl SliceDigest {
    /// Adds a document.
    pub fn add(&mut self, hash: DocumentHash) {
        self.documents += 1;
        self.sum = self.sum.wrapping_add(hash.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::table::share_of;

    fn digest(documents: &[(&str, &str)]) -> SliceDigest {
        let mut digest = SliceDigest::default();
        documents.iter().for_each(|(id, text)| digest.add(DocumentHash::of(id, text.as_bytes())));
        digest
    }

    #[test]
    fn a_digest_tells_sets_apart_and_knows_no_order() {
        let one = digest(&[("a", "{}"), ("b", "{\"n\":1}")]);
        assert_eq!(one, digest(&[("b", "{\"n\":1}"), ("a", "{}")]));
        for other in [
            digest(&[("a", "{}")]),
            digest(&[("a", "{}"), ("b", "{\"n\":2}")]),
            digest(&[("a", "{}"), ("c", "{\"n\":1}")]),
            digest(&[("b", "{}"), ("a", "{\"n\":1}")]),
            digest(&[("a", "{}"), ("a", "{}"), ("b", "{\"n\":1}")]),
        ] {
            assert_ne!(one, other);
        }
        assert_ne!(digest(&[("ab", "c")]), digest(&[("a", "bc")]));
    }

    #[test]
    fn a_share_of_a_table_is_a_range_of_slices() {
        for id in ["a", "u-7", "", "ü"] {
            assert_eq!(share_of(id, SLICES), slice_of(id));
            assert_eq!(share_of(id, 8), slice_of(id) / 8);
        }
    }
}
