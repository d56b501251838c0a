//! The batch view of one metric, with the cut and the definition that its newest commit carries (R1).
//!
//! - `rebuild`: what is counted of the next view, if that counts another definition or everything is to be counted anew;
//! - `kept`: versions that it can be rolled back to.

mod kept;
mod rebuild;

use platform::store::StoreError;
use polars::prelude::Schema;
use shared_logic::contracts::batch_view::{self, Note};

use crate::{Followed, NotedTable, Storage, TableNote};

pub use kept::{KeptName, KeptVersion};
pub use rebuild::{Rebuild, RebuildDay};

/// The batch view of one metric at one version, with its note at that version.
pub type BatchView = NotedTable<Note>;

impl TableNote for Note {
    const DOMAIN: &'static str = batch_view::NOTE_DOMAIN;
    const PARTITION: &'static str = batch_view::DAY;
    const ENTRIES: &'static str = batch_view::NOTE_LOGS;
}

impl Storage {
    /// The batch view of a metric at its newest version; `None` until its table is created.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn batch_view(&self, metric: &str) -> Result<Option<BatchView>, StoreError> {
        BatchView::open(&self.store, &self.view_path(metric)).await
    }

    /// The batch view of a metric at its newest version, whether or not it consists of the files that its last commit noted. It
    /// is for whoever is going to take every file out of it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn batch_view_as_it_is(&self, metric: &str) -> Result<Option<BatchView>, StoreError> {
        BatchView::open_as_it_is(&self.store, &self.view_path(metric)).await
    }

    /// The batch view of a metric, created with those columns where it is missing.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn create_batch_view(&self, metric: &str, columns: &Schema) -> Result<BatchView, StoreError> {
        BatchView::create(&self.store, &self.view_path(metric), columns).await
    }

    /// The batch view of a metric, to be followed from version to version.
    pub fn follow_batch_view(&self, metric: &str) -> Followed<Note> {
        Followed::new(self.store.clone(), self.view_path(metric))
    }

    fn view_path(&self, metric: &str) -> String {
        batch_view::path(&self.deployment.version, metric)
    }
}
