//! What the layers share, read and written.
//!
//! `shared_logic::contracts` says how archives, batch views and shards are written down; this crate is the I/O half of it,
//! and the only code that opens one of their tables or runs one of their scripts.
//!
//! - [`Storage`]: the tables of one deployment;
//! - [`NotedTable`]: a Delta table and the note of its newest commit, both at one version; [`Followed`] keeps up with one
//!   that may not exist yet;
//! - [`Archive`] and [`BatchView`]: what arrived, and what was counted of it;
//! - [`Reconciliations`]: what each reconcile moved, and the drift that it measured; and what checks of streams found;
//! - [`MaterialisedTable`]: the rows that keyed changes have left;
//! - [`Backtest`]: what a stream would have written;
//! - [`ReportTable`]: what a report has written for others to query, and which days of it an erasure concerns ([`ErasedDays`]);
//! - [`Schemas`]: what the schemas mean that records name, by the archive or the schema registry;
//! - [`Identities`]: where each event of an archive lies, by what identifies it;
//! - [`VersionStore`]: which versions there are, and which is the active one; [`FollowedVersions`] keeps up with that;
//! - [`ShardClient`]: every script that reads or changes a shard in Redis;
//! - [`TableRowsClient`]: the same for the rows of tables;
//! - [`SearchClient`]: every request to the search server that holds the indexes.

mod archive;
mod backtest;
mod batch_view;
mod identities;
mod index;
mod noted_table;
mod reconciliations;
mod report;
mod schemas;
mod shard;
mod table;
mod table_rows;
mod versions;

use std::path::PathBuf;

use platform::settings;
use platform::store::{Store, StoreError};
use shared_logic::catalog::Deployment;

pub use archive::{Archive, Decoded, ErasedHours, FactsNotChanged, SUPERSEDED_AGE, Snapshot};
pub use backtest::{Backtest, BacktestNotKept, BacktestOutput};
pub use batch_view::{BatchView, KeptName, KeptVersion, Rebuild, RebuildDay};
pub use identities::{Entries, Found, Identities, Prefix, Run, RunBytes, to_merge};
pub use index::{
    BulkItem, BulkOutcome, Hits, IndexInfo, NotWritten, Pace, Put as StatePut, Scroll, SearchClient, SearchError,
    SeqNo, ServerInfo, Stored, Written,
};
pub use noted_table::{Followed, NotedTable, ORPHAN_AGE, TableNote};
pub use reconciliations::{ROWS_KEPT, Reconciliations, ReconciliationsError, RowsOf};
pub use report::{ErasedDays, ReportTable};
pub use schemas::{AwaitedSchema, SchemaError, Schemas};
pub use shard::{Merged, Owner, Scripts, ShardClient, ShardError, SliceScan, Sweep, SweptFields, Wish};
pub use table::MaterialisedTable;
pub use table_rows::{RowsRead, TableRowsClient, TableRowsError, TableScripts};
pub use versions::{FollowedVersions, PointerRead, Put, VersionStore, VersionsError, active_version};

/// The tables of one version of a deployment. Those that it shares with other versions are the same tables.
#[derive(Debug, Clone)]
pub struct Storage {
    store: Store,
    /// Which version's views these are, and what is called after a generation.
    deployment: Deployment,
}

impl Storage {
    /// The tables of a deployment in the store of the settings. Nothing is read yet.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`].
    pub fn new(settings: &settings::Store, deployment: &Deployment) -> Result<Storage, StoreError> {
        let store = Store::new(settings, &deployment.name)?;
        Ok(Storage { store, deployment: deployment.clone() })
    }

    /// The tables of another version of the deployment, in the same store.
    pub fn of(&self, deployment: &Deployment) -> Storage {
        Storage { store: self.store.clone(), deployment: deployment.clone() }
    }

    /// Finds out whether commits are safe, see [`Store::check`]. A process that writes does this once, when it starts.
    ///
    /// # Errors
    /// [`StoreError::Unfit`].
    pub async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    /// The deployment's folder; `None` if its tables are not on local disk.
    pub fn folder(&self) -> Option<PathBuf> {
        self.store.folder()
    }
}
