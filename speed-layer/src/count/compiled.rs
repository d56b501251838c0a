//! The metrics of one source, compiled once and counted together in every micro-batch.

use std::collections::BTreeSet;

use shared_logic::catalog::{Catalog, DefinitionHash, Metric, Source};
use shared_logic::contracts::speed_view::Addition;
use shared_logic::partial::Partials;
use shared_logic::plan::SourcePlan;

use crate::read::micro_batch::Shape;

/// A part of a micro-batch ends at a mark, before which it has room for whatever the records up to the next one could add. There
/// are so many marks that a part can have 31 of 32 counters that a script may write.
const MARKS: usize = 32;

/// The metrics of one source, compiled.
#[derive(Debug)]
pub struct CompiledMetrics {
    /// The source.
    pub source: Source,
    /// All of them, compiled.
    pub plan: SourcePlan,
    /// One metric of each definition, in the order of the plan.
    metrics: Vec<(DefinitionHash, Metric)>,
}

impl CompiledMetrics {
    /// Compiles every metric of a source. Metrics that differ only in what is calculated from their measures share a
    /// definition and its counters, so only the first of them is compiled.
    pub fn new(catalog: &Catalog, source: &Source) -> CompiledMetrics {
        let mut counted = BTreeSet::new();
        let metrics = catalog.metrics_of(&source.name).map(|metric| (catalog.definition(metric), metric.clone()));
        let metrics: Vec<_> = metrics.filter(|(definition, _)| counted.insert(definition.clone())).collect();
        let plan = SourcePlan::new(source, metrics.iter().map(|(_, metric)| metric));
        CompiledMetrics { source: source.clone(), plan, metrics }
    }

    /// The definitions that are counted.
    pub fn definitions(&self) -> Vec<DefinitionHash> {
        self.metrics.iter().map(|(definition, _)| definition.clone()).collect()
    }

    /// What the source's micro-batches are made of, if a script may write so many counters.
    pub fn shape(&self, max_counters: usize) -> Shape {
        let mark_every = (max_counters / MARKS / self.plan.sets().max(1)).max(1);
        Shape { wanted: self.plan.columns().to_vec(), mark_every, lane: None, is_of_table: false }
    }

    /// What partials of the plan add to the counters; nothing for a metric without partials.
    pub fn additions(&self, partials: &[Partials]) -> Vec<Addition> {
        let counted = self.metrics.iter().zip(partials).filter(|(_, partials)| !partials.is_empty());
        counted.map(|((definition, metric), partials)| Addition::new(definition.clone(), metric, partials)).collect()
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
        let shape = metrics.shape(2_400);
        assert_eq!(shape.wanted, ["at", "k"]);
        assert_eq!(shape.mark_every, 25, "an event has a key, and two totals");
        assert_eq!(metrics.shape(1).mark_every, 1);
    }

    #[test]
    fn a_counter_with_a_sketch_counts_for_as_many_as_it_weighs() {
        let sketch = "[metrics.sketch]\nsource = \"s\"\ngrain = \"1h\"\nmeasures = { n = \"distinct(k)\" }\n";
        let catalog = Catalog::parse(&format!("{TINY}{sketch}")).expect("a valid catalog");
        let metrics = CompiledMetrics::new(&catalog, &catalog.sources["s"]);
        assert_eq!(metrics.plan.sets(), 2 + 33, "of the usual size, a sketch weighs as much as 32 counters");
        assert_eq!(metrics.shape(35 * 32 * 4).mark_every, 4);
    }
}
