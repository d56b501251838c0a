//! What every route needs: the catalog, the newest look, the speed view, and the bounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use platform::settings::Settings;
use platform::store::Store;
use shared_logic::catalog::{Catalog, DefinitionHash, Metric};

use crate::problem::Problem;
use crate::snapshot::SnapshotCache;
use crate::speed_view::SpeedView;
use crate::topics::TopicClient;

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) catalog: Catalog,
    definitions: BTreeMap<String, DefinitionHash>,
    pub(crate) snapshots: Arc<SnapshotCache>,
    pub(crate) speed: SpeedView,
    pub(crate) topics: Arc<dyn TopicClient>,
    pub(crate) max_points: usize,
    pub(crate) request_timeout: Duration,
}

impl App {
    pub(crate) fn new(settings: &Settings, catalog: Catalog, store: &Store, topics: Arc<dyn TopicClient>) -> App {
        let snapshots = SnapshotCache::new(&catalog, store, settings.serving.view_memory.as_usize());
        let definitions = catalog.metrics.values().map(|metric| (metric.name.clone(), catalog.definition(metric)));
        App {
            definitions: definitions.collect(),
            snapshots: Arc::new(snapshots),
            speed: SpeedView::new(settings),
            topics,
            max_points: settings.http.max_points,
            request_timeout: settings.http.request_timeout.get(),
            catalog,
        }
    }

    /// A metric of the catalog.
    ///
    /// # Errors
    /// The problem that there is none of that name.
    pub(crate) fn metric(&self, name: &str) -> Result<&Metric, Problem> {
        self.catalog.metrics.get(name).ok_or_else(|| Problem::no_metric(name, self.catalog.metrics.keys().cloned()))
    }

    /// The hash of a metric of the catalog.
    pub(crate) fn definition(&self, metric: &Metric) -> &DefinitionHash {
        &self.definitions[&metric.name]
    }
}
