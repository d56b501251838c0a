//! Which hours a commit of an erasure has touched.
//!
//! ```text
//! _erased/<uuid>.json          a list; the part of the erasure that the commit notes names it
//! ```
//!
//! A list is written before the commit that names it and never changed. It says in which hours there were events that somebody
//! asked to forget, but not whose. It is kept, because a view may be older than the commit however much later it is reconciled;
//! lists that no commit names are orphans.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use platform::store::{FileBeside, StoreError};
use serde::{Deserialize, Serialize};
use shared_logic::contracts::archive::ErasedPart;
use shared_logic::log::Offsets;

use super::Archive;
use crate::ORPHAN_AGE;

/// The folder of the lists. Delta's own tools leave folders with such a name alone.
const FOLDER: &str = "_erased";

/// What a commit of an erasure has taken out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedHours {
    /// The hours of the events, by event day, `YYYY-MM-DD`: their starts in microseconds since 1970.
    pub hours: BTreeMap<String, BTreeSet<i64>>,
    /// Per partition, the first offset that the archive did not hold then.
    pub upto: Offsets,
}

impl Archive {
    /// Writes a list, and returns the name by which a part of an erasure refers to it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn write_erased(&self, erased: &ErasedHours) -> Result<String, StoreError> {
        let text = serde_json::to_vec(erased).expect("what is kept beside a table is plain data");
        self.table().write_bytes_beside(FOLDER, "json", text).await
    }

    /// What a part of an erasure has touched; `None` if its list is gone.
    ///
    /// # Errors
    /// If the store cannot be read, or another program has written the list.
    pub async fn erased(&self, part: &ErasedPart) -> Result<Option<ErasedHours>, StoreError> {
        self.table().beside(&part.list).await
    }

    /// Removes lists that no part of an erasure names, if they were written longer than [`ORPHAN_AGE`] ago; returns how many.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_erased(&self) -> Result<usize, StoreError> {
        // An older version does not know which lists newer ones name.
        let mut newest = self.clone();
        newest.refresh().await?;
        let named = newest.named_lists();
        self.table().remove_beside(FOLDER, |path| !named.contains(path), ORPHAN_AGE).await
    }

    /// The files that [`Archive::remove_erased`] would remove now.
    pub(super) async fn erased_over(&self) -> Result<Vec<FileBeside>, StoreError> {
        let named = self.named_lists();
        self.table().over_beside(FOLDER, |path| !named.contains(path), ORPHAN_AGE).await
    }

    /// The lists that parts of erasures name.
    fn named_lists(&self) -> HashSet<String> {
        self.facts().erased_since(0).map(|part| part.list.clone()).collect()
    }
}
