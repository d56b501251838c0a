//! Tables that do not wait for their tick: rows in Redis, and lanes that look them up, wait for what a run would bring (B3). Search indexes
//! are looked after with the source that they follow (I4).

use std::time::Duration;

use platform::telemetry::error_text;
use shared_logic::version::IndexUnit;
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::index::WantedIndex;
use crate::reconcile::Reconciler;
use crate::table::Wanted;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);

/// A table that should be materialised now, or a source whose indexes should be looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedTable {
    /// The version that does so.
    pub(super) version: String,
    /// The name of the table, or of the source.
    pub(super) table: String,
}

/// Names each table that should be materialised now, once for each reason. It ends when nobody listens any more.
pub(super) async fn watch(reconciler: Reconciler, names: mpsc::Sender<WantedTable>) {
    let (mut tables, mut indexes) = (tables(&reconciler), indexes(&reconciler));
    if tables.is_empty() && indexes.is_empty() {
        return;
    }
    loop {
        for (version, wanted) in &mut tables {
            let table = wanted.table.clone();
            match wanted.is_now().await {
                Ok(false) => {}
                Ok(true) => {
                    info!(
                        version,
                        table, "rows of the table wait for it to be materialised; not waiting for its schedule"
                    );
                    let wanted = WantedTable { version: version.clone(), table };
                    if names.send(wanted).await.is_err() {
                        return;
                    }
                }
                Err(error) => debug!(table, error = error_text(&error), "cannot tell whether the table is waited for"),
            }
        }
        for wanted in &mut indexes {
            let (version, source) = (wanted.unit.host.clone(), wanted.unit.source.clone());
            match wanted.is_now().await {
                Ok(false) => {}
                Ok(true) => {
                    let index = &wanted.unit.index;
                    info!(
                        version,
                        source, index, "the search index waits for the source; not waiting for its schedule"
                    );
                    // Its rows may be materialised by another version, with which it shares them.
                    let of_rows = rows_host(&reconciler, &wanted.unit).filter(|host| *host != version);
                    if let Some(host) = of_rows
                        && names.send(WantedTable { version: host, table: source.clone() }).await.is_err()
                    {
                        return;
                    }
                    if names.send(WantedTable { version, table: source }).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let index = &wanted.unit.index;
                    debug!(index, error = error_text(&error), "cannot tell whether the index is to be looked after");
                }
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The indexes of all versions that the reconciler knows; none if no search server is named.
fn indexes(reconciler: &Reconciler) -> Vec<WantedIndex> {
    // A setting that is wrong is told by every reconcile.
    let Ok(Some(client)) = reconciler.search() else { return Vec::new() };
    let units = reconciler.versions.indexes().into_iter();
    let wanted = units.filter_map(|unit| {
        let storage = reconciler.of_version(&unit.host)?.storage;
        Some(WantedIndex::new(&storage, &client, unit))
    });
    wanted.collect()
}

/// The version that materialises the table that an index follows; `None` of a stream, whose rows are materialised with the index.
fn rows_host(reconciler: &Reconciler, unit: &IndexUnit) -> Option<String> {
    let generation = unit.catalog.deployment.table_generation(&unit.source);
    let mut rows = reconciler.versions.rows().into_iter();
    rows.find(|rows| rows.table == unit.source && rows.generation == generation).map(|rows| rows.host)
}

/// The tables of all versions that the reconciler knows, each with the version that materialises it.
fn tables(reconciler: &Reconciler) -> Vec<(String, Wanted)> {
    let mut tables = Vec::new();
    for (version, _) in reconciler.versions.living() {
        let Some(Reconciler { whole, storage, versions, .. }) = reconciler.of_version(version) else { continue };
        let own = whole.tables.values().filter(|table| versions.materialises(version, &table.name));
        tables.extend(own.map(|table| (version.to_owned(), Wanted::new(&storage, &whole, table))));
    }
    tables
}
