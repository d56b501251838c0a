//! Rows of tables, computed by Polars on threads that may block.

use platform::store::StoreError;
use polars::prelude::{DataFrame, DataType, PolarsResult};
use storage::SchemaError;
use tokio::task::JoinError;

/// Why rows of a table could not be read, computed or written.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The table could not be read or written, or Polars refused the rows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The records name a schema that could not be looked up.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The thread that computed the rows panicked, or was not started because the process ends.
    #[error("cannot {operation} of table {table}")]
    Thread {
        /// What was computed.
        operation: &'static str,
        /// The table's path below the deployment's folder.
        table: String,
        /// How the thread ended.
        source: JoinError,
    },
}

/// Runs work of Polars on a thread of the blocking pool. `operation` completes the sentence "cannot … of table …".
pub(crate) async fn compute<T: Send + 'static>(
    operation: &'static str,
    table: &str,
    work: impl FnOnce() -> PolarsResult<T> + Send + 'static,
) -> Result<T, RowsError> {
    let table = || table.to_owned();
    let computed = tokio::task::spawn_blocking(work).await;
    let computed = computed.map_err(|source| RowsError::Thread { operation, table: table(), source })?;
    Ok(computed.map_err(|source| StoreError::Frame { operation, table: table(), source })?)
}

/// How much memory rows take, about.
pub(crate) fn bytes_of(rows: &DataFrame) -> PolarsResult<usize> {
    let mut bytes = 0;
    for column in rows.columns() {
        let content: usize = match column.dtype() {
            DataType::String => column.str()?.iter().flatten().map(str::len).sum(),
            DataType::Binary => column.binary()?.iter().flatten().map(<[u8]>::len).sum(),
            _ => 0,
        };
        bytes += content + 16 * rows.height();
    }
    Ok(bytes)
}
