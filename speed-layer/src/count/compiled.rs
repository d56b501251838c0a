//! The metrics of one source, compiled once and run on every micro-batch.

use std::collections::BTreeSet;

use shared_logic::catalog::{Catalog, DefinitionHash, Metric, Source};
use shared_logic::plan::Plan;

/// The metrics of one source, compiled.
#[derive(Debug)]
pub struct CompiledMetrics {
    /// The source.
    pub source: Source,
    pub(super) metrics: Vec<CompiledMetric>,
}

/// One metric of each definition.
#[derive(Debug)]
pub(super) struct CompiledMetric {
    pub(super) metric: Metric,
    pub(super) definition: DefinitionHash,
    pub(super) plan: Plan,
}

impl CompiledMetrics {
    /// Compiles every metric of a source. Metrics that differ only in what is calculated from their measures share a
    /// definition and its counters, so only the first of them is compiled.
    pub fn new(catalog: &Catalog, source: &Source) -> CompiledMetrics {
        let mut counted = BTreeSet::new();
        let metrics = catalog.metrics_of(&source.name).map(|metric| (metric, catalog.definition(metric)));
        let distinct = metrics.filter(|(_, definition)| counted.insert(definition.clone()));
        let compiled = distinct.map(|(metric, definition)| CompiledMetric {
            metric: metric.clone(),
            definition,
            plan: Plan::new(source, metric),
        });
        CompiledMetrics { source: source.clone(), metrics: compiled.collect() }
    }

    /// The definitions that are counted.
    pub fn definitions(&self) -> Vec<DefinitionHash> {
        self.metrics.iter().map(|compiled| compiled.definition.clone()).collect()
    }

    /// The most records in one micro-batch. Every record is counted once per grouping set of every metric, so with this
    /// bound one script writes at most twice `max_rows` counters.
    pub fn rows_max(&self, max_rows: usize) -> usize {
        let sets: usize = self.metrics.iter().map(|compiled| 1 << compiled.metric.by.len()).sum();
        (max_rows * 2 / sets.max(2)).max(1)
    }

    /// The fields of the source that at least one metric reads, sorted.
    pub fn columns(&self) -> Vec<String> {
        let columns = self.metrics.iter().flat_map(|compiled| compiled.plan.columns());
        let mut columns: Vec<String> = columns.cloned().collect();
        columns.sort();
        columns.dedup();
        columns
    }
}

#[cfg(test)]
mod tests {
    use test_kit::catalogs::TINY;

    use super::*;

    const TWO_MORE: &str = r#"
        [metrics.same]
        source = "s"
        by = ["k"]
        grain = "1m"
        measures = { n = "count()" }
        [metrics.other]
        source = "s"
        grain = "1h"
        measures = { n = "count()" }
    "#;

    #[test]
    fn two_metrics_that_count_the_same_are_counted_once() {
        let catalog = Catalog::parse(&format!("{TINY}{TWO_MORE}")).expect("a valid catalog");
        let metrics = CompiledMetrics::new(&catalog, &catalog.sources["s"]);
        assert_eq!(metrics.definitions().len(), 2);
        assert_eq!(metrics.columns(), ["at", "k"]);
        assert_eq!(metrics.rows_max(16_384), 16_384 * 2 / 3);
    }
}
