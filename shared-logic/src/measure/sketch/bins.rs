//! How values are distributed: a DDSketch with a fixed set of bins.
//!
//! The bins of a DDSketch are as wide as their values are large, so the middle of a bin differs from every value in it by a share of
//! that value at most (Masson, Rim and Lee, *DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees*,
//! PVLDB 12, 2019). The sketch counts the values of each bin. Counts add up, so it follows from the values alone, however they were
//! split. Sketches of the paper bound their size by merging bins where they have too many, which loses the guarantee for the smallest
//! values. Here the range of all bins is fixed instead: from [`SMALLEST`] to [`LARGEST`], which holds every integer of 64 bits.
//!
//! Logarithms are those of `libm`, so that a value has the same bin on every machine.

/// By how much a quantile may differ from the value that it stands for, as a share of that value.
pub const RELATIVE_ERROR: f64 = 0.01;
/// Values below it, whatever their sign, are counted as 0.
const SMALLEST: f64 = 1e-9;
/// Values beyond it, 2^64, are only known to be beyond it.
const LARGEST: f64 = 18_446_744_073_709_551_616.0;
/// Of the values from 1 to *e*, a fiftieth of their logarithms falls into each bin: half a bin is 0.01.
const BINS_PER_E: f64 = 50.0;
/// The bin of the smallest values by their logarithms.
const FIRST: i16 = -1_036;
/// The bin of values beyond the largest. Negative values have the negative numbers.
const BEYOND: i16 = 2_219 - FIRST + 2;
/// The format that is written.
const FORMAT: u64 = 1;

/// How many values lie in each bin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bins {
    /// Ascending, and none that is empty. Values order as their bins do.
    counts: Vec<(i16, u64)>,
}

impl Bins {
    /// The bin of a value.
    pub(in crate::measure) fn bin(x: f64) -> i16 {
        let size = x.abs();
        let bin = if size < SMALLEST {
            0
        } else if size > LARGEST {
            BEYOND
        } else {
            (BINS_PER_E * libm::log(size)).ceil() as i16 - FIRST + 1
        };
        if x < 0.0 { -bin } else { bin }
    }

    /// The sketch of values in these bins, which are ascending.
    pub(in crate::measure) fn of_bins(bins: impl IntoIterator<Item = i16>) -> Bins {
        let mut counts: Vec<(i16, u64)> = Vec::new();
        for bin in bins {
            match counts.last_mut() {
                Some((last, count)) if *last == bin => *count += 1,
                _ => counts.push((bin, 1)),
            }
        }
        Bins { counts }
    }

    /// The sketch of the values of both.
    pub(in crate::measure) fn merged(&self, other: &Bins) -> Bins {
        let mut counts = Vec::with_capacity(self.counts.len().max(other.counts.len()));
        let (mut left, mut right) = (self.counts.iter().peekable(), other.counts.iter().peekable());
        while let Some(bin) = [left.peek(), right.peek()].into_iter().flatten().map(|next| next.0).min() {
            let [a, b] =
                [&mut left, &mut right].map(|side| side.next_if(|next| next.0 == bin).map_or(0, |next| next.1));
            counts.push((bin, a.saturating_add(b)));
        }
        Bins { counts }
    }

    /// The value that a share `q` of the others lies below, from 0 to 1; `None` of no values. It differs from the true one by
    /// [`RELATIVE_ERROR`] of that at most, as far as that is within the bins.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        let rank = (q * last as f64) as u64;
        let mut below = 0_u64;
        let found = self.counts.iter().find(|(_, count)| {
            below = below.saturating_add(*count);
            below > rank
        });
        found.or(self.counts.last()).map(|(bin, _)| middle(*bin))
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// By how much a quantile may differ from the true value, as a share of that; `None` if there are values beyond all bins.
    pub fn relative_error(&self) -> Option<f64> {
        let is_beyond = |bin: Option<&(i16, u64)>| bin.is_some_and(|(bin, _)| bin.abs() == BEYOND);
        (!is_beyond(self.counts.first()) && !is_beyond(self.counts.last())).then_some(RELATIVE_ERROR)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<(i16, u64)>()
    }

    /// Writes MessagePack integers: the format, and for each bin how far it lies behind the bin before and how many values it has. The
    /// first one counts from the bin of the values that lie farthest below zero.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut put = |number: u64| {
            rmp::encode::write_uint(out, number).expect("a vector takes every byte");
        };
        put(FORMAT);
        let mut before = -BEYOND;
        for (bin, count) in &self.counts {
            put((bin - before).unsigned_abs().into());
            put(*count);
            before = *bin;
        }
    }

    /// Reads what [`Bins::write`] wrote; `None` if it is something else.
    pub(in crate::measure) fn read(mut bytes: &[u8]) -> Option<Bins> {
        let take = |bytes: &mut &[u8]| rmp::decode::read_int::<u64, _>(bytes).ok();
        if take(&mut bytes)? != FORMAT {
            return None;
        }
        let (mut counts, mut before) = (Vec::new(), -BEYOND);
        while !bytes.is_empty() {
            let distance = take(&mut bytes).filter(|distance| *distance > 0 || counts.is_empty())?;
            let bin = i16::try_from(distance).ok()?.checked_add(before).filter(|bin| *bin <= BEYOND)?;
            counts.push((bin, take(&mut bytes).filter(|count| *count > 0)?));
            before = bin;
        }
        Some(Bins { counts })
    }
}

/// What stands for the values of a bin: what differs from its least and its largest by the same share of these.
fn middle(bin: i16) -> f64 {
    let size = match bin.abs() {
        0 => 0.0,
        BEYOND => LARGEST,
        bin => libm::exp((f64::from(bin - 1 + FIRST) - 0.5) / BINS_PER_E) / libm::cosh(0.5 / BINS_PER_E),
    };
    if bin < 0 { -size } else { size }
}
