//! Tables that do not wait for their tick: rows in Redis, and lanes that look them up, wait for what a run would bring (B3).

use std::time::Duration;

use platform::telemetry::error_text;
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::reconcile::Reconciler;
use crate::table::Wanted;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);

/// Names each table that should be materialised now, once for each reason. It ends when nobody listens any more.
pub(super) async fn watch(reconciler: Reconciler, names: mpsc::Sender<String>) {
    let Reconciler { catalog, storage, .. } = reconciler;
    let mut tables: Vec<Wanted> = catalog.tables.values().map(|table| Wanted::new(&storage, &catalog, table)).collect();
    if tables.is_empty() {
        return;
    }
    loop {
        for wanted in &mut tables {
            let table = wanted.table.clone();
            match wanted.is_now().await {
                Ok(false) => {}
                Ok(true) => {
                    info!(table, "rows of the table wait for it to be materialised; not waiting for its schedule");
                    if names.send(table).await.is_err() {
                        return;
                    }
                }
                Err(error) => debug!(table, error = error_text(&error), "cannot tell whether the table is waited for"),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
