//! Events, each looked at alone: conditions, arguments, and the codes of what they are grouped by.

use std::collections::BTreeSet;

use polars::prelude::{DataFrame, Expr, IntoLazy, PolarsResult};

use super::SourcePlan;
use super::codes::{Buckets, Codes};
use crate::expression::Expression;
use crate::measure::Arguments;

/// The events of one source, ready to be counted by its [`SourcePlan`]. The lists are in the order of those of the plan.
#[derive(Debug)]
pub struct Encoded {
    pub(super) keys: Vec<Codes>,
    /// Per grain.
    pub(super) buckets: Vec<Buckets>,
    /// Per grouping, which events some metric counts; all of them where nothing is said.
    pub(super) wanted: Vec<Option<Vec<bool>>>,
    /// Per condition, for which events it is true.
    pub(super) conditions: Vec<Vec<bool>>,
    pub(super) arguments: Vec<Arguments>,
}

impl Encoded {
    pub(super) fn new(plan: &SourcePlan, events: DataFrame) -> PolarsResult<Encoded> {
        let keys = plan.keys.iter().map(|(name, kind)| Codes::of_column(events.column(name)?, *kind));
        let keys = keys.collect::<PolarsResult<Vec<_>>>()?;
        let times = events.column(&plan.event_time)?.i64()?;
        let buckets = plan.grains_us.iter().map(|grain_us| Buckets::of_times(times, *grain_us)).collect();
        let (conditions, arguments) = evaluate(plan, events)?;
        let wanted = (0..plan.groupings.len()).map(|grouping| wanted(plan, grouping, &conditions)).collect();
        Ok(Encoded { keys, buckets, wanted, conditions, arguments })
    }
}

/// Evaluates all conditions and arguments, in one plan.
fn evaluate(plan: &SourcePlan, events: DataFrame) -> PolarsResult<(Vec<Vec<bool>>, Vec<Arguments>)> {
    let SourcePlan { conditions, arguments, .. } = plan;
    let all: Vec<&Expression> = conditions.iter().chain(arguments).collect();
    if all.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let name = |at: usize| format!("_{at}");
    let columns: Vec<Expr> = all.iter().enumerate().map(|(at, of)| of.to_polars().alias(name(at))).collect();
    let events = events.lazy().with_columns(columns).collect()?;
    let conditions = (0..conditions.len()).map(|at| {
        // A condition that is null is not true.
        let results = events.column(&name(at))?.bool()?;
        Ok(results.iter().map(|holds| holds == Some(true)).collect())
    });
    let conditions = conditions.collect::<PolarsResult<Vec<_>>>()?;
    let arguments = arguments
        .iter()
        .zip(conditions.len()..)
        .map(|(of, at)| Arguments::of_column(events.column(&name(at))?, of.kind()));
    let arguments = arguments.collect::<PolarsResult<Vec<_>>>()?;
    Ok((conditions, arguments))
}

/// Which events the metrics of a grouping count together; nothing if one of them counts all.
fn wanted(plan: &SourcePlan, grouping: usize, results: &[Vec<bool>]) -> Option<Vec<bool>> {
    let metrics = plan.metrics.iter().filter(|metric| metric.grouping == grouping);
    let conditions: BTreeSet<usize> = metrics.map(|metric| metric.condition).collect::<Option<_>>()?;
    let mut conditions = conditions.into_iter().map(|condition| &results[condition]);
    let mut wanted = conditions.next()?.clone();
    for results in conditions {
        wanted.iter_mut().zip(results).for_each(|(wanted, holds)| *wanted |= *holds);
    }
    Some(wanted)
}
