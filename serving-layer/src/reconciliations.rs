//! The table of reconciles, kept open between requests and read anew by each of them. Nothing of it takes part in an answer about a
//! metric.

use shared_logic::contracts::reconciliation::Reconciliation;
use storage::{Reconciliations, ReconciliationsError, RowsOf, Storage};
use tokio::sync::Mutex;

/// The table of one version's reconciles.
pub(crate) struct ReconciliationTable {
    storage: Storage,
    table: Mutex<Option<Reconciliations>>,
}

impl ReconciliationTable {
    /// Nothing is read yet.
    pub(crate) fn new(storage: &Storage) -> ReconciliationTable {
        ReconciliationTable { storage: storage.clone(), table: Mutex::default() }
    }

    /// The newest of these rows; none as long as no reconcile has written any.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub(crate) async fn newest(
        &self,
        of: RowsOf<'_>,
        limit: usize,
    ) -> Result<Vec<Reconciliation>, ReconciliationsError> {
        match self.refreshed().await? {
            Some(table) => table.newest(of, limit).await,
            None => Ok(Vec::new()),
        }
    }

    async fn refreshed(&self) -> Result<Option<Reconciliations>, ReconciliationsError> {
        let mut known = self.table.lock().await;
        // Taken out, so that a table whose refresh fails or is cancelled halfway is not used again.
        let table = match known.take() {
            Some(mut table) => {
                table.refresh().await?;
                Some(table)
            }
            None => self.storage.reconciliations().await?,
        };
        *known = table.clone();
        Ok(table)
    }
}
