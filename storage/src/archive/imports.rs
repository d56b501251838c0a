//! The files of imports that have not committed yet.
//!
//! ```text
//! _import/<uuid>.json       the paths of the files that one import has written so far
//! ```
//!
//! No version of the archive knows of these files, and an import may take longer than orphans are kept. So it lists its files, again
//! and again, and what is listed is no orphan. A list that is as old as an orphan was left by a process that died.

use std::collections::HashSet;
use std::time::Duration;

use platform::store::{DataFile, FileBeside, StoreError};

use super::Archive;
use crate::ORPHAN_AGE;

/// The folder of the lists. Delta's own tools leave folders with such a name alone.
const FOLDER: &str = "_import";

impl Archive {
    /// Lists the files that an import has written so far, in place of what it listed before. The first file stays the first.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub async fn list_import(&self, files: &[DataFile]) -> Result<(), StoreError> {
        let Some(list) = list(files) else { return Ok(()) };
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        self.table().put_beside(&list, &paths).await
    }

    /// Forgets the list of an import that has ended. Its files stay; they are orphans unless a commit has added them.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn forget_import(&self, files: &[DataFile]) -> Result<(), StoreError> {
        let Some(list) = list(files) else { return Ok(()) };
        self.table().remove_beside(FOLDER, |path| path == list, Duration::ZERO).await.map(drop)
    }

    /// The paths of the files of all imports that are under way. Lists of processes that died are removed first.
    pub(super) async fn files_of_imports(&self) -> Result<HashSet<String>, StoreError> {
        self.table().remove_beside(FOLDER, |_| true, ORPHAN_AGE).await?;
        self.listed(&[]).await
    }

    /// The lists that [`Archive::files_of_imports`] would remove now, and the files that it would return.
    pub(super) async fn imports_over(&self) -> Result<(Vec<FileBeside>, HashSet<String>), StoreError> {
        let over = self.table().over_beside(FOLDER, |_| true, ORPHAN_AGE).await?;
        let listed = self.listed(&over).await?;
        Ok((over, listed))
    }

    /// The paths that all lists name but those.
    async fn listed(&self, without: &[FileBeside]) -> Result<HashSet<String>, StoreError> {
        let (table, mut files) = (self.table(), HashSet::new());
        let is_left = |path: &String| path.ends_with(".json") && without.iter().all(|other| other.path != *path);
        for path in table.list_beside(FOLDER).await?.into_iter().filter(is_left) {
            let listed: Option<Vec<String>> = table.beside(&path).await?;
            files.extend(listed.into_iter().flatten());
        }
        Ok(files)
    }
}

/// Where the list of an import lies that has written these files: it is named like the first of them, as no other import wrote
/// that one.
fn list(files: &[DataFile]) -> Option<String> {
    let name = files.first()?.path.rsplit('/').next()?.trim_end_matches(".parquet").to_owned();
    Some(format!("{FOLDER}/{name}.json"))
}
