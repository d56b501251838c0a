//! Small runs of a day → larger ones, so that a look-up reads few of them.
//!
//! Runs are merged in memory, so a merged run has a bound. Where it would have more entries than that, it is divided by the next
//! bits of the identities, and each part is from then on merged with runs of the same prefix only. A look-up reads those runs
//! whose prefix the identity has: at most a few of each length.

use std::collections::BTreeMap;

use platform::store::StoreError;
use shared_logic::catalog::RulesHash;

use super::entries::Entry;
use super::layout::Prefix;
use super::tiers::to_merge;
use super::{Entries, Run};
use crate::Archive;

/// A run that is too large is divided by so many bits, or by a multiple of them.
const BITS: u32 = 4;
/// At once, runs of at most so many times the entries of one are merged, which bounds the memory that it takes.
const AT_ONCE: u64 = 4;
/// With prefixes of this length runs are not divided further; they belong to days of more than 10^12 events.
const BITS_MAX: u32 = 24;

impl Archive {
    /// Writes entries of a day as a new run. It belongs to the index once a list names it.
    ///
    /// # Errors
    /// If the run cannot be written.
    pub async fn write_run(&self, rules: &RulesHash, day: &str, entries: Entries) -> Result<Run, StoreError> {
        self.put_run(rules, day, Prefix::default(), sorted(entries).await).await
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
        while let Some((prefix, merged)) = taken(&mut groups, rows_max) {
            let mut entries = Entries::with_capacity(merged.iter().map(|run| run.rows as usize).sum());
            for run in &merged {
                entries.append(self.read_run(run).await?);
            }
            for run in self.write_divided(rules, day, prefix, entries, rows_max).await? {
                groups.entry(run.prefix).or_default().push(run);
            }
        }
        Ok(groups.into_values().flatten().collect())
    }

    /// Writes entries whose identities have that prefix, in parts if they are too many for one run.
    async fn write_divided(
        &self,
        rules: &RulesHash,
        day: &str,
        prefix: Prefix,
        entries: Entries,
        rows_max: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let Entries { partitions, rows } = sorted(entries).await;
        let bits = longer(prefix.bits, rows.len(), rows_max);
        let prefix_of = |entry: &Entry| Prefix::of(entry.identity, bits);
        let mut runs = Vec::new();
        for part in rows.chunk_by(|a, b| prefix_of(a) == prefix_of(b)) {
            let prefix = part.first().map(prefix_of).unwrap_or_default();
            let entries = Entries { partitions: partitions.clone(), rows: part.to_vec() };
            runs.push(self.put_run(rules, day, prefix, entries).await?);
        }
        Ok(runs)
    }
}

async fn sorted(mut entries: Entries) -> Entries {
    let sort = move || {
        entries.sort();
        entries
    };
    platform::task::blocking(sort).await
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
