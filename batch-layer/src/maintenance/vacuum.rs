//! Vacuum: deletes files that no version refers to any more, once they are older than any reader needs them (decision 0016), and writes
//! a checkpoint, which deletes the log entries that it makes superfluous (decision 0036).

use platform::store::FileBeside;
use shared_logic::catalog::{Metric, Source};
use storage::{Archive, BatchView};

use super::{Pass, Step, TableError};
use crate::reconcile::Reconciler;

/// Deletes what no version of the archive needs, nor the index of identities.
///
/// # Errors
/// If the store cannot be read or written.
pub(super) async fn of_archive(
    source: &Source,
    archive: &mut Archive,
    pass: Pass<'_>,
) -> Result<Option<Step>, TableError> {
    let rules = source.rules();
    if pass.dry_run {
        return Ok(listed(archive.unused(&rules).await?));
    }
    // A version that is not the newest one deletes nothing.
    archive.refresh().await?;
    let beside = archive.remove_decoded().await? + archive.remove_erased().await?;
    let files = beside + archive.remove_orphans().await? + archive.remove_identities(&rules).await?;
    archive.checkpoint().await?;
    Ok(removed(files))
}

/// Deletes what neither a version of the view needs nor a rebuild.
///
/// # Errors
/// If the store cannot be read or written.
pub(super) async fn of_view(
    reconciler: &Reconciler,
    metric: &Metric,
    view: &BatchView,
    pass: Pass<'_>,
) -> Result<Option<Step>, TableError> {
    if pass.dry_run {
        return Ok(listed(view.unused().await?));
    }
    let files = view.remove_orphans(&reconciler.catalog.definition(metric)).await?;
    view.checkpoint().await?;
    Ok(removed(files))
}

fn listed(listed: Vec<FileBeside>) -> Option<Step> {
    (!listed.is_empty()).then(|| Step::Removed { files: listed.len(), listed })
}

fn removed(files: usize) -> Option<Step> {
    (files > 0).then(|| Step::Removed { files, listed: Vec::new() })
}
