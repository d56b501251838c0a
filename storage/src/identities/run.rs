//! A run: identities of one event day and their places, sorted, in a file that never changes.

use std::ops::Range;

use bytes::Bytes;
use platform::store::StoreError;
use serde::{Deserialize, Serialize};
use shared_logic::catalog::RulesHash;
use shared_logic::identity::Identity;
use shared_logic::log::PartitionId;

use super::layout::{self, Head, Layout, Prefix};
use super::{Entries, folder};
use crate::Archive;

/// How much of a run is read at first. The header of a run of a hundred partitions fits, and the starts of 100,000 entries.
const FIRST: u64 = 64 * 1024;
/// How many identities are looked for at a time. What is read to find one takes about 200 bytes.
const WANTED: usize = 64 * 1024;

/// A run, as a list names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its path below the archive's folder.
    pub path: String,
    /// How many entries it has.
    pub rows: u64,
    /// Bytes.
    pub size: u64,
    /// The bits with which all of its identities begin.
    pub prefix: Prefix,
}

/// What a run holds of wanted identities.
#[derive(Debug, Default)]
pub struct Found {
    /// The number of a wanted identity, and where a copy of its event lies.
    pub places: Vec<(usize, PartitionId, i64)>,
    /// How many entries were read.
    pub read: u64,
}

/// A run in memory.
#[derive(Debug)]
pub struct RunBytes {
    prefix: Prefix,
    rows: u64,
    bytes: Vec<u8>,
}

impl RunBytes {
    /// Entries as a run.
    pub async fn of(entries: Entries) -> RunBytes {
        RunBytes::with(Prefix::default(), entries).await
    }

    /// Entries, each with an identity of that prefix, as a run.
    pub(super) async fn with(prefix: Prefix, mut entries: Entries) -> RunBytes {
        let encode = move || {
            entries.sort();
            (entries.len() as u64, layout::encode(&entries, prefix))
        };
        let (rows, bytes) = platform::task::blocking(encode).await;
        RunBytes { prefix, rows, bytes }
    }
}

/// A run of which is known what stands where.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    run: &'a Run,
    layout: Layout,
    /// What its file begins with.
    first: Bytes,
}

impl Archive {
    /// Writes a run. It belongs to the index once a list names it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put_run(&self, rules: &RulesHash, day: &str, run: RunBytes) -> Result<Run, StoreError> {
        let RunBytes { prefix, rows, bytes } = run;
        let (size, folder) = (bytes.len() as u64, format!("{}/{day}", folder(rules)));
        let path = self.table().write_bytes_beside(&folder, "run", bytes).await?;
        Ok(Run { path, rows, size, prefix })
    }

    /// Finds the events of those identities, which are in order and each there once.
    ///
    /// For each of them it reads the filters of about 16 entries, and of the entries themselves only those whose filter fits. So
    /// many of them are looked for at a time that memory is bounded.
    ///
    /// # Errors
    /// If the run cannot be read.
    pub async fn find(&self, run: &Run, wanted: &[Identity]) -> Result<Found, StoreError> {
        let (among, mut found) = (run.prefix.among(wanted), Found::default());
        if among.is_empty() {
            return Ok(found);
        }
        let opened = self.opened(run).await?;
        for from in among.clone().step_by(WANTED) {
            let part = from..among.end.min(from + WANTED);
            self.find_part(&opened, wanted, part, &mut found).await?;
        }
        Ok(found)
    }

    /// Finds the events of a part of the identities.
    async fn find_part(
        &self,
        opened: &Opened<'_>,
        wanted: &[Identity],
        part: Range<usize>,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let layout = &opened.layout;
        let candidates = self.candidates(opened, wanted, part).await?;
        let mut entries: Vec<u64> = candidates.iter().map(|(_, entry)| *entry).collect();
        entries.sort_unstable();
        entries.dedup();
        let ranges: Vec<Range<u64>> = entries.iter().map(|entry| layout.rests_of(&(*entry..entry + 1))).collect();
        let rests = self.ranges_of(opened, &ranges).await?;
        let place = |(at, entry): (usize, u64)| {
            let rest = rests.get(entries.binary_search(&entry).ok()?)?;
            let (id, offset) = layout.place(rest, wanted[at])?;
            Some((at, id, offset))
        };
        found.places.extend(candidates.into_iter().filter_map(place));
        found.read += entries.len() as u64;
        Ok(())
    }

    /// The entries of which block and filter fit a wanted identity, with the number of that.
    async fn candidates(
        &self,
        opened: &Opened<'_>,
        wanted: &[Identity],
        part: Range<usize>,
    ) -> Result<Vec<(usize, u64)>, StoreError> {
        let layout = &opened.layout;
        let mut blocks: Vec<(u64, Range<usize>)> = Vec::new();
        for at in part {
            let block = layout.block(wanted[at]);
            match blocks.last_mut() {
                Some((last, of_block)) if *last == block => of_block.end = at + 1,
                _ => blocks.push((block, at..at + 1)),
            }
        }
        let ranges: Vec<Range<u64>> = blocks.iter().map(|(block, _)| layout.starts_of(&(*block..block + 1))).collect();
        let starts = self.ranges_of(opened, &ranges).await?;
        let mut entries = Vec::with_capacity(blocks.len());
        for starts in &starts {
            let of_block = layout::entries_of(starts).filter(|of_block| layout.has(of_block));
            entries.push(of_block.ok_or_else(|| self.is_no_run(opened.run))?);
        }
        let ranges: Vec<Range<u64>> = entries.iter().map(|entries| layout.filters_of(entries)).collect();
        let filters = self.ranges_of(opened, &ranges).await?;
        let mut candidates = Vec::new();
        for (((_, of_block), entries), filters) in blocks.into_iter().zip(entries).zip(&filters) {
            for at in of_block {
                let filter = layout.filter(wanted[at]).to_le_bytes();
                let fitting = entries.clone().zip(filters.chunks_exact(2)).filter(|(_, other)| *other == filter);
                candidates.extend(fitting.map(|(entry, _)| (at, entry)));
            }
        }
        Ok(candidates)
    }

    /// Reads the entries of a run whose identities have that prefix, which is the run's own or a longer one.
    pub(super) async fn entries_with(&self, opened: &Opened<'_>, prefix: Prefix) -> Result<Entries, StoreError> {
        let no_run = || self.is_no_run(opened.run);
        let blocks = opened.layout.blocks_of(prefix);
        let starts = self.ranges_of(opened, &[opened.layout.starts_of(&blocks)]).await?.pop().unwrap_or_default();
        let entries = layout::entries_of(&starts).filter(|entries| opened.layout.has(entries)).ok_or_else(no_run)?;
        let ranges = [opened.layout.filters_of(&entries), opened.layout.rests_of(&entries)];
        let mut read = self.ranges_of(opened, &ranges).await?.into_iter();
        let (filters, rests) = (read.next().unwrap_or_default(), read.next().unwrap_or_default());
        let layout = opened.layout.clone();
        let decode = move || {
            let mut entries = layout.decode(blocks, &starts, &filters, &rests)?;
            // A block of a small run holds other prefixes as well.
            entries.rows.retain(|entry| Prefix::of(entry.identity, prefix.bits) == prefix);
            Some(entries)
        };
        platform::task::blocking(decode).await.ok_or_else(no_run)
    }

    /// The bytes of each of those ranges of a run, as [`ranges_beside`](platform::store::Table::ranges_beside) reads them.
    async fn ranges_of(&self, opened: &Opened<'_>, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let Opened { run, first, .. } = opened;
        match ranges.last() {
            Some(last) if last.end <= first.len() as u64 => {
                Ok(ranges.iter().map(|range| first.slice(range.start as usize..range.end as usize)).collect())
            }
            _ => self.table().ranges_beside(&run.path, ranges).await,
        }
    }

    /// Reads what a run's file begins with.
    pub(super) async fn opened<'a>(&self, run: &'a Run) -> Result<Opened<'a>, StoreError> {
        let mut wanted = FIRST.min(run.size);
        loop {
            let first = 0..wanted;
            let read = self.table().ranges_beside(&run.path, std::slice::from_ref(&first)).await?;
            let first = read.into_iter().next().unwrap_or_default();
            match Layout::read(&first) {
                Some(Head::Whole(layout)) if layout.size() as u64 == run.size => {
                    return Ok(Opened { run, layout, first });
                }
                Some(Head::Longer(needed)) if wanted < run.size => wanted = (needed as u64).min(run.size),
                _ => return Err(self.is_no_run(run)),
            }
        }
    }

    fn is_no_run(&self, run: &Run) -> StoreError {
        StoreError::Foreign {
            table: self.path().to_owned(),
            what: format!("a file {} that is no run of identities", run.path),
        }
    }
}
