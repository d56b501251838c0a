//! How many different values there are: a Theta sketch in canonical form.
//!
//! Each value has a hash of 63 bits, the same wherever it is seen. Kept are the *k* smallest of all hashes, and *theta*, the smallest
//! hash that is not kept. Where no more than *k* were seen, all are kept, theta is 2^63-1, and the number is exact. Beyond that, hashes
//! are spread evenly, so that as many values are estimated as would put *k* hashes below theta (Dasgupta, Lang, Rhodes and Thaler,
//! *A Framework for Estimating Stream Expression Cardinalities*, 2016).
//!
//! Hashes and theta follow from the set of the values alone, in whatever order and however split these were seen: every hash below the
//! theta of a part is kept in that part, and no part has a smaller theta than the whole. Implementations in use also keep some hashes
//! beyond the *k* smallest for a while, which depends on the order; this one never does.
//!
//! The bytes are those of a compact ordered sketch of Apache DataSketches, uncompressed (serial version 3).

use super::murmur3;

/// Above every hash that is kept, where all of them are.
const ALL: u64 = i64::MAX as u64;
/// The number of sketches of no value.
const EMPTY: [u8; 8] = [1, 3, 3, 0, 0, 0x1e, 0, 0];
const SERIAL_VERSION: u8 = 3;
const FAMILY: u8 = 3;
/// Read-only, compact, and ordered.
const FLAGS: u8 = 0x1a;
/// Says by which seed values are hashed: the default one.
const SEED_HASH: u16 = 37_836;
/// How many standard deviations bound 95 of 100 estimates.
const DEVIATIONS: f64 = 2.0;

/// The smallest hashes of a set of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theta {
    theta: u64,
    /// Ascending, each once; from 1, below theta.
    hashes: Vec<u64>,
}

impl Theta {
    /// The hash of a value by its bytes.
    pub(in crate::measure) fn hash(bytes: &[u8]) -> u64 {
        // No sketch keeps a 0, and all that it keeps lies below theta.
        (murmur3::hash(bytes) >> 1).clamp(1, ALL - 1)
    }

    /// The sketch of values with these hashes, which are ascending and each there once.
    pub(in crate::measure) fn of_hashes(mut hashes: Vec<u64>, k: usize) -> Theta {
        let theta = hashes.get(k).copied().unwrap_or(ALL);
        hashes.truncate(k);
        Theta { theta, hashes }
    }

    /// The sketch of the values of both.
    pub(in crate::measure) fn merged(&self, other: &Theta, k: usize) -> Theta {
        let mut theta = self.theta.min(other.theta);
        let (mut left, mut right) = (self.hashes.as_slice(), other.hashes.as_slice());
        let mut hashes = Vec::with_capacity((left.len() + right.len()).min(k));
        loop {
            let next = match (left.first(), right.first()) {
                (Some(a), Some(b)) => *a.min(b),
                (Some(next), None) | (None, Some(next)) => *next,
                (None, None) => break,
            };
            if next >= theta {
                break;
            }
            if hashes.len() == k {
                theta = next;
                break;
            }
            hashes.push(next);
            left = left.strip_prefix(&[next]).unwrap_or(left);
            right = right.strip_prefix(&[next]).unwrap_or(right);
        }
        Theta { theta, hashes }
    }

    /// Whether the number is exact, but for values whose hashes are the same: of a million values, two are with a chance of 1 in
    /// 18 million.
    pub fn is_exact(&self) -> bool {
        self.theta == ALL
    }

    /// How many different values there are, rounded.
    pub fn estimate(&self) -> i64 {
        (self.hashes.len() as f64 / self.share()).round() as i64
    }

    /// The numbers between which the true one lies in 95 of 100 cases; both the estimate where that is exact.
    pub fn bounds(&self) -> (i64, i64) {
        if self.is_exact() {
            return (self.estimate(), self.estimate());
        }
        bounds(self.hashes.len() as f64, self.share())
    }

    /// The same by the number alone, where the sketch is not at hand any more: an estimate is that of `k` hashes, and beyond `k`.
    pub fn bounds_of(number: i64, k: u32) -> (i64, i64) {
        if number <= i64::from(k) {
            return (number, number);
        }
        bounds(f64::from(k), f64::from(k) / number as f64)
    }

    /// The share of all hashes that lie below theta.
    fn share(&self) -> f64 {
        self.theta as f64 / ALL as f64
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (is_exact, kept) = (self.is_exact(), self.hashes.len() as u32);
        let words = match kept {
            _ if !is_exact => 3,
            0 => return out.extend_from_slice(&EMPTY),
            1 => 1,
            _ => 2,
        };
        out.extend_from_slice(&[words, SERIAL_VERSION, FAMILY, 0, 0, FLAGS]);
        out.extend_from_slice(&SEED_HASH.to_le_bytes());
        if words > 1 {
            out.extend_from_slice(&u64::from(kept).to_le_bytes());
        }
        if words > 2 {
            out.extend_from_slice(&self.theta.to_le_bytes());
        }
        self.hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
    }

    /// Reads what [`Theta::write`] wrote; `None` if it is something else, or not the canonical form of a sketch with that *k*.
    pub(in crate::measure) fn read(bytes: &[u8], k: usize) -> Option<Theta> {
        if bytes == EMPTY {
            return Some(Theta { theta: ALL, hashes: Vec::new() });
        }
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (head, numbers) = numbers.split_first()?;
        let [words, SERIAL_VERSION, FAMILY, 0, 0, FLAGS, seed @ ..] = *head else { return None };
        let number = |at: usize| numbers.get(at).map(|number| u64::from_le_bytes(*number));
        let (kept, theta, from) = match words {
            1 => (1, ALL, 0),
            2 => (number(0)?, ALL, 1),
            3 => (number(0)?, number(1)?, 2),
            _ => return None,
        };
        let hashes: Vec<u64> = numbers.get(from..)?.iter().map(|number| u64::from_le_bytes(*number)).collect();
        let has_all = match words {
            1 => hashes.len() == 1,
            2 => (2..=k).contains(&hashes.len()),
            _ => hashes.len() == k && theta < ALL,
        };
        let is_ascending = hashes.windows(2).all(|pair| pair[0] < pair[1]);
        let is_within = hashes.first() > Some(&0) && hashes.last() < Some(&theta);
        let is_whole = rest.is_empty() && u16::from_le_bytes(seed) == SEED_HASH && hashes.len() as u64 == kept;
        (is_whole && has_all && is_ascending && is_within).then_some(Theta { theta, hashes })
    }
}

/// The classic confidence interval of a binomial distribution, as Apache DataSketches has it for more than 120 hashes: so many hashes lie
/// in that share of all.
fn bounds(kept: f64, share: f64) -> (i64, i64) {
    let deviation = DEVIATIONS * ((1.0 - share) / share).sqrt();
    let from_center = |estimate: f64| 0.5 * deviation * (deviation * deviation + 4.0 * estimate).sqrt();
    let center = |estimate: f64| estimate + 0.5 * deviation * deviation;
    let (low, high) = ((kept - 0.5) / share, (kept + 0.5) / share);
    let (low, high) = (center(low) - from_center(low), center(high) + from_center(high));
    // At least as many values were seen as hashes are kept.
    (low.max(kept).floor() as i64, high.ceil() as i64)
}
