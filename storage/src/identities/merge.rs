//! Small runs of a day → larger ones, so that a look-up reads few of them.
//!
//! A merged run is made in memory, so it has a bound. Where it would have more entries than that, it is divided by the next bits of
//! the identities, and each part is from then on merged with runs of the same prefix only. A look-up reads those runs whose prefix the
//! identity has: at most a few of each length. Of the runs that are merged, only what belongs to one part is in memory at a time.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use platform::store::StoreError;
use shared_logic::catalog::RulesHash;

use super::layout::Prefix;
use super::run::{Opened, RunBytes};
use super::tiers::to_merge;
use super::{Entries, Run};
use crate::Archive;

/// A run that is too large is divided by so many bits, or by a multiple of them.
const BITS: u32 = 4;
/// At once, runs of at most so many times the entries of one are merged, so they are divided by [`BITS`] at most.
const AT_ONCE: u64 = 4;
/// How many runs are read at a time.
const READS: usize = 8;
/// With prefixes of this length runs are not divided further; they belong to days of more than 10^12 events.
const BITS_MAX: u32 = 24;

impl Archive {
    /// Writes entries of a day as a new run. It belongs to the index once a list names it.
    ///
    /// # Errors
    /// If the run cannot be written.
    pub async fn write_run(&self, rules: &RulesHash, day: &str, entries: Entries) -> Result<Run, StoreError> {
        self.put_run(rules, day, RunBytes::of(entries).await).await
    }

    /// Merges small runs of a day, and returns the runs that take the place of all of them. A merged run has at most `rows_max`
    /// entries.
    ///
    /// # Errors
    /// If a run cannot be read or written.
    pub async fn merge_runs(
        &self,
        rules: &RulesHash,
        day: &str,
        runs: Vec<Run>,
        rows_max: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let mut groups: BTreeMap<Prefix, Vec<Run>> = BTreeMap::new();
        for run in runs {
            groups.entry(run.prefix).or_default().push(run);
        }
        while let Some((prefix, runs)) = taken(&mut groups, rows_max) {
            for run in self.merged_run(rules, day, prefix, &runs, rows_max).await? {
                groups.entry(run.prefix).or_default().push(run);
            }
        }
        Ok(groups.into_values().flatten().collect())
    }

    /// Merges runs of that prefix into one, or into several with longer prefixes if that would have too many entries.
    async fn merged_run(
        &self,
        rules: &RulesHash,
        day: &str,
        prefix: Prefix,
        runs: &[Run],
        rows_max: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let mut opened: Vec<Opened<'_>> = Vec::with_capacity(runs.len());
        for runs in runs.chunks(READS) {
            opened.extend(try_join_all(runs.iter().map(|run| self.opened(run))).await?);
        }
        let rows: u64 = runs.iter().map(|run| run.rows).sum();
        let (bits, mut merged) = (longer(prefix.bits, rows as usize, rows_max), Vec::new());
        for prefix in prefix.divided(bits) {
            let mut entries = Entries::default();
            for opened in opened.chunks(READS) {
                let read = try_join_all(opened.iter().map(|run| self.entries_with(run, prefix))).await?;
                read.into_iter().for_each(|more| entries.append(more));
            }
            if !entries.is_empty() {
                merged.push(self.put_run(rules, day, RunBytes::with(prefix, entries).await).await?);
            }
        }
        Ok(merged)
    }
}

/// Takes the runs that are merged next out of their group; `None`: there are few enough.
fn taken(groups: &mut BTreeMap<Prefix, Vec<Run>>, rows_max: usize) -> Option<(Prefix, Vec<Run>)> {
    for (prefix, runs) in groups {
        runs.sort_by_key(|run| run.rows);
        let rows: Vec<u64> = runs.iter().map(|run| run.rows).collect();
        let (mut left, count) = (AT_ONCE * rows_max as u64, to_merge(&rows));
        let fits = |rows: &&u64| {
            let fits = **rows <= left;
            left = left.saturating_sub(**rows);
            fits
        };
        let count = rows[..count].iter().take_while(fits).count();
        if count > 1 {
            return Some((*prefix, runs.drain(..count).collect()));
        }
    }
    None
}

/// How long the prefix of parts is, so that a part of so many rows has at most `rows_max`, about.
fn longer(bits: u32, rows: usize, rows_max: usize) -> u32 {
    let (mut longer, mut part) = (bits, rows);
    while part > rows_max && longer < BITS_MAX {
        longer += BITS;
        part >>= BITS;
    }
    longer
}
