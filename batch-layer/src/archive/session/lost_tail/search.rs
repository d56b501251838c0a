//! Where a log begins to differ from what is archived of it (R12). It is found backwards, a window at a time, until a whole
//! window fits. This file knows neither Kafka nor the archive's files.
//!
//! Three things are easy to get wrong:
//!
//! - A window fits only if at least one record in it is the same. In one without records, such as a long aborted
//!   transaction, nothing was compared.
//! - Offsets that the archive has lost say nothing: a restored log may hold records there that the archive never had.
//! - The last archived record before the place proves what is read there later only if no offset between them is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use shared_logic::log::Witness;

use crate::archive_rows::lives;
use crate::archive_rows::witnesses::Archived;

/// How many offsets the first window has, and at most any. Each has twice as many as the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) first: i64,
    pub(super) most: i64,
}

/// What the log holds in a window.
pub(super) struct Found {
    pub(super) records: BTreeMap<i64, Witness>,
    /// Where the window, or before it the log, ends.
    pub(super) end: i64,
}

/// A search for the first offset at which a log holds something else than its archive.
#[derive(Debug)]
pub(super) struct Search {
    /// The smallest offset at which a difference is known.
    at: i64,
    /// The offset of the last archived record before it, once one was met, and the record as the log holds it.
    before: Option<(i64, Option<Witness>)>,
    /// The offsets that are not compared yet.
    left: Range<i64>,
    /// How many of them the next window has.
    size: i64,
    size_max: i64,
    /// The ranges that the archive has lost.
    lost: Vec<Range<i64>>,
    /// Whether records may vanish from the middle of the log, because its topic is compacted.
    has_holes: bool,
}

impl Search {
    /// A search in `offsets`, which both may hold. `seen` is an offset at which they are known to differ, and `lost` are the
    /// ranges that the archive has lost.
    pub(super) fn new(seen: i64, offsets: Range<i64>, lost: Vec<Range<i64>>, has_holes: bool, sizes: Sizes) -> Search {
        Search { at: seen, before: None, left: offsets, size: sizes.first, size_max: sizes.most, lost, has_holes }
    }

    /// The offsets to compare next; `None` once the place is found.
    pub(super) fn window(&self) -> Option<Range<i64>> {
        let Range { start, end } = self.left;
        (start < end).then(|| start.max(end - self.size)..end)
    }

    /// Compares what the archive and the log hold in the next window.
    pub(super) fn compare(&mut self, archived: &BTreeMap<i64, Archived>, found: &Found) {
        let Some(window) = self.window() else { return };
        let offsets: BTreeSet<i64> = archived.keys().chain(found.records.keys()).copied().collect();
        let (mut differs, mut fits) = (None, false);
        for offset in offsets.into_iter().filter(|offset| *offset < found.end) {
            let is_same = match (archived.get(&offset), found.records.get(&offset)) {
                (Some(archived), Some(record)) => archived.is_same(record),
                (Some(_), None) if self.has_holes => continue,
                (None, Some(_)) if self.lost.iter().any(|lost| lost.contains(&offset)) => continue,
                _ => false,
            };
            if !is_same {
                differs = Some(offset);
                break;
            }
            fits = true;
        }
        if let Some(differs) = differs.filter(|differs| *differs < self.at) {
            (self.at, self.before) = (differs, None);
        }
        if self.before.is_none() {
            // Compaction may have taken the last one.
            let is_there = |offset: &&i64| !self.has_holes || found.records.contains_key(offset);
            let last = archived.range(..self.at).rev().map(|(offset, _)| offset).find(is_there);
            self.before = last.map(|offset| (*offset, found.records.get(offset).copied()));
        }
        let is_found = fits && differs.is_none();
        self.left.end = if is_found { self.left.start } else { window.start };
        self.size = (self.size * 2).min(self.size_max);
    }

    /// The first offset that differs, and its witness.
    pub(super) fn place(self) -> (i64, Option<Witness>) {
        let Search { at, before, lost, .. } = self;
        (at, before.and_then(|(offset, record)| record.filter(|_| lives::is_next(offset, at, &lost))))
    }
}

#[cfg(test)]
mod tests;
