//! Why a version could not be verified.

use std::io;

use platform::redis::RedisError;
use platform::store::StoreError;
use storage::{ShardError, VersionsError};

use crate::rows::RowsError;

/// Why a version could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// No version of that name lives.
    #[error("there is no version {0}, or its catalog cannot be used; see `braid version list`")]
    NoVersion(String),
    /// It is not replayed.
    #[error(
        "version {version} is {stage}: only a version that is replayed can be verified; see `braid version replay`"
    )]
    NotReplayed {
        /// The version.
        version: String,
        /// Its stage.
        stage: &'static str,
    },
    /// The archive or a view could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Redis could not be reached.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// A shard could not be read.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// What is compared could not be kept on local disk meanwhile.
    #[error(
        "cannot keep what is compared in {}, the folder for temporary files: set TMPDIR to one on disk that can be written to",
        std::env::temp_dir().display()
    )]
    Spill(#[from] io::Error),
    /// The result could not be noted.
    #[error(transparent)]
    Versions(#[from] VersionsError),
    /// It was stopped.
    #[error("stopped before everything was compared; nothing is noted")]
    Stopped,
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> VerifyError {
        RowsError::from(error).into()
    }
}
