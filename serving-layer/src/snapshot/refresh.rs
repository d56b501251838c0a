//! Reads the tables for the next snapshot: every batch view, then every archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use platform::settings::Size;
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use storage::{Followed, Storage};
use tracing::warn;

use super::{ArchiveFacts, Archives, Views};
use crate::batch_view::{Memory, ViewReader};
use crate::last_read::LastRead;

/// How many tables are read at the same time.
const CONCURRENT_TABLES: usize = 8;

/// Follows all tables of one version.
pub(super) struct TableReaders {
    views: BTreeMap<String, ViewReader>,
    archives: BTreeMap<String, Followed<Facts>>,
}

impl TableReaders {
    pub(super) fn new(catalog: &Catalog, storage: &Storage, view_memory: Size) -> TableReaders {
        let memory = Arc::new(Memory::new(view_memory.as_usize()));
        let views = catalog.metrics.iter();
        let views =
            views.map(|(name, metric)| (name.clone(), ViewReader::new(storage, catalog, metric, Arc::clone(&memory))));
        let archives = catalog.sources.keys().map(|source| (source.clone(), storage.follow_archive(source)));
        TableReaders { views: views.collect(), archives: archives.collect() }
    }

    /// The newest batch views; `before` are those of the last snapshot.
    pub(super) async fn views(&mut self, before: &Views) -> Views {
        let reads = self.views.iter_mut().map(|(metric, reader)| {
            let read = async { (metric.clone(), reader.refresh().await) };
            read.boxed()
        });
        last_reads(before, read_together(reads.collect()).await)
    }

    /// The newest facts of the archives; `before` are those of the last snapshot.
    pub(super) async fn archives(&mut self, before: &Archives) -> Archives {
        let reads = self.archives.iter_mut().map(|(source, archive)| {
            let read = async { (source.clone(), newest_facts(archive).await) };
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
    }))
}

async fn read_together<T>(reads: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(reads).buffer_unordered(CONCURRENT_TABLES).collect().await
}

/// What is known after these reads, by metric or source. Where one failed, the value before stays.
fn last_reads<T: Clone>(
    before: &BTreeMap<String, LastRead<T>>,
    reads: Vec<(String, Result<T, StoreError>)>,
) -> BTreeMap<String, LastRead<T>> {
    let after = reads.into_iter().map(|(name, read)| {
        let before = before.get(&name);
        let read = read.map_err(|error| error_text(&error));
        if let Err(error) = &read
            && before.is_none_or(|before| before.error.is_none())
        {
            warn!(of = name, error, "cannot read the store; the last known values stay");
        }
        (name, LastRead::after(before, read))
    });
    after.collect()
}
