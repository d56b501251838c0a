//! Which offsets a reconcile takes: up to the last slice that the archive covers (R1, R13); of a closed log, everything
//! that is archived (R6).

use platform::settings;
use platform::store::StoreError;
use shared_logic::contracts::archive::Facts;
use shared_logic::cut::{self, CutPlan, Rotated};
use shared_logic::log::Offsets;
use storage::Archive;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::MetricError;

/// Waits until the archive covers the last slice of each shard, at most `reconcile.wait` and not after `stop`. Slices
/// that are not archived by then are left to the next reconcile.
pub(super) async fn wait_for_archive(
    settings: &settings::Reconcile,
    stop: &CancellationToken,
    archive: &mut Archive,
    rotated: &Rotated,
) -> Result<(), StoreError> {
    let deadline = Instant::now() + settings.wait.get();
    let mut waited = false;
    loop {
        let behind = cut::behind(rotated, &archive.facts());
        if behind.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline || stop.is_cancelled() {
            for late in behind {
                warn!(id = %late.partition, wanted = late.wanted, archived = late.archived, "the archive is behind; is `batch-layer archive` running?");
            }
            return Ok(());
        }
        if !waited {
            info!(table = archive.path(), partitions = behind.len(), "waiting for the archive");
            waited = true;
        }
        tokio::select! {
            () = tokio::time::sleep(settings.poll.get()) => {}
            () = stop.cancelled() => {}
        }
        archive.refresh().await?;
    }
}

/// R1: the cut of a metric's next view, never below `newest`, the cut of its newest view, whatever that view counts.
///
/// # Errors
/// If the archive does not cover it.
pub(super) fn of_view(newest: Option<&Offsets>, rotated: &Rotated, archive: &Archive) -> Result<Offsets, MetricError> {
    match cut::plan(newest, rotated, &archive.facts()) {
        CutPlan::Ready(cut) => Ok(cut),
        CutPlan::Waiting(behind) => Err(MetricError::ArchiveBehind { version: archive.version(), behind }),
    }
}

/// Whether the archive covers a cut. It does not after its folder was replaced by an older copy, or by another archive.
pub(super) fn is_covered(cut: &Offsets, archive: &Facts) -> bool {
    cut.iter().all(|(id, offset)| archive.partition(id).is_some_and(|known| offset <= known.next))
}
