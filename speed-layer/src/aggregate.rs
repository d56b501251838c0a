//! Micro-batch → what it adds to the counters of every metric.

use std::collections::BTreeSet;

use polars::prelude::{IntoLazy, PolarsResult};
use shared_logic::catalog::{Catalog, DefinitionHash, Metric, Source};
use shared_logic::contracts::speed_view::Addition;
use shared_logic::plan::Plan;

use crate::micro_batch::MicroBatch;

/// The metrics of one source, compiled.
#[derive(Debug)]
pub struct Metrics {
    /// The source that they are over.
    pub source: Source,
    metrics: Vec<(Metric, DefinitionHash, Plan)>,
}

impl Metrics {
    /// Compiles every metric of a source. Those that differ only in what is calculated from their measures share a
    /// definition, and with it their counters: it is counted once.
    pub fn new(catalog: &Catalog, source: &Source) -> Metrics {
        let mut counted = BTreeSet::new();
        let metrics = catalog.metrics_of(&source.name).map(|metric| (metric, catalog.definition(metric)));
        let distinct = metrics.filter(|(_, hash)| counted.insert(hash.clone()));
        let compiled = distinct.map(|(metric, hash)| (metric.clone(), hash, Plan::new(source, metric)));
        Metrics { source: source.clone(), metrics: compiled.collect() }
    }

    /// The hashes of their definitions.
    pub fn hashes(&self) -> Vec<DefinitionHash> {
        self.metrics.iter().map(|(_, hash, _)| hash.clone()).collect()
    }

    /// The most records in one micro-batch, so that one script writes at most twice `max_rows` counters: every record is
    /// counted once per grouping set of every metric.
    pub fn rows_max(&self, max_rows: usize) -> usize {
        let sets: usize = self.metrics.iter().map(|(metric, ..)| 1 << metric.by.len()).sum();
        (max_rows * 2 / sets.max(2)).max(1)
    }

    /// The fields of the source that some metric reads, sorted.
    pub fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.metrics.iter().flat_map(|(.., plan)| plan.columns()).cloned().collect();
        columns.sort();
        columns.dedup();
        columns
    }

    /// Runs every plan on the micro-batch; gives an addition per metric, or none where there is no event.
    ///
    /// # Errors
    /// None that an event can cause: expressions are typed when the catalog is checked.
    pub fn aggregate(&self, batch: &MicroBatch) -> PolarsResult<Vec<Addition>> {
        if batch.events.height() == 0 {
            return Ok(Vec::new());
        }
        let additions = self.metrics.iter().map(|(metric, hash, plan)| {
            let partials = plan.run(batch.events.clone().lazy())?;
            Ok(Addition::new(hash.clone(), metric, &partials))
        });
        additions.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
        [sources.s]
        event_time = "at"
        [sources.s.fields]
        at = "timestamp"
        k = "string"
        [metrics.one]
        source = "s"
        by = ["k"]
        grain = "1m"
        [metrics.one.measures]
        n = "count()"
        [metrics.same]
        source = "s"
        by = ["k"]
        grain = "1m"
        [metrics.same.measures]
        n = "count()"
        [metrics.other]
        source = "s"
        by = []
        grain = "1h"
        [metrics.other.measures]
        n = "count()"
    "#;

    #[test]
    fn two_metrics_that_count_the_same_are_counted_once() {
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let metrics = Metrics::new(&catalog, &catalog.sources["s"]);
        assert_eq!(metrics.hashes().len(), 2);
        assert_eq!(metrics.columns(), ["at", "k"]);
        assert_eq!(metrics.rows_max(16_384), 16_384 * 2 / 3);
    }
}
