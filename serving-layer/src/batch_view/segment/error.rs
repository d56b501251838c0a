//! Why a segment cannot be read or written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::error;

/// A segment cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// The operating system refused.
    #[error("cannot {operation} {}", .path.display())]
    Disk {
        /// The operation, as a verb.
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A block is not what was written, or not where it was written.
    #[error("{} is damaged; it is built again", .path.display())]
    Damaged { path: PathBuf },
}

impl SegmentError {
    /// The error of the operating system at that operation, for `map_err`.
    pub(crate) fn disk(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SegmentError + use<> {
        let path = path.to_owned();
        move |source| SegmentError::Disk { operation, path, source }
    }
}

/// Whether a file was found damaged. All that read the file share this.
#[derive(Debug, Clone, Default)]
pub(super) struct Damage(Arc<AtomicBool>);

impl Damage {
    pub(super) fn is_found(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes that the file is damaged, and logs it the first time.
    pub(super) fn found(&self, path: &Path) -> SegmentError {
        if !self.0.swap(true, Ordering::Relaxed) {
            error!(path = %path.display(), "a segment is damaged, by its disk or by another program; it is built again");
        }
        SegmentError::Damaged { path: path.to_owned() }
    }
}
