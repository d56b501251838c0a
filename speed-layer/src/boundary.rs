//! What the speed layer knows of the batch side: the archive's facts and the views' cuts.

use platform::store::{Store, StoreError, Table};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::{self, Facts};
use shared_logic::contracts::batch_view::{self, Note};
use shared_logic::cut;
use shared_logic::log::{Offsets, PartitionId};

/// Reads the boundary of one source.
#[derive(Debug)]
pub struct Batch {
    store: Store,
    archive: (String, Option<Table>),
    views: Vec<(String, Option<Table>)>,
}

/// The boundary at one look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Boundary {
    /// The archive's facts; `None` if there is no archive yet.
    pub archive: Option<Facts>,
    /// The cuts of the newest views of the catalog's metrics over the source, whatever definition they count.
    pub cuts: Vec<Offsets>,
}

impl Batch {
    /// Of that source in that catalog.
    pub fn new(store: Store, catalog: &Catalog, source: &Source) -> Batch {
        let version = &catalog.deployment.version;
        let views = catalog.metrics_of(&source.name).map(|metric| (batch_view::path(version, &metric.name), None));
        Batch { store, archive: (archive::path(&source.name), None), views: views.collect() }
    }

    /// Looks at the newest versions.
    ///
    /// # Errors
    /// If a table cannot be read: whoever has to know the boundary waits then.
    pub async fn look(&mut self) -> Result<Boundary, StoreError> {
        let mut cuts = Vec::new();
        for (path, table) in &mut self.views {
            if let Some(note) = newest::<Note>(&self.store, path, table, batch_view::NOTE_DOMAIN).await? {
                cuts.push(note.cut);
            }
        }
        let archive = self.facts().await?;
        Ok(Boundary { archive, cuts })
    }

    /// Where the archive begins a partition; `None` if it has not.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub async fn begin(&mut self, id: &PartitionId) -> Result<Option<i64>, StoreError> {
        let facts = self.facts().await?;
        Ok(facts.and_then(|facts| facts.partition(id).map(|known| known.begin)))
    }

    async fn facts(&mut self) -> Result<Option<Facts>, StoreError> {
        let (path, table) = &mut self.archive;
        newest::<Facts>(&self.store, path, table, archive::FACTS_DOMAIN).await
    }
}

impl Boundary {
    /// R6: where a shard of the partition is opened; `None`: wait for the archive.
    pub fn opening(&self, id: &PartitionId) -> Option<i64> {
        cut::opening(self.cuts.iter(), id, self.archive.as_ref().unwrap_or(&Facts::default()))
    }

    /// R8: the partitions whose shards are needed no more, with their archived ends.
    pub fn deletable(&self) -> Vec<(PartitionId, i64)> {
        self.archive.as_ref().map(|facts| cut::deletable(&self.cuts, facts)).unwrap_or_default()
    }

    /// R8: below which offset the partition's slices may be dropped.
    pub fn droppable(&self, id: &PartitionId) -> Option<i64> {
        cut::droppable(self.cuts.iter(), id)
    }
}

async fn newest<T: serde::de::DeserializeOwned>(
    store: &Store,
    path: &str,
    table: &mut Option<Table>,
    domain: &str,
) -> Result<Option<T>, StoreError> {
    match table {
        Some(table) => {
            table.refresh().await?;
        }
        None => *table = store.open(path).await?,
    }
    match table {
        Some(table) => table.note(domain).await,
        None => Ok(None),
    }
}
