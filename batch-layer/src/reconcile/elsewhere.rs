//! Which metrics a cluster counts, if there is one.

use shared_logic::catalog::Metric;
use shared_logic::plan::Plan;
use shared_logic::plan::in_sql::Refused;
use tracing::info;

use super::Reconciler;

impl Reconciler {
    /// Whether a cluster counts what is large enough of a metric anew.
    pub(super) fn is_counted_elsewhere(&self, metric: &Metric) -> bool {
        self.cluster.is_some() && self.refused(metric).is_none()
    }

    /// Tells of a metric that there is a cluster for, and that this process counts by itself all the same.
    pub(super) fn tell_refusal(&self, metric: &Metric) {
        let Some(refused) = self.cluster.as_ref().and_then(|_| self.refused(metric)) else { return };
        info!(metric = metric.name, "counted by this process and not by the cluster: {refused}");
    }

    /// Why a metric cannot be said in SQL.
    fn refused(&self, metric: &Metric) -> Option<Refused> {
        Plan::new(&self.catalog.sources[&metric.source], metric).in_sql().err()
    }
}
