//! The drift between the layers: what speed had said of some offsets, compared with what batch found when it took them over.
//!
//! A reconcile moves the offsets between a view's old cut and its new one from the speed view to the batch view. Of each bucket,
//! everything together:
//!
//! - *said*: what the slices of exactly these offsets hold under the empty group key;
//! - *seen*: what they have to hold by the rules of the speed layer: all events there, without copies that its window finds
//!   ([`FirstCopies::seen`](crate::dedup::FirstCopies::seen));
//! - *found*: by how much the view changed: the events there that stand, without the older copies whose place they took. From a
//!   minimum or maximum nothing can be taken back; of these, what the events there that stand have.
//!
//! So `said - found`, the difference that readers see, is `(seen - found) + (said - seen)`. The first part is counted: the copies
//! beyond the window, which are duplicates. The second is *unexplained*, and zero as long as speed counts by its rules. A sum that left
//! 64 bits where speed kept it says nothing; such buckets are counted apart.
//!
//! Sketches are left out: whole ones for each bucket would take too much memory, and audits compare them.
//!
//! - `comparable`: whether the slices of a shard hold exactly these offsets, and the archive all of them.

mod comparable;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Metric;
use crate::contracts::reconciliation::{Drift, LargestDifference, MeasureDrift};
use crate::measure::{MeasureKind, Value};
use crate::plan::{Total, Totals};
use crate::time::format_rfc3339;

pub use comparable::{Incomparable, archived, moved, slices, whole};

/// By how much float sums may differ, as a share of the sum of absolute values: they are rounded in another order.
const ROUNDING: f64 = 1e-9;

/// What speed had counted under the empty group key: per bucket, which its start names, one value per measure.
pub type Said = BTreeMap<i64, Vec<Value>>;

/// What batch found at the same offsets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The events that speed counts by its rules.
    pub seen: Totals,
    /// The events that stand.
    pub standing: Totals,
    /// The older copies whose place some of these took.
    pub replaced: Totals,
}

impl Found {
    /// Adds what was found elsewhere at these offsets.
    pub fn add(&mut self, kinds: &[MeasureKind], other: Found) {
        self.seen.add(kinds, other.seen);
        self.standing.add(kinds, other.standing);
        self.replaced.add(kinds, other.replaced);
    }

    /// The number of buckets with an event that speed or batch counts.
    pub fn buckets(&self) -> usize {
        self.seen.len().max(self.standing.len()).max(self.replaced.len())
    }
}

/// One measure of one bucket.
struct Cell {
    said: Value,
    seen: Value,
    found: Value,
    /// How much rounding may change.
    rounding: f64,
}

/// Compares what speed had said with what batch found.
pub fn compare(metric: &Metric, said: &Said, found: &Found) -> Drift {
    let totals = [&found.seen, &found.standing, &found.replaced];
    let buckets: BTreeSet<i64> = said
        .keys()
        .copied()
        .chain(totals.into_iter().flat_map(|totals| totals.iter().map(|(bucket, _)| bucket)))
        .collect();
    let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
    let mut sums: Vec<Sums> = numbers(&kinds).map(|(_, kind)| Sums::new(kind)).collect();
    let (mut differing, mut unexplained) = (0, 0);
    for bucket in &buckets {
        let cells = cells(&kinds, *bucket, said, found);
        differing += u64::from(cells.iter().any(Cell::differs));
        unexplained += u64::from(cells.iter().any(Cell::is_unexplained));
        sums.iter_mut().zip(cells).for_each(|(sums, cell)| sums.add(*bucket, cell));
    }
    let events = |totals: &Totals| totals.iter().map(|(_, total)| total.events).sum::<u64>();
    let [seen, standing, replaced] = totals.map(events);
    let measures = numbers(&kinds).zip(sums).map(|((at, _), sums)| sums.of_measure(&metric.measures[at].name));
    Drift {
        buckets: buckets.len() as u64,
        differing,
        duplicates: (seen + replaced).saturating_sub(standing),
        unexplained,
        measures: measures.collect(),
    }
}

/// The measures that are compared, by their places.
fn numbers(kinds: &[MeasureKind]) -> impl Iterator<Item = (usize, MeasureKind)> {
    kinds.iter().copied().enumerate().filter(|(_, kind)| !kind.is_sketch())
}

/// The cells of a bucket, one per measure that is compared.
fn cells(kinds: &[MeasureKind], bucket: i64, said: &Said, found: &Found) -> Vec<Cell> {
    let nothing = Total::nothing(kinds);
    let total = |totals: &Totals| totals.get(bucket).cloned().unwrap_or_else(|| nothing.clone());
    let (seen, standing, replaced) = (total(&found.seen), total(&found.standing), total(&found.replaced));
    let said = said.get(&bucket).unwrap_or(&nothing.values);
    let cell = |(at, kind): (usize, MeasureKind)| {
        let stands = standing.values[at].clone();
        let found = kind.without(stands.clone(), replaced.values[at].clone()).unwrap_or(stands);
        let rounding = ROUNDING * (seen.sizes[at] + standing.sizes[at] + replaced.sizes[at]);
        Cell { said: said[at].clone(), seen: seen.values[at].clone(), found, rounding }
    };
    numbers(kinds).map(cell).collect()
}

impl Cell {
    fn is_overflow(&self) -> bool {
        [&self.said, &self.seen, &self.found].contains(&&Value::Overflow)
    }

    /// Whether the layers differ; where one of them has an overflow, they do.
    fn differs(&self) -> bool {
        self.is_overflow() || !self.are_equal(&self.said, &self.found)
    }

    fn is_unexplained(&self) -> bool {
        !self.is_overflow() && !self.are_equal(&self.said, &self.seen)
    }

    fn are_equal(&self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Float(a), Value::Float(b)) => (a - b).abs() <= self.rounding,
            (a, b) => a == b,
        }
    }

    /// How far the layers are apart.
    fn distance(&self) -> f64 {
        match (&self.said, &self.found) {
            (Value::Int(a), Value::Int(b)) => a.abs_diff(*b) as f64,
            (Value::Float(a), Value::Float(b)) => (a - b).abs(),
            // One of them has seen nothing.
            _ => f64::INFINITY,
        }
    }
}

/// One measure over all buckets.
struct Sums {
    kind: MeasureKind,
    said: Value,
    seen: Value,
    found: Value,
    differing: u64,
    overflowed: u64,
    unexplained: u64,
    largest: Option<(f64, i64, Cell)>,
}

impl Sums {
    fn new(kind: MeasureKind) -> Sums {
        let [said, seen, found] = [(); 3].map(|()| kind.identity());
        Sums { kind, said, seen, found, differing: 0, overflowed: 0, unexplained: 0, largest: None }
    }

    fn add(&mut self, bucket: i64, cell: Cell) {
        self.differing += u64::from(cell.differs());
        self.unexplained += u64::from(cell.is_unexplained());
        if cell.is_overflow() {
            self.overflowed += 1;
            return;
        }
        // What rounding alone has changed is no difference.
        let said = if cell.is_unexplained() { &cell.said } else { &cell.seen };
        self.said = self.kind.merge(self.said.clone(), said.clone());
        self.seen = self.kind.merge(self.seen.clone(), cell.seen.clone());
        self.found = self.kind.merge(self.found.clone(), cell.found.clone());
        if cell.differs() && self.largest.as_ref().is_none_or(|(distance, ..)| *distance < cell.distance()) {
            self.largest = Some((cell.distance(), bucket, cell));
        }
    }

    fn of_measure(self, name: &str) -> MeasureDrift {
        let less = |whole: &Value, part: &Value| {
            let difference = self.kind.without(whole.clone(), part.clone());
            difference.map_or(serde_json::Value::Null, |difference| difference.to_json())
        };
        MeasureDrift {
            name: name.to_owned(),
            speed: self.said.to_json(),
            batch: self.found.to_json(),
            difference: less(&self.said, &self.found),
            duplicates: less(&self.seen, &self.found),
            unexplained: less(&self.said, &self.seen),
            differing_buckets: self.differing,
            overflowed_buckets: self.overflowed,
            unexplained_buckets: self.unexplained,
            largest: self.largest.map(|(_, bucket, cell)| LargestDifference {
                bucket: format_rfc3339(bucket),
                speed: cell.said.to_json(),
                batch: cell.found.to_json(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
