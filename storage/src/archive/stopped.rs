//! Why lanes do not go on, beside the archive of the source that they read. Nothing depends on these notes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use platform::store::StoreError;
use shared_logic::contracts::stream::{
    LanesNoted, STOPPED, Stopped, published_partition, stopped_partition, stopped_path,
};

use super::Archive;
use super::snapshots::FOLDER;

impl Archive {
    /// Notes why the lane of a partition does not go on, in place of what was noted before.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn note_stopped(&self, generation: &str, partition: i32, stopped: &Stopped) -> Result<(), StoreError> {
        self.table().put_beside(&stopped_path(generation, partition), stopped).await
    }

    /// Removes the note about the lane of a partition, if there is one.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn forget_stopped(&self, generation: &str, partition: i32) -> Result<(), StoreError> {
        let noted = stopped_path(generation, partition);
        self.table().remove_beside(&format!("{STOPPED}{generation}"), |path| path == noted, Duration::ZERO).await?;
        Ok(())
    }

    /// What the lanes of a generation have noted.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn lanes_noted(&self, generation: &str) -> Result<LanesNoted, StoreError> {
        let files = self.table().list_beside(FOLDER).await?;
        let (mut stopped, mut published) = (BTreeMap::new(), BTreeSet::new());
        for path in &files {
            published.extend(published_partition(generation, path));
            let Some(partition) = stopped_partition(generation, path) else { continue };
            // It may be gone by now, and what cannot be read says nothing.
            let text = self.table().bytes_beside(path).await?.unwrap_or_default();
            if let Ok(noted) = serde_json::from_slice::<Stopped>(&text) {
                stopped.insert(partition, noted);
            }
        }
        Ok(LanesNoted { begun: self.lanes_begun(generation).await?, stopped, published })
    }
}
