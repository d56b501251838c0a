//! The most frequent values: counts of as many values as there is room for, and how much they may lack.
//!
//! It is the summary of Misra and Gries (*Finding repeated elements*, 1982), which can be merged (Agarwal, Cormode, Huang, Phillips, Wei
//! and Yi, *Mergeable summaries*, 2013). Counts are added. If there are more values than room, what the first of those without room has
//! is taken from every count, and values of which nothing is left are forgotten. The *error* is the sum of all that was taken. So a value
//! was seen at least as often as its count says, and at most so often and the error, however events were split; of *N* events with room
//! for *m* values, the error is at most *N* / (*m* + 1). As long as there is room for every value, nothing is taken, the counts are exact,
//! and they follow from the events alone. Beyond that, how much is taken depends on how events were split.

use serde_json::Value as Json;

use crate::time::format_rfc3339;

/// The format that is written.
const FORMAT: u64 = 1;
/// How an instant is marked in MessagePack: an extension of that type, of 8 bytes.
const INSTANT: i8 = 1;

/// A value that is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Microseconds since 1970.
    Instant(i64),
    /// A text.
    Text(Box<str>),
}

/// A frequent value, as answers show it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ranked {
    /// The value.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub value: Json,
    /// How often it was seen at least.
    pub count: u64,
    /// How often it was seen at most.
    pub at_most: u64,
}

/// How often values were seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frequent {
    /// How much the counts may lack.
    error: u64,
    /// By value, each more than 0.
    counts: Vec<(Item, u64)>,
}

impl Frequent {
    /// The summary of values that were seen so often. They are ascending, each there once.
    pub(in crate::measure) fn of_counts(counts: Vec<(Item, u64)>, room: usize) -> Frequent {
        Frequent { error: 0, counts }.within(room)
    }

    /// The summary of what both have seen.
    pub(in crate::measure) fn merged(&self, other: &Frequent, room: usize) -> Frequent {
        let mut counts = Vec::with_capacity(self.counts.len().max(other.counts.len()));
        let (mut left, mut right) = (self.counts.iter().peekable(), other.counts.iter().peekable());
        while let Some(item) = [left.peek(), right.peek()].into_iter().flatten().map(|next| &next.0).min() {
            let item = item.clone();
            let [a, b] =
                [&mut left, &mut right].map(|side| side.next_if(|next| next.0 == item).map_or(0, |next| next.1));
            counts.push((item, a.saturating_add(b)));
        }
        Frequent { error: self.error.saturating_add(other.error), counts }.within(room)
    }

    /// Forgets what there is no room for.
    fn within(mut self, room: usize) -> Frequent {
        if self.counts.len() > room {
            let mut sizes: Vec<u64> = self.counts.iter().map(|(_, count)| *count).collect();
            let (_, taken, _) = sizes.select_nth_unstable_by(room, |a, b| b.cmp(a));
            let taken = *taken;
            self.counts.retain_mut(|(_, count)| {
                *count = count.saturating_sub(taken);
                *count > 0
            });
            self.error = self.error.saturating_add(taken);
        }
        self
    }

    /// Whether all values are counted exactly.
    pub fn is_exact(&self) -> bool {
        self.error == 0
    }

    /// Whether there may be events of which both are summaries.
    pub fn agrees_with(&self, other: &Frequent) -> bool {
        let of = |summary: &Frequent, item: &Item| {
            let at = summary.counts.binary_search_by(|(known, _)| known.cmp(item));
            let count = at.map_or(0, |at| summary.counts[at].1);
            (count, count.saturating_add(summary.error))
        };
        self.counts.iter().chain(&other.counts).all(|(item, _)| {
            let ((low, high), (other_low, other_high)) = (of(self, item), of(other, item));
            low <= other_high && other_low <= high
        })
    }

    /// The `n` values with the largest counts, the largest first, and of equal ones the smallest value first.
    pub fn ranked(&self, n: usize) -> Vec<Ranked> {
        let mut counts: Vec<&(Item, u64)> = self.counts.iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let ranked = |(item, count): &(Item, u64)| Ranked {
            value: item.to_json(),
            count: *count,
            at_most: count.saturating_add(self.error),
        };
        counts.into_iter().take(n).map(ranked).collect()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let texts = self.counts.iter().map(|(item, _)| if let Item::Text(text) = item { text.len() } else { 0 });
        self.counts.capacity() * size_of::<(Item, u64)>() + texts.sum::<usize>()
    }

    /// Writes MessagePack items: the format, the error, and each value with its count.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        const FITS: &str = "a vector takes every byte";
        rmp::encode::write_uint(out, FORMAT).expect(FITS);
        rmp::encode::write_uint(out, self.error).expect(FITS);
        for (item, count) in &self.counts {
            match item {
                Item::Bool(truth) => rmp::encode::write_bool(out, *truth).expect(FITS),
                Item::Int(x) => rmp::encode::write_sint(out, *x).map(drop).expect(FITS),
                Item::Instant(us) => {
                    rmp::encode::write_ext_meta(out, 8, INSTANT).expect(FITS);
                    out.extend_from_slice(&us.to_be_bytes());
                }
                Item::Text(text) => rmp::encode::write_str(out, text).expect(FITS),
            }
            rmp::encode::write_uint(out, *count).expect(FITS);
        }
    }

    /// Reads what [`Frequent::write`] wrote; `None` if it is something else, or more than there is room for.
    pub(in crate::measure) fn read(mut bytes: &[u8], room: usize) -> Option<Frequent> {
        let number = |bytes: &mut &[u8]| rmp::decode::read_int::<u64, _>(bytes).ok();
        if number(&mut bytes)? != FORMAT {
            return None;
        }
        let (error, mut counts) = (number(&mut bytes)?, Vec::new());
        while !bytes.is_empty() {
            counts.push((Item::read(&mut bytes)?, number(&mut bytes).filter(|count| *count > 0)?));
        }
        let is_ascending = counts.windows(2).all(|pair: &[(Item, u64)]| pair[0].0 < pair[1].0);
        (is_ascending && counts.len() <= room).then_some(Frequent { error, counts })
    }
}

impl Item {
    fn to_json(&self) -> Json {
        match self {
            Item::Bool(truth) => (*truth).into(),
            Item::Int(x) => (*x).into(),
            Item::Instant(us) => format_rfc3339(*us).into(),
            Item::Text(text) => text.as_ref().into(),
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Item> {
        const BOOLS: [u8; 2] = [0xc2, 0xc3];
        const EXTENSION: u8 = 0xd7;
        match *bytes.first()? {
            first if BOOLS.contains(&first) => rmp::decode::read_bool(bytes).ok().map(Item::Bool),
            EXTENSION => match rmp::decode::read_fixext8(bytes).ok()? {
                (INSTANT, us) => Some(Item::Instant(i64::from_be_bytes(us))),
                _ => None,
            },
            0xa0..=0xbf | 0xd9..=0xdb => {
                let (text, rest) = rmp::decode::read_str_from_slice(*bytes).ok()?;
                let item = Item::Text(text.into());
                *bytes = rest;
                Some(item)
            }
            _ => rmp::decode::read_int(bytes).ok().map(Item::Int),
        }
    }
}
