//! The largest keys of a range, by one of the metric's values.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value as Json};
use shared_logic::catalog::Metric;
use shared_logic::group_key::GroupKey;
use shared_logic::measure::Value;
use shared_logic::merge::Layer;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use super::all_keys::{AskedKeys, GatheredKeys, MergedKey, MergedKeys, gather_keys};
use super::csv::Csv;
use super::listing::Listing;
use super::selection::Given;
use super::values::{Named, Overflow, value_names};
use super::{Bounds, Finalized, duration_text, finalized, lag_ms};
use crate::batch_view::SegmentError;
use crate::gap_text::GapText;
use crate::problem::Problem;
use crate::versions::Version;
use crate::written::{Form, Written};

/// What a request asks of the largest keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Top {
    pub(crate) asked: AskedKeys,
    /// The columns whose values are listed.
    pub(crate) by: Vec<String>,
    pub(crate) ranked_by: RankedBy,
    /// How many keys at most.
    pub(crate) limit: usize,
}

/// The value by which keys are ranked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RankedBy {
    /// The measure of that number.
    Measure(usize),
    /// The derived value of that number.
    Derived(usize),
}

/// The body of the answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Top)]
pub(crate) struct Body<'a> {
    version: &'a str,
    metric: &'a str,
    /// The columns whose values are listed.
    by: &'a [String],
    /// The value by which keys are ranked.
    measure: &'a str,
    limit: usize,
    /// The columns that the request gave.
    #[schema(value_type = crate::openapi::Key)]
    key: Given<'a>,
    #[schema(required = true, format = DateTime)]
    from: Option<String>,
    #[schema(required = true, format = DateTime)]
    to: Option<String>,
    grain: String,
    complete: bool,
    gaps: Vec<GapText>,
    authoritative: bool,
    #[schema(required = true, format = DateTime)]
    as_of: Option<String>,
    provenance: Provenance,
    /// How many keys there are.
    ranked: u64,
    rows: Vec<Row<'a>>,
}

/// What both views are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopProvenance)]
struct Provenance {
    batch: BatchPart,
    speed: SpeedPart,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopBatchPart)]
struct BatchPart {
    #[schema(required = true)]
    version: Option<u64>,
    #[schema(required = true, format = DateTime)]
    committed_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopSpeedPart)]
struct SpeedPart {
    #[schema(required = true)]
    lag_ms: Option<i64>,
}

/// One of the largest keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopRow)]
struct Row<'a> {
    #[schema(value_type = crate::openapi::Key)]
    key: Map<String, Json>,
    #[schema(value_type = crate::openapi::Values)]
    values: Named<'a>,
    layer: Layer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overflow: Vec<Overflow<'a>>,
    #[serde(skip_serializing_if = "Bounds::is_empty")]
    bounds: Bounds<'a>,
}

/// The largest keys that were found so far, and how many there were.
struct Largest {
    limit: usize,
    found: u64,
    /// The least of them first.
    heap: BinaryHeap<Reverse<Ranked>>,
}

/// A key with the value by which it is ranked. The larger one is the greater; of equal ones, that whose text comes first.
struct Ranked {
    rank: Value,
    merged: MergedKey,
}

/// Answers `top`.
///
/// # Errors
/// If one of the views cannot be read, or there are too many keys in the speed view.
pub(super) async fn top(
    version: &Version,
    metric: &Metric,
    top: &Top,
    form: Form,
    first_within: Duration,
) -> Result<Written, Problem> {
    let mut gathered = gather_keys(version, metric, &top.asked, first_within).await?;
    let (limit, counted, ranked_by) = (top.limit, metric.clone(), top.ranked_by.clone());
    let largest =
        gathered.work(move |keys| Largest::of(keys, limit, |values| ranked_by.rank(&counted, values))).await?;
    Ok(written(version, metric, top, form, &gathered, largest))
}

fn row<'a>(metric: &'a Metric, top: &Top, merged: &MergedKey) -> Row<'a> {
    let Finalized { values, overflow, bounds } = finalized(metric, &merged.values);
    let said = metric.by.iter().zip(GroupKey::values_of(&merged.key, metric.by.len()));
    let said = said.filter(|(name, _)| top.by.contains(name));
    let key = said.filter_map(|(name, value)| Some((name.clone(), value?))).collect();
    Row { key, values, layer: merged.layer, overflow, bounds }
}

fn written(
    version: &Version,
    metric: &Metric,
    top: &Top,
    form: Form,
    gathered: &GatheredKeys,
    largest: Largest,
) -> Written {
    let (ranked, found) = (largest.found, largest.into_sorted());
    let rows: Vec<Row<'_>> = found.iter().map(|merged| row(metric, top, merged)).collect();
    let (listing, given, view) = (Listing::of(gathered, metric), top.asked.given(), gathered.ground.view.as_ref());
    let (ranked_by, as_of_us) = (top.ranked_by.name(metric), listing.as_of_us);
    let Listing { from, to, is_batch_alone, .. } = &listing;
    let undated = (version.version_name(), ranked_by, is_batch_alone, from, to, ranked, &rows);
    let undated = serde_json::to_vec(&undated).expect("an answer is plain data");
    let body = Body {
        version: version.version_name(),
        metric: &metric.name,
        by: &top.by,
        measure: ranked_by,
        limit: top.limit,
        key: given.given(metric),
        from: from.clone(),
        to: to.clone(),
        grain: duration_text(metric.grain_us),
        complete: listing.gaps.is_empty(),
        authoritative: listing.gaps.is_empty() && *is_batch_alone,
        gaps: listing.gaps.clone(),
        as_of: as_of_us.map(format_rfc3339),
        provenance: Provenance {
            batch: BatchPart {
                version: view.map(|view| view.version),
                committed_at: view.map(|view| format_rfc3339(view.note.committed_at_us)),
            },
            speed: SpeedPart { lag_ms: as_of_us.map(|as_of| lag_ms(as_of, gathered.at_us())) },
        },
        ranked,
        rows,
    };
    listing.written(form, &body, &undated, |body| csv(metric, top, body))
}

/// One row for each key: the columns that the request gives, those that are listed, the values and the layer.
fn csv(metric: &Metric, top: &Top, body: &Body<'_>) -> Csv {
    let given: Vec<(&str, Json)> = body.key.columns().collect();
    let names = given.iter().map(|(name, _)| *name).chain(top.by.iter().map(String::as_str));
    let mut csv = Csv::new(names.chain(value_names(metric)).chain(["layer"]));
    for row in &body.rows {
        let listed = top.by.iter().map(|name| row.key.get(name).cloned().unwrap_or_default());
        let layer = serde_json::to_value(row.layer).expect("a layer is plain data");
        csv.row(given.iter().map(|(_, value)| value.clone()).chain(listed).chain(row.values.to_json()).chain([layer]));
    }
    csv
}

impl RankedBy {
    /// The name of the value.
    pub(crate) fn name<'a>(&self, metric: &'a Metric) -> &'a str {
        match self {
            RankedBy::Measure(at) => &metric.measures[*at].name,
            RankedBy::Derived(at) => &metric.derived[*at].name,
        }
    }

    /// The value by which a key with these merged measures is ranked. A sum that leaves 64 bits still has its place.
    fn rank(&self, metric: &Metric, values: &[Value]) -> Value {
        match self {
            RankedBy::Measure(at) => values[*at].number(),
            RankedBy::Derived(at) => {
                let value_of = |name: &str| {
                    let at = metric.measures.iter().position(|measure| measure.name == name);
                    at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null)
                };
                metric.derived[*at].of.evaluate(&value_of)
            }
        }
    }
}

impl Largest {
    fn of(mut keys: MergedKeys, limit: usize, rank: impl Fn(&[Value]) -> Value) -> Result<Largest, SegmentError> {
        let mut largest = Largest { limit, found: 0, heap: BinaryHeap::with_capacity(limit + 1) };
        while let Some(merged) = keys.next()? {
            let rank = rank(&merged.values);
            largest.add(Ranked { rank, merged });
        }
        Ok(largest)
    }

    fn add(&mut self, ranked: Ranked) {
        self.found += 1;
        if self.heap.len() < self.limit {
            self.heap.push(Reverse(ranked));
        } else if let Some(mut least) = self.heap.peek_mut()
            && ranked > least.0
        {
            *least = Reverse(ranked);
        }
    }

    /// The largest first.
    fn into_sorted(self) -> Vec<MergedKey> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0.merged).collect()
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        ordered(&self.rank, &other.rank).then_with(|| other.merged.key.cmp(&self.merged.key))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// Nothing comes before any number. What is not known, because it left 64 bits, comes behind all of them, so that it is seen.
fn ordered(a: &Value, b: &Value) -> Ordering {
    let class = |value: &Value| match value {
        Value::Null | Value::Sketch(_) => 0,
        Value::Int(_) | Value::Float(_) => 1,
        Value::Overflow => 2,
    };
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        // Of one value of a metric, all are of one type.
        (Value::Int(a), Value::Float(b)) => (*a as f64).total_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.total_cmp(&(*b as f64)),
        _ => class(a).cmp(&class(b)),
    }
}

#[cfg(test)]
mod tests {
    use test_kit::{Dice, first_seed, repetitions};

    use super::*;

    fn merged(key: &str, value: Value) -> Ranked {
        Ranked {
            rank: value.clone(),
            merged: MergedKey { key: key.to_owned(), values: vec![value], layer: Layer::Batch },
        }
    }

    fn keys(largest: Largest) -> Vec<String> {
        largest.into_sorted().into_iter().map(|merged| merged.key).collect()
    }

    #[test]
    fn the_largest_are_those_of_all_keys_in_whatever_order_they_come() {
        for seed in first_seed()..first_seed() + repetitions(200, 2_000) {
            let mut dice = Dice::new(seed);
            let all: Vec<(String, i128)> =
                (0..dice.below(60)).map(|n| (format!("k{n}"), dice.between(-3, 9).into())).collect();
            let limit = 1 + dice.below(20);
            let mut largest = Largest { limit, found: 0, heap: BinaryHeap::new() };
            let mut left = all.clone();
            while !left.is_empty() {
                let (key, value) = left.swap_remove(dice.below(left.len()));
                largest.add(merged(&key, Value::Int(value)));
            }
            let mut expected = all.clone();
            expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            expected.truncate(limit);
            assert_eq!(largest.found, all.len() as u64, "seed {seed}");
            assert_eq!(keys(largest), expected.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), "seed {seed}");
        }
    }

    #[test]
    fn what_is_nothing_comes_last_and_what_is_not_known_first() {
        let mut largest = Largest { limit: 9, found: 0, heap: BinaryHeap::new() };
        let wide = i128::from(i64::MAX) + 1;
        for (key, value) in [
            ("null", Value::Null),
            ("small", Value::Int(-5)),
            ("overflow", Value::Overflow),
            ("wide", Value::Int(wide)),
            ("most", Value::Int(i64::MAX.into())),
        ] {
            largest.add(merged(key, value));
        }
        assert_eq!(keys(largest), ["overflow", "wide", "most", "small", "null"]);
        assert_eq!(ordered(&Value::Float(0.5), &Value::Float(-1.0)), Ordering::Greater);
        assert_eq!(ordered(&Value::Float(0.5), &Value::Int(1)), Ordering::Less);
    }
}
