//! Reads the tables for the next snapshot: every batch view, then every archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use storage::{Followed, Storage};
use tracing::warn;

use super::{ArchiveFacts, Archives, Views};
use crate::batch_view::{Disk, Refreshed, ViewReader};
use crate::last_read::LastRead;

/// How many tables are read at the same time.
const CONCURRENT_TABLES: usize = 8;

/// What came of reading a table.
enum Read<T> {
    New(T),
    /// It is not known yet.
    Pending,
    Failed(String),
}

/// Follows all tables of one version.
pub(super) struct TableReaders {
    views: BTreeMap<String, ViewReader>,
    archives: BTreeMap<String, Followed<Facts>>,
}

impl TableReaders {
    pub(super) fn new(catalog: &Catalog, storage: &Storage, disk: &Arc<Disk>) -> TableReaders {
        let views = catalog.metrics.iter();
        let views =
            views.map(|(name, metric)| (name.clone(), ViewReader::new(storage, catalog, metric, Arc::clone(disk))));
        let archives = catalog.sources.keys().map(|source| (source.clone(), storage.follow_archive(source)));
        TableReaders { views: views.collect(), archives: archives.collect() }
    }

    /// The tables of the views, below the deployment's folder.
    pub(super) fn tables(&self) -> Vec<String> {
        self.views.values().map(|view| view.table().to_owned()).collect()
    }

    /// The newest batch views that are loaded; `before` are those of the last snapshot.
    pub(super) async fn views(&mut self, before: &Views) -> Views {
        let reads = self.views.iter_mut().map(|(metric, reader)| {
            let read = async {
                let read = match reader.refresh().await {
                    Ok(Refreshed::View(view)) => Read::New(Some(view)),
                    Ok(Refreshed::NoView) => Read::New(None),
                    Ok(Refreshed::Loading) => Read::Pending,
                    Err(error) => Read::Failed(error_text(&error)),
                };
                (metric.clone(), read)
            };
            read.boxed()
        });
        last_reads(before, read_together(reads.collect()).await)
    }

    /// The newest facts of the archives; `before` are those of the last snapshot.
    pub(super) async fn archives(&mut self, before: &Archives) -> Archives {
        let reads = self.archives.iter_mut().map(|(source, archive)| {
            let read = async {
                let read = match newest_facts(archive).await {
                    Ok(facts) => Read::New(facts),
                    Err(error) => Read::Failed(error_text(&error)),
                };
                (source.clone(), read)
            };
            read.boxed()
        });
        last_reads(before, read_together(reads.collect()).await)
    }
}

/// The newest facts of a source's archive; `None` while there is no table.
async fn newest_facts(archive: &mut Followed<Facts>) -> Result<Option<ArchiveFacts>, StoreError> {
    let newest = archive.newest().await?;
    Ok(newest.map(|table| ArchiveFacts {
        version: table.version(),
        facts: table.note().map(Arc::clone).unwrap_or_default(),
        table: table.clone(),
    }))
}

async fn read_together<T>(reads: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(reads).buffer_unordered(CONCURRENT_TABLES).collect().await
}

/// What is known after these reads, by metric or source. Where there is nothing new, or a read failed, the value before stays.
fn last_reads<T: Clone>(
    before: &BTreeMap<String, LastRead<T>>,
    reads: Vec<(String, Read<T>)>,
) -> BTreeMap<String, LastRead<T>> {
    let after = reads.into_iter().map(|(name, read)| {
        let before = before.get(&name);
        if let Read::Failed(error) = &read
            && before.is_none_or(|before| before.error.is_none())
        {
            warn!(of = name, error, "cannot read the store; the last known values stay");
        }
        let after = match read {
            Read::New(value) => LastRead::after(before, Ok(value)),
            Read::Failed(error) => LastRead::after(before, Err(error)),
            Read::Pending => before.cloned().unwrap_or_default(),
        };
        (name, after)
    });
    after.collect()
}
