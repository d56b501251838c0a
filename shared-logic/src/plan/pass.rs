//! One pass over events, for every grouping set of every metric of a source: how the speed layer counts a micro-batch.
//!
//! What comes out is what the [`Plan`] of each metric gives, with any of its `by` columns left out. But a micro-batch is small:
//! a Polars plan for each metric and grouping set costs more than counting does. So whatever metrics share is done once:
//!
//! 1. [`encoded`](Encoded): what looks at an event alone. Polars evaluates every condition and every argument. The values of
//!    group-key columns become codes, and event times become codes of buckets.
//! 2. `groups`: each event's finest group, found by its codes. The coarser groups that hold it are found once per finest group.
//!    Metrics with the same `by` and `grain` share all of that, and the texts of the keys.
//! 3. Each measure folds its column of arguments into its values of the finest groups, by the law for one event. These are far
//!    fewer than events; they are merged into the coarser groups.
//!
//! - `codes`: values as codes.

mod codes;
mod encoded;
mod groups;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use polars::prelude::{DataFrame, PolarsResult};

use self::groups::Groups;
use super::Plan;
use crate::catalog::{Metric, Source};
use crate::expression::Expression;
use crate::measure::{Arguments, MeasureKind, NO_GROUP, Value};
use crate::partial::{Group, Partials};
use crate::schema::FieldType;

pub use self::encoded::Encoded;

/// Metrics of one source, compiled to be counted together.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    event_time: String,
    columns: Vec<String>,
    /// What is evaluated for each event, each once however many metrics use it.
    conditions: Vec<Expression>,
    arguments: Vec<Expression>,
    /// What metrics group by.
    keys: Vec<(String, FieldType)>,
    grains_us: Vec<i64>,
    groupings: Vec<Grouping>,
    metrics: Vec<MetricPlan>,
}

/// What a metric groups by: positions in the lists of its [`SourcePlan`].
#[derive(Debug, Clone, PartialEq)]
struct Grouping {
    keys: Vec<usize>,
    grain: usize,
}

/// What a metric counts: positions in the lists of its [`SourcePlan`].
#[derive(Debug, Clone)]
struct MetricPlan {
    grouping: usize,
    condition: Option<usize>,
    /// For how many a partial counts: see [`Metric::weight`].
    weight: usize,
    measures: Vec<(MeasureKind, Option<usize>)>,
}

/// Some events, counted.
#[derive(Debug)]
pub struct Counted {
    /// The row before which the events lie that are counted.
    pub to: usize,
    /// The partials of each metric, in the order in which metrics were compiled.
    pub partials: Vec<Partials>,
}

impl SourcePlan {
    /// Compiles metrics of a checked catalog, all over that source.
    pub fn new<'a>(source: &Source, metrics: impl IntoIterator<Item = &'a Metric>) -> SourcePlan {
        let mut plan = SourcePlan {
            event_time: source.event_time.clone(),
            columns: Vec::new(),
            conditions: Vec::new(),
            arguments: Vec::new(),
            keys: Vec::new(),
            grains_us: Vec::new(),
            groupings: Vec::new(),
            metrics: Vec::new(),
        };
        metrics.into_iter().for_each(|metric| plan.add(source, metric));
        plan.columns.sort();
        plan.columns.dedup();
        plan
    }

    fn add(&mut self, source: &Source, metric: &Metric) {
        self.columns.extend_from_slice(Plan::new(source, metric).columns());
        let mut keys = Vec::with_capacity(metric.by.len());
        for field in metric.by.iter().filter_map(|name| source.field(name)) {
            keys.push(place(&mut self.keys, (field.name.clone(), field.kind)));
        }
        let grain = place(&mut self.grains_us, metric.grain_us);
        let grouping = place(&mut self.groupings, Grouping { keys, grain });
        let condition = metric.filter.as_ref().map(|filter| place(&mut self.conditions, filter.clone()));
        let mut measures = Vec::with_capacity(metric.measures.len());
        for measure in &metric.measures {
            measures.push((measure.kind, measure.of.as_ref().map(|of| place(&mut self.arguments, of.clone()))));
        }
        let weight = metric.weight();
        self.metrics.push(MetricPlan { grouping, condition, weight, measures });
    }

    /// The fields of the source that are read, sorted.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many partials one event belongs to: one for every grouping set of every metric. A partial with sketches counts for as many
    /// as these weigh.
    pub fn sets(&self) -> usize {
        self.metrics.iter().map(|metric| metric.weight << self.groupings[metric.grouping].keys.len()).sum()
    }

    /// Looks at each event alone: the first step, whatever part of the events is counted then.
    ///
    /// `events` holds at least [`SourcePlan::columns`], instants as integers of microseconds.
    ///
    /// # Errors
    /// If a column is missing or has another type; no value of an event can cause one.
    pub fn encode(&self, events: DataFrame) -> PolarsResult<Encoded> {
        Encoded::new(self, events)
    }

    /// Counts events from the row `from` on: up to the last of `ends` that leaves at most `partials_max` partials, and at least
    /// up to the first one behind `from`. `ends` are rows, ascending.
    ///
    /// Partials are bounded before they are made, by the most that the next events could add. So ends that lie close together
    /// let more be counted at once. A partial with sketches counts for several.
    pub fn count(&self, events: &Encoded, from: usize, ends: &[usize], partials_max: usize) -> Counted {
        let mut groups: Vec<Groups<'_>> = self.groupings.iter().map(|grouping| Groups::new(grouping, events)).collect();
        let mut to = from;
        for end in ends.iter().copied().filter(|end| *end > from) {
            let grouped: usize = self.metrics.iter().map(|metric| metric.weight * groups[metric.grouping].len()).sum();
            if to > from && grouped + (end - to) * self.sets() > partials_max {
                break;
            }
            for (groups, wanted) in groups.iter_mut().zip(&events.wanted) {
                groups.extend(events, wanted.as_deref(), to..end);
            }
            to = end;
        }
        let about: Vec<Arc<[Group]>> = groups.iter().map(|groups| groups.about(events)).collect();
        let partials = self.metrics.iter().map(|metric| {
            let (groups, about) = (&groups[metric.grouping], &about[metric.grouping]);
            metric.partials(events, from..to, groups, Arc::clone(about))
        });
        let partials = partials.collect();
        Counted { to, partials }
    }
}

impl MetricPlan {
    /// The partials of the grouped rows.
    fn partials(&self, events: &Encoded, rows: Range<usize>, groups: &Groups<'_>, about: Arc<[Group]>) -> Partials {
        let of_events: Cow<'_, [u32]> = match self.condition {
            Some(condition) => Cow::Owned(kept(groups.of_events(), &events.conditions[condition][rows.clone()])),
            None => Cow::Borrowed(groups.of_events()),
        };
        let columns = self.measures.iter().map(|(kind, of)| {
            // With room for the coarser groups.
            let mut finest = Vec::with_capacity(groups.len());
            finest.resize(groups.finest(), kind.identity());
            let of = of.map_or(Arguments::None, |of| events.arguments[of].of_rows(&rows));
            kind.fold(&mut finest, &of_events, &of);
            groups.add_up(*kind, finest)
        });
        let columns: Vec<Vec<Value>> = columns.collect();
        // A group may hold only events that other metrics count.
        let counted = groups.holding(&of_events);
        let mut values = Vec::with_capacity(counted.len() * columns.len());
        for group in &counted {
            values.extend(columns.iter().map(|column| column[*group as usize].clone().finalized()));
        }
        Partials::new(about, counted, values, columns.len())
    }
}

/// The groups of the events that a condition keeps.
fn kept(groups: &[u32], condition: &[bool]) -> Vec<u32> {
    let kept = groups.iter().zip(condition).map(|(group, keeps)| if *keeps { *group } else { NO_GROUP });
    kept.collect()
}

/// The position of an item in a list, to which it is added if it is new.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

#[cfg(test)]
mod tests;
