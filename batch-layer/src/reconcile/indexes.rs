//! The search indexes that follow a source, looked after as a part of its reconcile ([`index`](crate::index)).

use metrics::counter;
use platform::telemetry::error_text;
use shared_logic::catalog::Source;
use shared_logic::contracts::reconciliation::Reconciliation;
use shared_logic::version::IndexUnit;
use storage::{SearchClient, SearchError, VersionStore};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Reconciler;
use super::error::ReconcileError;
use crate::index::{Erased, IndexError, Keeper, LeftInIndex, subjects};
use crate::log_ends::KafkaEnds;
use crate::table;

/// What indexes follow of a stream, as far as it is materialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Whether or not it was before.
    All,
    /// Only what was before.
    Known,
}

impl Reconciler {
    /// The client of the search server; `None` if the settings name none, so that no index is kept.
    pub(crate) fn search(&self) -> Result<Option<SearchClient>, SearchError> {
        SearchClient::new(&self.search, &self.whole.deployment)
    }

    /// Builds and compares the indexes over a source whose host this version is. Returns the failures, of which none keeps another index
    /// from being looked after. While the server is away or has too much to do, nothing has failed: it is tried again.
    pub(crate) async fn keep_indexes(&self, source: &Source, stop: &CancellationToken) -> Vec<ReconcileError> {
        let units = self.versions.checks_indexes(&self.whole.deployment.version, &source.name);
        if units.is_empty() {
            return Vec::new();
        }
        let opened = self.search().map_err(IndexError::from);
        let opened = opened.and_then(|client| Ok((client, VersionStore::new(&self.store, &self.whole.deployment)?)));
        let (client, pointer) = match opened {
            Ok((Some(client), pointer)) => (client, pointer),
            // Nobody follows them, and what was materialised before may hold what was erased since.
            Ok((None, _)) => return self.materialise_followed(&units, Which::Known).await,
            Err(error) => {
                let of_index = |unit: &IndexUnit| ReconcileError::of_index(&unit.index, error);
                return units.first().map(of_index).into_iter().collect();
            }
        };
        let mut failed = self.materialise_followed(&units, Which::All).await;
        let mut rows = Vec::new();
        for unit in &units {
            let index = &unit.catalog.indexes[&unit.index];
            let keeper = Keeper {
                unit,
                storage: &self.storage,
                client: &client,
                versions: &self.versions,
                pointer: &pointer,
                ends: KafkaEnds::new(&self.kafka),
                loads: &self.loads,
                poll: self.settings.poll.get(),
                subject: table::Subject::of_index(&unit.catalog, index),
            };
            match keeper.keep(stop).await {
                Ok(row) => rows.extend(row),
                Err(error) if error.is_quiet() => {
                    info!(index = unit.index, why = error_text(&error), "left to another process or to the next run");
                }
                Err(error) if error.is_back_pressure() => {
                    self.loads.server_was_away(&unit.index);
                    warn!(index = unit.index, error = error_text(&error), "the index waits for the search server");
                }
                Err(error) => failed.push(ReconcileError::of_index(&unit.index, error)),
            }
        }
        self.keep_index_checks(source, &rows).await;
        failed
    }

    /// The search indexes that may still hold what was erased; none if the settings name no server.
    ///
    /// # Errors
    /// If these give no client.
    pub(crate) async fn left_in_indexes(&self, erased: Erased<'_>) -> Result<Vec<LeftInIndex>, SearchError> {
        match self.search()? {
            Some(client) => Ok(erased.left_in(&client, &self.versions).await),
            None => Ok(Vec::new()),
        }
    }

    /// Materialises what these indexes follow of a stream. Tables are materialised already.
    async fn materialise_followed(&self, units: &[IndexUnit], which: Which) -> Vec<ReconcileError> {
        let mut failed = Vec::new();
        for subject in subjects(units).into_values().filter(|subject| !subject.archived.is_table) {
            if which == Which::Known && matches!(self.storage.table(&subject.name).await, Ok(None)) {
                continue;
            }
            let materialised = table::materialise_subject(&self.storage, &subject).await;
            let materialised = match materialised {
                Ok(materialised) => materialised,
                Err(error) => {
                    failed.push(ReconcileError::of_table(&subject.name, error));
                    continue;
                }
            };
            counter!("braid_table_materialised_total", "table" => subject.name.clone()).increment(1);
            counter!("braid_table_rows_read_total", "table" => subject.name.clone()).increment(materialised.rows_read);
            counter!("braid_table_rows_written_total", "table" => subject.name.clone()).increment(materialised.written);
            if let Err(error) = table::tidy_up(&self.storage, &subject.name, self.checkpoint_every).await {
                warn!(table = subject.name, error = error_text(&error), "cannot tidy up; trying again later");
            }
        }
        failed
    }

    /// Keeps the rows of checks. A failure is logged and nothing else: the checks have no rows then.
    async fn keep_index_checks(&self, source: &Source, rows: &[Reconciliation]) {
        if rows.is_empty() {
            return;
        }
        let kept = async {
            let mut table = self.storage.create_reconciliations().await?;
            table.keep(&source.name, rows, self.checkpoint_every).await
        };
        if let Err(error) = kept.await {
            counter!("braid_drift_rows_lost_total", "source" => source.name.clone()).increment(rows.len() as u64);
            warn!(source = source.name, error = error_text(&error), "cannot keep what the check of an index has found");
        }
    }
}
