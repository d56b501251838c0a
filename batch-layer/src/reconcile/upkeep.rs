//! What is done behind a commit of a view: its version is kept, and what no version needs is removed.

use platform::telemetry::error_text;
use shared_logic::catalog::Metric;
use storage::{Archive, BatchView};
use tracing::warn;

use super::Reconciler;

impl Reconciler {
    /// Keeps this version of a view, so that it can be rolled back to. A failure is logged and nothing else: it is one version
    /// less that can be had.
    pub(super) async fn keep_version(&self, view: &BatchView) {
        let (span, now_us) = (self.settings.keep_versions.get(), platform::clock::now_us());
        if let Err(error) = view.keep_version(span, now_us).await {
            warn!(table = view.path(), error = error_text(&error), "cannot keep this version to be rolled back to");
        }
    }

    /// From time to time, writes a checkpoint of the view's log and removes files that belong to no version, nor to the index. A
    /// failure is logged and nothing else, because the view works without this.
    pub(super) async fn tidy_up(&self, metric: &Metric, view: &BatchView, archive: &Archive) {
        if !view.version().is_multiple_of(self.checkpoint_every) {
            return;
        }
        let tidied = async {
            view.checkpoint().await?;
            view.remove_orphans(&self.catalog.definition(metric)).await?;
            archive.remove_identities(&self.catalog.sources[&metric.source].rules()).await
        };
        if let Err(error) = tidied.await {
            warn!(table = view.path(), error = error_text(&error), "cannot tidy up; trying again later");
        }
    }
}
