//! What the speed layer reads of the batch side: the archive's facts and the views' cuts.

use platform::store::{Store, StoreError, Table};
use serde::de::DeserializeOwned;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::{self, Facts};
use shared_logic::contracts::batch_view::{self, Note};
use shared_logic::cut;
use shared_logic::log::{Offsets, PartitionId};

/// Reads the archive of one source and the views of its metrics.
#[derive(Debug)]
pub struct BatchSide {
    store: Store,
    archive: Followed,
    views: Vec<Followed>,
}

/// What the batch side covers, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Boundary {
    /// The archive's facts; `None` if there is no archive yet.
    pub archive: Option<Facts>,
    /// The cuts of the newest views of the catalog's metrics over the source. The views may count other definitions.
    pub cuts: Vec<Offsets>,
}

impl BatchSide {
    /// The archive of that source, and the views of the catalog's metrics over it.
    pub fn new(store: Store, catalog: &Catalog, source: &Source) -> BatchSide {
        let version = &catalog.deployment.version;
        let views =
            catalog.metrics_of(&source.name).map(|metric| Followed::new(batch_view::path(version, &metric.name)));
        BatchSide { store, archive: Followed::new(archive::path(&source.name)), views: views.collect() }
    }

    /// Reads the newest boundary.
    ///
    /// # Errors
    /// If a table cannot be read. Then nothing may be decided that depends on the boundary.
    pub async fn boundary(&mut self) -> Result<Boundary, StoreError> {
        let mut cuts = Vec::new();
        for view in &mut self.views {
            if let Some(note) = view.newest::<Note>(&self.store, batch_view::NOTE_DOMAIN).await? {
                cuts.push(note.cut);
            }
        }
        let archive = self.facts().await?;
        Ok(Boundary { archive, cuts })
    }

    /// The first offset of a partition that the archive holds or will hold; `None` if it does not know the partition.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub async fn archive_start(&mut self, id: &PartitionId) -> Result<Option<i64>, StoreError> {
        let facts = self.facts().await?;
        Ok(facts.and_then(|facts| facts.partition(id).map(|known| known.begin)))
    }

    async fn facts(&mut self) -> Result<Option<Facts>, StoreError> {
        self.archive.newest(&self.store, archive::FACTS_DOMAIN).await
    }
}

impl Boundary {
    /// R6: the offset at which the partition's shard is opened; `None` as long as the archive does not know the partition.
    pub fn opening(&self, id: &PartitionId) -> Option<i64> {
        cut::opening(self.cuts.iter(), id, self.archive.as_ref().unwrap_or(&Facts::default()))
    }

    /// R8: the partitions whose shards are no longer needed, with their archived ends.
    pub fn deletable(&self) -> Vec<(PartitionId, i64)> {
        self.archive.as_ref().map(|facts| cut::deletable(&self.cuts, facts)).unwrap_or_default()
    }

    /// R8: the offset below which the partition's slices may be dropped.
    pub fn droppable(&self, id: &PartitionId) -> Option<i64> {
        cut::droppable(self.cuts.iter(), id)
    }
}

/// A table that may not exist yet, kept open to be refreshed.
#[derive(Debug)]
struct Followed {
    path: String,
    table: Option<Table>,
}

impl Followed {
    fn new(path: String) -> Followed {
        Followed { path, table: None }
    }

    /// The note of the newest commit that has one in this domain.
    async fn newest<T: DeserializeOwned>(&mut self, store: &Store, domain: &str) -> Result<Option<T>, StoreError> {
        match &mut self.table {
            Some(table) => {
                table.refresh().await?;
            }
            None => self.table = store.open(&self.path).await?,
        }
        match &self.table {
            Some(table) => table.note(domain).await,
            None => Ok(None),
        }
    }
}
