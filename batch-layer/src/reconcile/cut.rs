//! Which offsets a reconcile takes: those that rotates returned, once they are archived (R1, R3); of a closed log, everything
//! that is archived (R6).

use std::collections::BTreeMap;

use platform::settings;
use platform::store::StoreError;
use shared_logic::cut::{self, CutPlan};
use shared_logic::log::{Offsets, PartitionId};
use storage::Archive;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::error::MetricError;

/// The offsets at which the rotates began a slice. A partition without a shard has none.
pub(super) type Rotated = BTreeMap<PartitionId, i64>;

/// Waits until the archive covers the rotated offsets, at most `reconcile.wait` and not after `stop`. What is not archived by
/// then is left to the next reconcile: the cut is what is archived, which is just as exact, but no slice begins there.
pub(super) async fn wait_for_archive(
    settings: &settings::Reconcile,
    stop: &CancellationToken,
    archive: &mut Archive,
    rotated: &mut Rotated,
) -> Result<(), StoreError> {
    let deadline = Instant::now() + settings.wait.get();
    loop {
        let CutPlan::Waiting(behind) = cut::plan(None, rotated, &archive.facts()) else { return Ok(()) };
        if Instant::now() >= deadline || stop.is_cancelled() {
            for late in behind {
                warn!(id = %late.partition, wanted = late.wanted, archived = late.archived, "the archive is behind; is `batch-layer archive` running?");
                rotated.insert(late.partition, late.archived);
            }
            return Ok(());
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
