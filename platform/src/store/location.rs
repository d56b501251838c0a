//! Where a table lies, and how deltalake gets at it.

use std::sync::Arc;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::{DeltaResult, DeltaTable, DeltaTableError, Path};
use tracing::error;
use url::Url;

use super::retention::Retention;
use super::{Store, StoreError, torn};

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
        store.medium.make_room(&url).map_err(|error| bad(&url, error.to_string()))?;
        Ok(Location { table: table.to_owned(), url, store: store.clone() })
    }

    /// The table's path below the deployment's root.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The URL of a file of the table, for other programs.
    pub(super) fn url_of(&self, file: &str) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut folders) = url.path_segments_mut() {
            folders.pop_if_empty().extend(Path::from(file).parts());
        }
        url
    }

    /// How long the table keeps what is superfluous.
    pub(super) fn retention(&self) -> &Retention {
        &self.store.retention
    }

    /// The time by the store's clock, in microseconds since 1970.
    pub(super) fn now_us(&self) -> i64 {
        (self.store.now_us)()
    }

    /// What deltalake reads and writes this table's log with. It needs a store in which a put-if-absent is one atomic step.
    pub(super) fn log_store(&self) -> DeltaResult<LogStoreRef> {
        let (objects, config) = (self.store.medium.objects(), StorageConfig::default());
        let of_table = config.decorate_store(Arc::clone(&objects), &self.url)?;
        Ok(default_logstore(Arc::new(of_table), objects, &self.url, &config))
    }

    /// Reads the log from its newest checkpoint on; `None` if there is no log.
    pub(super) async fn load(&self) -> Result<Option<DeltaTable>, StoreError> {
        self.set_torn_entry_aside().await?;
        let failed = |operation| move |source| self.failed(operation, source);
        let open = || self.log_store().map(DeltaTable::new).map_err(failed("open the log"));
        // Nearly always there is a log, and to look for it first would be a request more for each table that is opened.
        let mut delta = open()?;
        match delta.load().await {
            Ok(()) => return Ok(Some(delta)),
            Err(DeltaTableError::NotATable(_)) => {}
            Err(error) => return Err(self.failed("load the log", error)),
        }
        let mut delta = open()?;
        if !delta.verify_deltatable_existence().await.map_err(failed("look for the log"))? {
            return Ok(None);
        }
        // It may have been created meanwhile.
        delta.load().await.map_err(failed("load the log"))?;
        Ok(Some(delta))
    }

    /// Sets the last log entry aside if a power cut tore it. Only local disk can hold such an entry: an object store puts a
    /// whole object or none.
    pub(super) async fn set_torn_entry_aside(&self) -> Result<(), StoreError> {
        let Some(folder) = self.store.medium.folder(&self.url) else { return Ok(()) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    #[test]
    fn a_file_has_a_url_that_leads_to_it_whatever_its_folder_is_called() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("with space, 100% & #1?");
        let settings = settings::Store { url: root.display().to_string(), ..Default::default() };
        let location =
            Location::new(&Store::new(&settings, "braid").expect("a store"), "v1/archive/s").expect("a table");
        let url = location.url_of("date=2026-04-24/a b%.parquet");
        assert_eq!((url.scheme(), url.query(), url.fragment()), ("file", None, None));
        // In names of objects, a percent sign is written as three letters.
        let expected = root.canonicalize().expect("created").join("braid/v1/archive/s/date=2026-04-24/a b%25.parquet");
        assert_eq!(url.to_file_path(), Ok(expected));
        let by_name = Path::from_url_path(url.path()).expect("a path");
        assert!(by_name.as_ref().ends_with("/v1/archive/s/date=2026-04-24/a b%25.parquet"), "{by_name}");
    }

    #[test]
    fn a_file_in_a_bucket_has_the_url_of_its_object() {
        let url = "s3://bucket/some prefix".to_owned();
        let settings = settings::Store { url, region: "us-east-1".to_owned(), ..Default::default() };
        let store = Store::new(&settings, "braid").expect("a store");
        let location = Location::new(&store, "v1/views/m").expect("a table");
        let url = location.url_of("2026-04-24/x.parquet");
        assert_eq!(url.as_str(), "s3://bucket/some%20prefix/braid/v1/views/m/2026-04-24/x.parquet");
    }
}
