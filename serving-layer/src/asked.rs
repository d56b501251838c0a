//! What is asked of a metric.

use std::sync::Arc;

use shared_logic::catalog::{DecodingRules, DefinitionHash, Metric};
use shared_logic::measure::MeasureKind;
use shared_logic::time::{Steps, Width};

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

/// How a series is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stepping {
    pub(crate) steps: Steps,
    /// How much time each point covers; `None`: its own step.
    pub(crate) window: Option<Width>,
    /// Whether the request names a zone, so that the answer does, too.
    pub(crate) names_zone: bool,
}

impl Stepping {
    /// Steps of that width by UTC, each with a point of its own.
    #[cfg(test)]
    pub(crate) fn plain(width: Width) -> Stepping {
        Stepping { steps: Steps::utc(width), window: None, names_zone: false }
    }

    /// How many steps each point covers: its own and those before.
    pub(crate) fn steps_per_point(&self) -> usize {
        let window = self.window.and_then(|window| window.in_steps(self.steps.width()));
        window.and_then(|steps| usize::try_from(steps).ok()).unwrap_or(1)
    }
}
