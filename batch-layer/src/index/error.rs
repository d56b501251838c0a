//! Why an index was not built or compared.

use platform::kafka::KafkaError;
use platform::store::StoreError;
use shared_logic::contracts::index::{IndexStepError, REFUSED_MAX};
use storage::{NotWritten, SearchError};

use crate::rows::RowsError;
use crate::table::TableError;

/// Why an index was not built or compared.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The search server could not be asked, or refused.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Documents were not written.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// The rows could not be read or materialised.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Kafka could not be asked where the topic ends.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// Another process has taken a step.
    #[error(transparent)]
    Step(#[from] IndexStepError),
    /// Another process has begun a build.
    #[error("another process has begun a build")]
    Overtaken,
    /// The server refuses so many rows that not these are wrong, but the index is.
    #[error(
        "the search server refuses more than {REFUSED_MAX} rows of build {number}, such as {id:?}: {reason}; change the fields of the index \
         in the catalog, or the settings of the server"
    )]
    TooManyRefused {
        /// The build.
        number: u64,
        /// One of them.
        id: String,
        /// What the server says of it.
        reason: String,
    },
}

impl IndexError {
    /// Whether another process goes on, or this one is to stop: so nothing has failed.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self, IndexError::Step(_) | IndexError::Overtaken | IndexError::NotWritten(NotWritten::Stopped))
    }

    /// Whether the server may do it later.
    pub(crate) fn is_back_pressure(&self) -> bool {
        match self {
            IndexError::Search(error) | IndexError::NotWritten(NotWritten::Search(error)) => error.is_back_pressure(),
            _ => false,
        }
    }
}

impl From<RowsError> for IndexError {
    fn from(error: RowsError) -> IndexError {
        TableError::from(error).into()
    }
}

impl From<StoreError> for IndexError {
    fn from(error: StoreError) -> IndexError {
        TableError::from(error).into()
    }
}
