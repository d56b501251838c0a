//! How far tables are materialised: the notes of their newest versions, kept open between requests and read anew by each of them.
//! Nothing of it takes part in an answer about a metric.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::table::Note;
use storage::{Followed, Storage};
use tokio::sync::Mutex;

/// How long the store may take to say what the newest version of a table is.
pub(crate) const STORE_WITHIN: Duration = Duration::from_secs(2);

/// The notes of one version's tables.
pub(crate) struct TableNotes(BTreeMap<String, Mutex<Followed<Note>>>);

/// A table at its newest version.
#[derive(Debug, Clone)]
pub(crate) struct NotedVersion {
    pub(crate) version: u64,
    pub(crate) note: Arc<Note>,
}

impl TableNotes {
    /// Nothing is read yet.
    pub(crate) fn new(catalog: &Catalog, storage: &Storage) -> TableNotes {
        let tables = catalog.tables.keys().map(|name| (name.clone(), Mutex::new(storage.follow_table(name))));
        TableNotes(tables.collect())
    }

    /// The newest version of a table; `None` as long as it was never materialised, or the catalog has no such table.
    ///
    /// # Errors
    /// Why the store could not be read.
    pub(crate) async fn newest(&self, table: &str) -> Result<Option<NotedVersion>, String> {
        let Some(followed) = self.0.get(table) else { return Ok(None) };
        match tokio::time::timeout(STORE_WITHIN, read(followed)).await {
            Ok(read) => read.map_err(|error| error_text(&error)),
            Err(_) => Err(format!("the store did not give the table {table} within {STORE_WITHIN:?}")),
        }
    }
}

async fn read(followed: &Mutex<Followed<Note>>) -> Result<Option<NotedVersion>, StoreError> {
    let mut followed = followed.lock().await;
    let newest = followed.newest().await?;
    Ok(newest.and_then(|table| Some(NotedVersion { version: table.version(), note: Arc::clone(table.note()?) })))
}
