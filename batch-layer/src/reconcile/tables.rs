//! The table that a source is, materialised as a part of its reconcile ([`table`](crate::table)).

use metrics::counter;
use platform::telemetry::error_text;
use shared_logic::catalog::Source;
use tracing::warn;

use super::Reconciler;
use super::error::ReconcileError;
use crate::table::{self, Materialised};

impl Reconciler {
    /// Materialises the table that a source is; nothing if it is none, or another version of the deployment does so (K8).
    ///
    /// # Errors
    /// [`ReconcileError::Table`].
    pub(crate) async fn materialise(&self, source: &Source) -> Result<Option<Materialised>, ReconcileError> {
        let Some(declared) = self.whole.tables.get(&source.name) else { return Ok(None) };
        if !self.versions.materialises(&self.whole.deployment.version, &source.name) {
            return Ok(None);
        }
        let materialised = table::materialise(&self.storage, &self.whole, declared).await;
        let materialised = materialised.map_err(|error| ReconcileError::of_table(&source.name, error))?;
        counter!("braid_table_materialised_total", "table" => source.name.clone()).increment(1);
        counter!("braid_table_rows_read_total", "table" => source.name.clone()).increment(materialised.rows_read);
        counter!("braid_table_rows_written_total", "table" => source.name.clone()).increment(materialised.written);
        if let Err(error) = table::tidy_up(&self.storage, &source.name, self.checkpoint_every).await {
            warn!(table = source.name, error = error_text(&error), "cannot tidy up; trying again later");
        }
        Ok(Some(materialised))
    }
}
