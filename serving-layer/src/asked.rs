//! What is asked of a metric.

use std::sync::Arc;

use shared_logic::catalog::{DecodingRules, DefinitionHash, Metric};
use shared_logic::measure::MeasureKind;

/// A metric as a version defines it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) metric: &'a Metric,
    pub(crate) definition: &'a DefinitionHash,
    /// The rules by which the metric's source decodes records.
    pub(crate) rules: &'a DecodingRules,
    /// The metric's measures, in order.
    pub(crate) kinds: &'a Arc<[MeasureKind]>,
    /// K5: whether nothing is archived, so that all of it is counted of the log.
    pub(crate) log_only: bool,
}
