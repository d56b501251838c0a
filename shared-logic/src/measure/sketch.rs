//! Sketches: values that say something of very many others, and can be merged.
//!
//! - `theta`: how many different values there are; `murmur3`: the hash of a value;
//! - `bins`: how numbers are distributed;
//! - `frequent`: which values are the most frequent.

mod bins;
mod frequent;
mod murmur3;
#[cfg(test)]
mod tests;
mod theta;

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

pub use bins::{Bins, RELATIVE_ERROR};
pub use frequent::{Frequent, Item, Ranked};
pub use theta::Theta;

/// A sketch of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sketch {
    /// How many different values there are.
    Distinct(Theta),
    /// How numbers are distributed.
    Quantile(Bins),
    /// Which values are the most frequent.
    Top(Frequent),
}

impl Sketch {
    /// The sketch as bytes. Equal ones have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Sketch::Distinct(theta) => theta.write(&mut out),
            Sketch::Quantile(bins) => bins.write(&mut out),
            Sketch::Top(frequent) => frequent.write(&mut out),
        }
        out
    }

    /// About how many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        let heap = match self {
            Sketch::Distinct(theta) => theta.heap_bytes(),
            Sketch::Quantile(bins) => bins.heap_bytes(),
            Sketch::Top(frequent) => frequent.heap_bytes(),
        };
        size_of::<Sketch>() + heap
    }

    /// Whether two layers that counted the same events may have these two: that they are equal, or, of frequent values for which there
    /// was no room, that both may be right.
    pub fn agrees_with(&self, other: &Sketch) -> bool {
        match (self, other) {
            (Sketch::Top(a), Sketch::Top(b)) if !(a.is_exact() && b.is_exact()) => a.agrees_with(b),
            (a, b) => a == b,
        }
    }
}

/// What it says in short, and a digest of its bytes, by which two of them are told apart.
impl fmt::Display for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sketch::Distinct(theta) => write!(f, "{} distinct", theta.estimate())?,
            Sketch::Quantile(bins) => write!(f, "{} values", bins.count())?,
            Sketch::Top(frequent) => match frequent.ranked(1).first() {
                Some(first) => write!(f, "{} {} times", first.value, first.count)?,
                None => f.write_str("no values")?,
            },
        }
        write!(f, " (sketch {:016x})", xxh3_64(&self.to_bytes()))
    }
}
