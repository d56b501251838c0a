//! The index of an archive's identities: where each event lies, by what tells it from others.
//!
//! A reconcile adds new events to a view. For each of them it has to know whether the archive holds an older copy, in whatever
//! partition and log. This index answers without reading the archive. An identity includes the event time, so all copies of
//! an event lie in the same event day, and an index has one for each day.
//!
//! ```text
//! _identities/<rules>/<number>.json          a list: the runs, and up to which offsets they name every event
//! _identities/<rules>/<day>/<uuid>.run       the identities of some events of a day, with their places, sorted
//! ```
//!
//! The index is derived from the archive under the rules of one source, and shared by the source's metrics. The newest list
//! counts. A list is written after its runs, and only if no other process has written that number. So a process that is killed
//! leaves runs that no list names, and of two processes that extend an index at once, one does, and the other looks again. A list
//! of which a run is missing is not used: then the index is built anew.
//!
//! - `entries`: identities and places in memory;
//! - `run`: entries in a file, and how one of them is found there;
//! - `layout`: which bits of a run's file say what;
//! - `merge`: small runs → larger ones;
//! - `tiers`: when small files are merged.

mod entries;
mod layout;
mod merge;
mod run;
mod tiers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use platform::store::{FileBeside, StoreError};
use serde::{Deserialize, Serialize};
use shared_logic::catalog::RulesHash;
use shared_logic::log::Offsets;
use shared_logic::time::parse_day;

use crate::{Archive, ORPHAN_AGE};

pub use entries::Entries;
pub use layout::Prefix;
pub use run::{Found, Run, RunBytes};
pub use tiers::to_merge;

/// The folder of the indexes. Delta's own tools leave folders with such a name alone.
const FOLDER: &str = "_identities";

/// How long the index of rules that no process has extended is kept.
const STALE_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// An index, as one of its lists says. The default is an index of nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Identities {
    /// The number of the newest list, whether that was usable or not; 0: there is none.
    #[serde(skip)]
    number: u64,
    /// The newest version of the archive that the runs were made from.
    pub archive_version: u64,
    /// Per partition, the offset up to which the runs name every event.
    pub covered: Offsets,
    /// Per partition, how many of these offsets the archive that the runs were made from had not lost. An older build noted none.
    #[serde(default)]
    pub held: Offsets,
    /// Per partition, the offset from which on the runs name the last copy of each event as well as the first. An older build named
    /// the first ones alone, and noted none.
    #[serde(default)]
    pub lasts_from: Offsets,
    /// The first day, in days since 1970, of which they name every event. Of earlier days the archive had lost rows before the runs
    /// were made (`retain`), or the runs were taken out; `None`: it is so of all days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_before: Option<i64>,
    /// The runs of each event day, `YYYY-MM-DD`.
    pub days: BTreeMap<String, Vec<Run>>,
}

impl Identities {
    /// An index of nothing, to be kept in place of this one.
    #[must_use]
    pub fn emptied(&self) -> Identities {
        Identities { number: self.number, ..Identities::default() }
    }

    /// Whether a copy of an event of that day may exist that no run names.
    pub fn is_retired(&self, day: i64) -> bool {
        self.retired_before.is_some_and(|before| day < before)
    }

    /// Notes that the runs may lack events of days before that one.
    pub fn retire(&mut self, before: Option<i64>) {
        self.retired_before = self.retired_before.max(before);
    }

    /// Takes out the runs of days before that one. Returns whether there were any.
    pub fn forget_days_before(&mut self, before: i64) -> bool {
        let known = self.days.len();
        self.days.retain(|day, _| parse_day(day).is_none_or(|day| day >= before));
        if self.days.len() < known {
            self.retire(Some(before));
        }
        self.days.len() < known
    }

    /// The runs of an event day.
    pub fn runs(&self, day: &str) -> &[Run] {
        self.days.get(day).map_or(&[], Vec::as_slice)
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.days.values().flatten().map(|run| run.path.as_str())
    }
}

impl Archive {
    /// The newest index under those rules; one of nothing if there is none, or if it cannot be used because a run is missing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn identities(&self, rules: &RulesHash) -> Result<Identities, StoreError> {
        let files = self.table().files_beside(&folder(rules)).await?;
        let newest = files.iter().filter_map(|file| Some((number(&file.path)?, &file.path))).max();
        let Some((number, path)) = newest else { return Ok(Identities::default()) };
        let unusable = Identities { number, ..Identities::default() };
        let list: Identities = match self.table().beside(path).await {
            Ok(Some(list)) => list,
            Ok(None) | Err(StoreError::Foreign { .. }) => return Ok(unusable),
            Err(error) => return Err(error),
        };
        let is_whole = are_among(&files, &list.days);
        Ok(if is_whole { Identities { number, ..list } } else { unusable })
    }

    /// Whether the runs of those days are there, as runs of an index under those rules.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn has_runs(&self, rules: &RulesHash, days: &BTreeMap<String, Vec<Run>>) -> Result<bool, StoreError> {
        let files = self.table().files_beside(&folder(rules)).await?;
        Ok(are_among(&files, days))
    }

    /// Keeps an index as the one that follows from the list that it was read from. Returns false, and changes nothing, if
    /// another process has written a list since then.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub async fn keep_identities(&self, rules: &RulesHash, identities: &mut Identities) -> Result<bool, StoreError> {
        let number = identities.number + 1;
        let path = format!("{}/{number:020}.json", folder(rules));
        let kept = self.table().put_beside_if_absent(&path, &*identities).await?;
        if kept {
            identities.number = number;
        }
        Ok(kept)
    }

    /// Removes runs and lists that no process can need, if they were written longer than [`ORPHAN_AGE`] ago: those that are in no
    /// list that was the newest within that age, and whole indexes of rules other than `own` that were not extended for a week.
    /// Returns how many files there were.
    ///
    /// # Errors
    /// If the store cannot be listed, read or written.
    pub async fn remove_identities(&self, own: &RulesHash) -> Result<usize, StoreError> {
        let over = self.superfluous(own).await?;
        self.table().remove_beside(FOLDER, |path| over.contains(path), ORPHAN_AGE).await
    }

    /// The files that [`Archive::remove_identities`] would remove now.
    pub(crate) async fn identities_over(&self, own: &RulesHash) -> Result<Vec<FileBeside>, StoreError> {
        let over = self.superfluous(own).await?;
        self.table().over_beside(FOLDER, |path| over.contains(path), ORPHAN_AGE).await
    }

    /// The paths of runs and lists that no process can need, however young they are.
    async fn superfluous(&self, own: &RulesHash) -> Result<HashSet<String>, StoreError> {
        let now_us = platform::clock::now_us();
        let before = |age: Duration| now_us.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let (young_us, stale_us) = (before(ORPHAN_AGE), before(STALE_AGE));
        let mut by_folder: BTreeMap<String, Vec<FileBeside>> = BTreeMap::new();
        for file in self.table().files_beside(FOLDER).await? {
            let folder: Vec<&str> = file.path.split('/').take(2).collect();
            by_folder.entry(folder.join("/")).or_default().push(file);
        }
        let mut over = HashSet::new();
        for (name, files) in by_folder {
            let mut lists: Vec<&FileBeside> = files.iter().filter(|file| number(&file.path).is_some()).collect();
            lists.sort_by(|a, b| a.path.cmp(&b.path));
            let is_stale = name != folder(own) && lists.last().is_none_or(|newest| newest.written_us < stale_us);
            let mut kept = HashSet::new();
            for (at, list) in lists.iter().enumerate().filter(|_| !is_stale) {
                // It was the newest until the next one was written.
                if lists.get(at + 1).is_none_or(|next| next.written_us >= young_us) {
                    kept.insert(list.path.clone());
                    let list: Option<Identities> = self.table().beside(&list.path).await?;
                    kept.extend(list.iter().flat_map(Identities::paths).map(str::to_owned));
                }
            }
            over.extend(files.iter().map(|file| file.path.clone()).filter(|path| !kept.contains(path)));
        }
        Ok(over)
    }
}

/// Whether all runs of these days are among the files.
fn are_among(files: &[FileBeside], days: &BTreeMap<String, Vec<Run>>) -> bool {
    let sizes: HashMap<&str, u64> = files.iter().map(|file| (file.path.as_str(), file.size)).collect();
    days.values().flatten().all(|run| sizes.get(run.path.as_str()) == Some(&run.size))
}

/// The folder of the index under those rules.
fn folder(rules: &RulesHash) -> String {
    format!("{FOLDER}/{rules}")
}

/// The number of a list; nothing for the path of another file.
fn number(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests;
