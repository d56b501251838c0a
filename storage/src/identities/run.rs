//! A run: identities of one event day and their places, sorted, in a file that never changes.

use std::ops::Range;

use platform::store::StoreError;
use serde::{Deserialize, Serialize};
use shared_logic::catalog::RulesHash;
use shared_logic::identity::Identity;
use shared_logic::log::PartitionId;

use super::layout::{self, Head, Layout, Prefix};
use super::{Entries, folder};
use crate::Archive;

/// How much of a run is read at first. The header of a run of a hundred partitions fits.
const FIRST: u64 = 8 * 1024;

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

impl Archive {
    /// Writes entries that are sorted, each with an identity of that prefix, as a run. It belongs to the index once a list
    /// names it.
    pub(super) async fn put_run(
        &self,
        rules: &RulesHash,
        day: &str,
        prefix: Prefix,
        entries: Entries,
    ) -> Result<Run, StoreError> {
        let (rows, folder) = (entries.len() as u64, format!("{}/{day}", folder(rules)));
        let bytes = platform::task::blocking(move || layout::encode(&entries, prefix)).await;
        let size = bytes.len() as u64;
        let path = self.table().write_bytes_beside(&folder, "run", bytes).await?;
        Ok(Run { path, rows, size, prefix })
    }

    /// Reads a whole run.
    pub(super) async fn read_run(&self, run: &Run) -> Result<Entries, StoreError> {
        let whole = 0..run.size;
        let bytes = self.table().ranges_beside(&run.path, std::slice::from_ref(&whole)).await?;
        let decode = move || bytes.first().and_then(|bytes| layout::decode(bytes));
        platform::task::blocking(decode).await.ok_or_else(|| self.is_no_run(run))
    }

    /// Finds the events of those identities, which are in order and each there once.
    ///
    /// For each of them it reads the filters of about 16 entries, and of the entries themselves only those whose filter fits.
    ///
    /// # Errors
    /// If the run cannot be read.
    pub async fn find(&self, run: &Run, wanted: &[Identity]) -> Result<Found, StoreError> {
        let among = run.prefix.among(wanted);
        if among.is_empty() {
            return Ok(Found::default());
        }
        let layout = self.layout(run).await?;
        let candidates = self.candidates(run, &layout, wanted, among).await?;
        let mut entries: Vec<u64> = candidates.iter().map(|(_, entry)| *entry).collect();
        entries.sort_unstable();
        entries.dedup();
        let ranges: Vec<Range<u64>> = entries.iter().map(|entry| layout.rest_of(*entry)).collect();
        let rests = self.table().ranges_beside(&run.path, &ranges).await?;
        let place = |(at, entry): (usize, u64)| {
            let rest = rests.get(entries.binary_search(&entry).ok()?)?;
            let (id, offset) = layout.place(rest, wanted[at])?;
            Some((at, id, offset))
        };
        Ok(Found { places: candidates.into_iter().filter_map(place).collect(), read: entries.len() as u64 })
    }

    /// The entries of which block and filter fit a wanted identity, with the number of that.
    async fn candidates(
        &self,
        run: &Run,
        layout: &Layout,
        wanted: &[Identity],
        among: Range<usize>,
    ) -> Result<Vec<(usize, u64)>, StoreError> {
        let mut blocks: Vec<(u64, Range<usize>)> = Vec::new();
        for at in among {
            let block = layout.block(wanted[at]);
            match blocks.last_mut() {
                Some((last, of_block)) if *last == block => of_block.end = at + 1,
                _ => blocks.push((block, at..at + 1)),
            }
        }
        let ranges: Vec<Range<u64>> = blocks.iter().map(|(block, _)| layout.starts_of(*block)).collect();
        let starts = self.table().ranges_beside(&run.path, &ranges).await?;
        let is_inside = |entries: &Range<u64>| entries.start <= entries.end && entries.end <= layout.rows() as u64;
        let mut entries = Vec::with_capacity(blocks.len());
        for starts in &starts {
            let of_block = layout::entries_of(starts).filter(is_inside);
            entries.push(of_block.ok_or_else(|| self.is_no_run(run))?);
        }
        let ranges: Vec<Range<u64>> = entries.iter().map(|entries| layout.filters_of(entries)).collect();
        let filters = self.table().ranges_beside(&run.path, &ranges).await?;
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

    /// Reads what a run's file begins with.
    async fn layout(&self, run: &Run) -> Result<Layout, StoreError> {
        let mut wanted = FIRST.min(run.size);
        loop {
            let first = 0..wanted;
            let read = self.table().ranges_beside(&run.path, std::slice::from_ref(&first)).await?;
            match read.first().and_then(|bytes| Layout::read(bytes)) {
                Some(Head::Whole(layout)) if layout.size() as u64 == run.size => return Ok(layout),
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
