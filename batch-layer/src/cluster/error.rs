//! Why a cluster gave no answer.

use std::path::PathBuf;
use std::time::Duration;

use polars::prelude::PolarsError;

/// Why a cluster gave no answer to a query.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The program is not installed.
    #[error(
        "there is no program {}, which asks the cluster: build it (`cargo build --release --manifest-path cluster/Cargo.toml`) and name it \
         in the setting `cluster.program`, or set `reconcile.engine` to polars", .program.display()
    )]
    NoProgram {
        /// What the setting names.
        program: PathBuf,
    },
    /// The program could not be run.
    #[error("cannot run {}, which asks the cluster (setting `cluster.program`)", .program.display())]
    NotRun {
        /// Where it lies.
        program: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The cluster did not compute it.
    #[error(
        "the cluster did not compute {query}: {said} (does its scheduler run where `reconcile.engine` says, are all its parts of this \
         build, and do scheduler and executors reach the store?)"
    )]
    Failed {
        /// The query's name.
        query: String,
        /// What the program said.
        said: String,
    },
    /// The program ended well, and its result does not.
    #[error("the cluster's result of {query} has no end: a part of it was lost")]
    NotWhole {
        /// The query's name.
        query: String,
    },
    /// It took too long.
    #[error(
        "the cluster did not compute {query} within {timeout:?} (setting `cluster.timeout`); do its executors run?"
    )]
    Late {
        /// The query's name.
        query: String,
        /// How long that was waited for.
        timeout: Duration,
    },
    /// The result could not be kept on local disk, or read from there.
    #[error("cannot keep the cluster's result of {query} in {}: make room there, or name another folder in TMPDIR", .folder.display())]
    NotKept {
        /// The query's name.
        query: String,
        /// The folder for temporary files.
        folder: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The result is none that this build reads.
    #[error(
        "the cluster's result of {query} cannot be read: all its parts and this process need to be of the same build"
    )]
    Unreadable {
        /// The query's name.
        query: String,
        /// What is wrong with it.
        source: PolarsError,
    },
}

impl ClusterError {
    /// Whether it is worth asking again.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, ClusterError::Failed { .. } | ClusterError::NotWhole { .. })
    }

    pub(super) fn not_kept(query: &str, source: std::io::Error) -> ClusterError {
        ClusterError::NotKept { query: query.to_owned(), folder: std::env::temp_dir(), source }
    }
}
