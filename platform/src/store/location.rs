//! Where a table lies, and how deltalake gets at it.

use std::path::PathBuf;
use std::sync::Arc;

use deltalake::{DeltaResult, DeltaTable, DeltaTableBuilder, DeltaTableError};
use tracing::error;
use url::Url;

use super::retention::Retention;
use super::{Store, StoreError, durable, torn};

/// Where one table lies.
#[derive(Debug, Clone)]
pub(super) struct Location {
    table: String,
    url: Url,
    store: Store,
}

impl Location {
    /// The place of a table below the deployment's root; on local disk, its folder is created.
    pub(super) fn new(store: &Store, table: &str) -> Result<Location, StoreError> {
        let bad = |url: &Url, why: String| StoreError::BadUrl { url: url.to_string(), why };
        let url = store.root.join(&format!("{table}/")).map_err(|error| bad(&store.root, error.to_string()))?;
        let location = Location { table: table.to_owned(), url, store: store.clone() };
        if let Some(folder) = location.folder() {
            durable::create_folder(&folder).map_err(|error| bad(&location.url, error.to_string()))?;
        }
        Ok(location)
    }

    /// The table's path below the deployment's root.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// How long the table keeps what is superfluous.
    pub(super) fn retention(&self) -> &Retention {
        &self.store.retention
    }

    /// The time by the store's clock, in microseconds since 1970.
    pub(super) fn now_us(&self) -> i64 {
        (self.store.now_us)()
    }

    /// The table's folder if it lies on local disk.
    fn folder(&self) -> Option<PathBuf> {
        self.url.to_file_path().ok().filter(|_| self.url.scheme() == "file")
    }

    /// Builds what deltalake needs for this table.
    pub(super) fn builder(&self) -> DeltaResult<DeltaTableBuilder> {
        let builder = DeltaTableBuilder::from_url(self.url.clone())?.with_storage_options(self.store.options.clone());
        Ok(match &self.store.objects {
            Some(objects) => builder.with_storage_backend(Arc::clone(objects), self.url.clone()),
            None => builder,
        })
    }

    /// Reads the log from its newest checkpoint on; `None` if there is no log.
    pub(super) async fn load(&self) -> Result<Option<DeltaTable>, StoreError> {
        self.set_torn_entry_aside().await?;
        let failed = |operation| move |source| self.failed(operation, source);
        let mut delta = self.builder().and_then(DeltaTableBuilder::build).map_err(failed("open the log"))?;
        if !delta.verify_deltatable_existence().await.map_err(failed("look for the log"))? {
            return Ok(None);
        }
        delta.load().await.map_err(failed("load the log"))?;
        Ok(Some(delta))
    }

    /// Sets the last log entry aside if a power cut tore it. Only local disk can hold such an entry: an object store puts a
    /// whole object or none.
    pub(super) async fn set_torn_entry_aside(&self) -> Result<(), StoreError> {
        let Some(folder) = self.folder() else { return Ok(()) };
        let set_aside = move || torn::set_aside(&folder.join("_delta_log"));
        let aside = crate::task::blocking(set_aside).await.map_err(|source| StoreError::Log {
            operation: "look for a torn last log entry",
            table: self.table.clone(),
            source,
        })?;
        if let Some(aside) = aside {
            error!(
                table = self.table,
                file = %aside.display(),
                "the last log entry was torn, by a power cut on a disk that had not kept it; it is set aside: the table is as \
                 before that commit, the next one takes its number, and nothing needs to be done"
            );
        }
        Ok(())
    }

    pub(super) fn failed(&self, operation: &'static str, source: DeltaTableError) -> StoreError {
        StoreError::Delta { operation, table: self.table.clone(), source: Box::new(source) }
    }
}
