//! The partition that Kafka's own partitioner gives a key: that of Kafka's clients, of `braid send`, and of streams that re-key.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;

/// The partition of a key in a topic with so many partitions, at least one.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    i32::try_from(positive).unwrap_or_default() % partitions.max(1)
}

/// Murmur2 of 32 bits, as Kafka's clients calculate it.
fn murmur2(key: &[u8]) -> u32 {
    let mixed = |word: [u8; 4]| {
        let k = u32::from_le_bytes(word).wrapping_mul(M);
        (k ^ (k >> 24)).wrapping_mul(M)
    };
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ key.len() as u32, |hash, word| hash.wrapping_mul(M) ^ mixed(*word));
    if !rest.is_empty() {
        let rest = rest.iter().enumerate().map(|(at, byte)| u32::from(*byte) << (8 * at));
        hash = (hash ^ rest.fold(0, |all, byte| all | byte)).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that Kafka's own client is tested with.
    #[test]
    fn the_hash_is_that_of_kafkas_clients() {
        let known = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(partition_of(b"abc", 7), 479_470_107 % 7);
        assert_eq!(partition_of(b"21", 4), (-973_932_308_i32 & i32::MAX) % 4);
    }
}
