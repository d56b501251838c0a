//! A rebuild: a view of another definition than the table's, or one that an operator has asked for, counted day by day beside it.
//!
//! ```text
//! _rebuild/<definition>.json       the cut, and which days are counted in which files
//! <day>/<uuid>.parquet             their rows, among the table's files
//! ```
//!
//! Until a commit adds its files, no version of the table knows of it, and its cut counts for nothing else. The list is
//! written after each day, so the run that goes on with it repeats no day that it names. As long as the list is there,
//! the files that it names are not orphans. Deleting a rebuild deletes only the list: its files may belong to the table
//! by then; otherwise they are orphans.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use platform::store::{DataFile, FileBeside, StoreError};
use serde::{Deserialize, Serialize};
use shared_logic::catalog::DefinitionHash;
use shared_logic::log::Offsets;

use super::BatchView;
use crate::{ORPHAN_AGE, Run};

/// The folder of the lists. Delta's own tools leave folders with such a name alone.
const FOLDER: &str = "_rebuild";

/// How long an abandoned rebuild is kept, once another definition is asked for.
const STALE_AGE: Duration = Duration::from_secs(24 * 3600);

/// A view that is going to replace the table's, counted day by day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rebuild {
    /// The definition by which it is counted.
    pub definition: DefinitionHash,
    /// Per partition, the first offset that is not counted. It stays the same from the first day to the last.
    pub cut: Offsets,
    /// The version of the archive in which the days were found; each is counted from that one or a newer one. Lists of older
    /// builds do not name it.
    #[serde(default)]
    pub archive_version: u64,
    /// The first day, in days since 1970, that it counts: the archive did not hold all rows of earlier ones any more; `None`: it
    /// counts every day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_before: Option<i64>,
    /// The version of the view whose commit asked for it, if an operator did. It is a rebuild for that request alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// Every day, `YYYY-MM-DD`, that has events below the cut.
    pub days: BTreeMap<String, RebuildDay>,
}

/// A day of a rebuild.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RebuildDay {
    /// The starts of the units of event time that have events, microseconds since 1970.
    pub units: BTreeSet<i64>,
    /// The files of all its rows, once it is counted.
    pub counted: Option<Vec<DataFile>>,
    /// The runs of the index of identities that name every event that is counted, if they were made besides. They belong to no index yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<Vec<Run>>,
}

impl Rebuild {
    /// Whether every day is counted.
    pub fn is_whole(&self) -> bool {
        self.done() == self.days.len()
    }

    /// How many days are counted.
    pub fn done(&self) -> usize {
        self.days.values().filter(|day| day.counted.is_some()).count()
    }

    /// The files of the days that are counted.
    pub fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.days.values().filter_map(|day| day.counted.as_ref()).flatten()
    }

    /// The runs that name the identities of all events that are counted, by day; `None`: of some day they were not made.
    pub fn identities(&self) -> Option<BTreeMap<String, Vec<Run>>> {
        let of_day = |(name, day): (&String, &RebuildDay)| Some((name.clone(), day.identities.clone()?));
        self.days.iter().map(of_day).collect()
    }

    /// Takes over the days that `kept` has counted, in place of its own. Returns false, and takes nothing over, if that
    /// is another rebuild: of other days, up to another cut, begun at another version of the archive, or for another request.
    #[must_use]
    pub fn take_over(&mut self, kept: &Rebuild) -> bool {
        let units = |rebuild: &Rebuild| -> BTreeMap<String, BTreeSet<i64>> {
            rebuild.days.iter().map(|(name, day)| (name.clone(), day.units.clone())).collect()
        };
        let begun = |rebuild: &Rebuild| {
            (rebuild.definition.clone(), rebuild.cut.clone(), rebuild.archive_version, rebuild.asked)
        };
        if begun(kept) != begun(self) || units(kept) != units(self) {
            return false;
        }
        for (day, theirs) in self.days.values_mut().zip(kept.days.values()) {
            if theirs.counted.is_some() {
                day.counted.clone_from(&theirs.counted);
                day.identities.clone_from(&theirs.identities);
            }
        }
        true
    }
}

impl BatchView {
    /// The rebuild of that definition, as far as it was kept.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn rebuild(&self, definition: &DefinitionHash) -> Result<Option<Rebuild>, StoreError> {
        self.table().beside(&list(definition)).await
    }

    /// Keeps a rebuild, in place of what was kept of that definition.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn keep_rebuild(&self, rebuild: &Rebuild) -> Result<(), StoreError> {
        self.table().put_beside(&list(&rebuild.definition), rebuild).await
    }

    /// Forgets the rebuild of that definition. Its files stay; they are orphans unless a commit has added them.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn forget_rebuild(&self, definition: &DefinitionHash) -> Result<(), StoreError> {
        let list = list(definition);
        self.table().remove_beside(FOLDER, |path| path == list, Duration::ZERO).await.map(drop)
    }

    /// Forgets the rebuilds that hold days counted from an older version of the archive than that; returns how many. Their files
    /// stay; they are orphans.
    ///
    /// # Errors
    /// If the store cannot be listed, read or written.
    pub async fn forget_rebuilds_before(&self, archive_version: u64) -> Result<usize, StoreError> {
        let (table, mut older) = (self.table(), HashSet::new());
        for path in table.list_beside(FOLDER).await?.into_iter().filter(|path| path.ends_with(".json")) {
            let rebuild: Option<Rebuild> = table.beside(&path).await?;
            if rebuild.is_some_and(|rebuild| rebuild.archive_version < archive_version) {
                older.insert(path);
            }
        }
        table.remove_beside(FOLDER, |path| older.contains(path), Duration::ZERO).await
    }

    /// Removes files that belong neither to this version, nor to one that is kept, nor to a rebuild, if they were written longer than
    /// [`ORPHAN_AGE`] ago and no commit has taken them out since then; returns how many.
    ///
    /// Before that it forgets the rebuilds that are over: that of the definition that the view now counts, unless that is asked
    /// for, and those of definitions other than `own` that have made no progress for a day.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_orphans(&self, own: &DefinitionHash) -> Result<usize, StoreError> {
        let (own, table) = (list(own), self.table());
        if let Some(note) = self.note().filter(|note| note.asked.rebuild.is_none()) {
            self.forget_rebuild(&note.definition).await?;
        }
        table.remove_beside(FOLDER, |path| path != own, STALE_AGE).await?;
        table.remove_orphans(ORPHAN_AGE, &self.spared().await?).await
    }

    /// The files that [`BatchView::remove_orphans`] would remove now.
    ///
    /// # Errors
    /// If the store cannot be listed or read.
    pub async fn unused(&self) -> Result<Vec<FileBeside>, StoreError> {
        self.table().orphans(ORPHAN_AGE, &self.spared().await?).await
    }

    /// Whether files are left that neither this version, nor one that is kept, nor a rebuild needs, and that were written before that moment
    /// by the store's clock; microseconds since 1970.
    ///
    /// # Errors
    /// If the store cannot be listed or read.
    pub async fn has_orphans_of_before(&self, at_us: i64) -> Result<bool, StoreError> {
        self.table().has_others_of_before(at_us, &self.spared().await?).await
    }

    /// The paths of the files of versions that are kept, and of those that rebuilds have counted.
    async fn spared(&self) -> Result<HashSet<String>, StoreError> {
        let (table, kept) = (self.table(), self.files_of_kept_versions().await?);
        let mut files: HashSet<String> = kept.into_iter().collect();
        for path in table.list_beside(FOLDER).await?.into_iter().filter(|path| path.ends_with(".json")) {
            let rebuild: Option<Rebuild> = table.beside(&path).await?;
            files.extend(rebuild.iter().flat_map(Rebuild::files).map(|file| file.path.clone()));
        }
        Ok(files)
    }
}

/// Where the list of a rebuild lies.
fn list(definition: &DefinitionHash) -> String {
    format!("{FOLDER}/{definition}.json")
}

#[cfg(test)]
mod tests;
