//! Both sides of a verification, key by key and bucket by bucket (K6).

use std::collections::{HashMap, HashSet};
use std::io;

use shared_logic::catalog::Metric;
use shared_logic::drift::Said;
use shared_logic::measure::{MeasureKind, Value};

use super::report::{Change, Difference, MetricReport};
use super::spill::{DayReader, Row};

/// By how much float sums may differ, as a share of the sum of absolute values (see [`MeasureKind::SumFloat`]).
const ROUNDING: f64 = 1e-9;
/// How many differences, and changes, are told: the largest.
pub(super) const TOLD_MAX: usize = 20;
/// The key of everything together.
const ALL: &str = "[]";

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Equal,
    Differs,
    /// The sum left its 64 bits where slices keep it, so it says nothing.
    Overflowed,
}

/// What a day, or a part of its keys, has shown.
#[derive(Debug, Default)]
pub(super) struct Compared {
    keys: u64,
    buckets: u64,
    compared: u64,
    equal: u64,
    overflowed: u64,
    differences: Vec<Difference>,
    /// What is counted under the key of everything together.
    pub(super) said: Said,
}

/// Both values of a key and bucket.
struct Cell {
    replayed: Vec<Value>,
    recounted: Vec<Value>,
    /// Per measure, how large a rounding may be counted in.
    sizes: Vec<f64>,
}

/// Compares a piece of a day. It blocks.
///
/// # Errors
/// If rows cannot be read back.
pub(super) fn compare(
    metric: &Metric,
    replayed: &DayReader,
    recounted: &DayReader,
    piece: (u64, u64),
) -> io::Result<Compared> {
    let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
    let floats: Vec<usize> = (0..kinds.len()).filter(|at| kinds[*at] == MeasureKind::SumFloat).collect();
    let mut cells: HashMap<(Box<str>, i64), (u32, Cell)> = HashMap::new();
    let mut seen: HashSet<(u32, u32)> = HashSet::new();
    let nothing = || kinds.iter().map(|kind| kind.identity()).collect::<Vec<Value>>();
    let empty = || Cell { replayed: nothing(), recounted: nothing(), sizes: vec![0.0; kinds.len()] };
    replayed.each(piece, |row| {
        let next = u32::try_from(cells.len()).unwrap_or(u32::MAX);
        let (number, cell) = cells.entry((row.key.into(), row.bucket_us)).or_insert_with(|| (next, empty()));
        // A scan may find a field twice.
        if row.origin == 0 || seen.insert((row.origin, *number)) {
            merge(&kinds, &mut cell.replayed, row.values);
        }
    })?;
    recounted.each(piece, |Row { key, bucket_us, values, sizes, .. }| {
        let (_, cell) = cells.entry((key.into(), bucket_us)).or_insert_with(|| (u32::MAX, empty()));
        merge(&kinds, &mut cell.recounted, values);
        for (at, size) in floats.iter().zip(sizes) {
            cell.sizes[*at] += size;
        }
    })?;
    let keys = cells.keys().map(|(key, _)| &**key).collect::<HashSet<&str>>().len() as u64;
    let mut compared = Compared { keys, ..Compared::default() };
    for ((key, bucket_us), (_, cell)) in cells {
        compared.cell(metric, &kinds, key, bucket_us, cell);
    }
    Ok(compared)
}

fn merge(kinds: &[MeasureKind], into: &mut [Value], values: Vec<Value>) {
    for ((kind, known), value) in kinds.iter().zip(into).zip(values) {
        *known = kind.merge(std::mem::replace(known, Value::Null), value);
    }
}

impl Compared {
    fn cell(&mut self, metric: &Metric, kinds: &[MeasureKind], key: Box<str>, bucket_us: i64, cell: Cell) {
        self.buckets += 1;
        for (at, kind) in kinds.iter().enumerate() {
            self.compared += 1;
            let (replayed, recounted) = (&cell.replayed[at], &cell.recounted[at]);
            match judge(*kind, replayed, recounted, cell.sizes[at]) {
                Verdict::Equal => self.equal += 1,
                Verdict::Overflowed => self.overflowed += 1,
                Verdict::Differs => {
                    let measure = metric.measures[at].name.clone();
                    self.differences.push(Difference::new(&key, bucket_us, measure, (replayed, recounted)));
                    keep_largest(&mut self.differences, |difference| difference.distance);
                }
            }
        }
        if &*key == ALL {
            self.said.insert(bucket_us, cell.replayed);
        }
    }

    /// Adds what was found to the report of a metric.
    pub(super) fn add_to(self, report: &mut MetricReport) {
        report.keys += self.keys;
        report.buckets += self.buckets;
        report.compared += self.compared;
        report.equal += self.equal;
        report.overflowed += self.overflowed;
        report.differences.extend(self.differences);
        keep_largest(&mut report.differences, |difference| difference.distance);
    }
}

fn judge(kind: MeasureKind, replayed: &Value, recounted: &Value, size: f64) -> Verdict {
    let is_same = match (kind, replayed.clone().finalized(), recounted.clone().finalized()) {
        (_, Value::Overflow, Value::Overflow) => true,
        (_, Value::Overflow, _) => return Verdict::Overflowed,
        (MeasureKind::SumFloat, Value::Float(a), Value::Float(b)) => (a - b).abs() <= ROUNDING * size,
        // Beyond its map, `top` knows bounds: they have to overlap.
        (_, Value::Sketch(a), Value::Sketch(b)) => a.agrees_with(&b),
        (_, a, b) => a == b,
    };
    if is_same { Verdict::Equal } else { Verdict::Differs }
}

/// Keeps the largest few. They are sorted only where there are too many.
fn keep_largest<T>(all: &mut Vec<T>, distance: impl Fn(&T) -> f64) {
    if all.len() > TOLD_MAX * 2 {
        largest(all, distance);
    }
}

/// Leaves the largest few, the largest first.
pub(super) fn largest<T>(all: &mut Vec<T>, distance: impl Fn(&T) -> f64) {
    all.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    all.truncate(TOLD_MAX);
}

/// The largest changes between two versions in a piece of a day: per key, what all of its buckets there add up to. `pairs` are the numbers
/// of measures that both have, in the old version and in the new one. It blocks.
///
/// # Errors
/// If rows cannot be read back.
pub(super) fn changes(
    metric: &Metric,
    (day, old, new): (&str, &DayReader, &DayReader),
    pairs: &[(usize, usize)],
    piece: (u64, u64),
) -> io::Result<Vec<Change>> {
    let kinds: Vec<MeasureKind> = pairs.iter().map(|(_, at)| metric.measures[*at].kind).collect();
    let nothing = || kinds.iter().map(|kind| kind.identity()).collect::<Vec<Value>>();
    let mut totals: HashMap<Box<str>, (Vec<Value>, Vec<Value>)> = HashMap::new();
    let mut seen: HashSet<(bool, u32, i64, Box<str>)> = HashSet::new();
    for (is_new, reader) in [(false, old), (true, new)] {
        reader.each(piece, |row| {
            if row.origin > 0 && !seen.insert((is_new, row.origin, row.bucket_us, row.key.into())) {
                return;
            }
            let (before, after) = totals.entry(row.key.into()).or_insert_with(|| (nothing(), nothing()));
            let into = if is_new { after } else { before };
            let at = |pair: &(usize, usize)| row.values[if is_new { pair.1 } else { pair.0 }].clone();
            merge(&kinds, into, pairs.iter().map(at).collect());
        })?;
    }
    let mut found = Vec::new();
    for (key, (before, after)) in totals {
        for ((before, after), (_, at)) in before.into_iter().zip(after).zip(pairs) {
            let is_change = match (&before, &after) {
                (Value::Float(a), Value::Float(b)) => (a - b).abs() > ROUNDING * (a.abs() + b.abs()),
                (a, b) => a != b,
            };
            if is_change {
                found.push(Change::new(&key, day, metric.measures[*at].name.clone(), (&before, &after)));
                keep_largest(&mut found, |change| change.distance);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;

    use super::super::spill::{Encoded, Spill};
    use super::*;

    const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
k = "string"
x = "float"
[metrics.m]
source = "s"
by = ["k"]
grain = "1m"
[metrics.m.measures]
events = "count()"
sum = "sum(x)"
"#;

    fn metric() -> Metric {
        Catalog::parse(CATALOG).expect("a valid catalog").metrics.remove("m").expect("declared")
    }

    /// A side with these rows: origin, key, bucket, events and sum.
    async fn side(metric: &Metric, sizes: usize, rows: &[(u32, &str, i64, i64, f64)]) -> DayReader {
        let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
        let (mut spill, mut encoded) = (Spill::new(&kinds, sizes).expect("a file"), Encoded::default());
        for (origin, key, bucket_us, events, sum) in rows {
            let values = vec![Value::Int((*events).into()), Value::Float(*sum)];
            let sizes = vec![sum.abs(); sizes];
            let row = Row { key, bucket_us: *bucket_us, origin: *origin, values, sizes };
            encoded.push(&kinds, &row, i64::MIN);
        }
        spill.add(encoded).await.expect("written");
        spill.flush().await.expect("written");
        spill.day(0)
    }

    async fn report(replayed: &[(u32, &str, i64, i64, f64)], recounted: &[(u32, &str, i64, i64, f64)]) -> MetricReport {
        let metric = metric();
        let (replayed, recounted) = (side(&metric, 0, replayed).await, side(&metric, 1, recounted).await);
        let mut report = MetricReport::default();
        compare(&metric, &replayed, &recounted, (0, 1)).expect("read").add_to(&mut report);
        report
    }

    #[tokio::test]
    async fn every_key_and_bucket_is_compared() {
        let rows =
            [(1, "[\"a\"]", 0, 2, 1.0), (1, "[\"b\"]", 0, 1, 0.5), (1, "[]", 0, 3, 1.5), (1, "[\"a\"]", 60, 1, 9.0)];
        let same = report(&rows, &rows.map(|row| (0, row.1, row.2, row.3, row.4))).await;
        assert_eq!((same.keys, same.buckets, same.compared, same.equal), (3, 4, 8, 8));
        let mut other = rows.map(|row| (0, row.1, row.2, row.3, row.4));
        other[1].3 = 2;
        let differs = report(&rows, &other).await;
        assert_eq!((differs.compared, differs.equal), (8, 7), "one key that is not the first");
        assert_eq!(
            (differs.differences[0].key.to_string(), differs.differences[0].distance),
            ("[\"b\"]".to_owned(), 1.0)
        );
        let lacks = report(&rows, &other[..3]).await;
        assert_eq!((lacks.buckets, lacks.compared - lacks.equal), (4, 3), "a bucket that one side lacks differs");
    }

    #[tokio::test]
    async fn parts_add_up_and_a_field_that_is_found_twice_counts_once() {
        let parts = [
            (0, "[]", 0, 1, 0.5),
            (1, "[]", 0, 2, 1.0),
            (1, "[]", 0, 2, 1.0),
            (2, "[]", 0, 4, 2.0),
            (0, "[]", 0, 1, 0.5),
        ];
        let same = report(&parts, &[(0, "[]", 0, 8, 4.0)]).await;
        assert_eq!((same.compared, same.equal), (2, 2));
    }

    #[test]
    fn floats_may_be_rounded_and_nothing_else() {
        let float = |a: f64, b: f64, size| judge(MeasureKind::SumFloat, &Value::Float(a), &Value::Float(b), size);
        assert_eq!(float(0.0, 1e-9, 2.0), Verdict::Equal, "of large values that cancel out");
        assert_eq!(float(0.0, 1e-9, 0.5), Verdict::Differs);
        let int = |a, b| judge(MeasureKind::SumInt, &a, &b, 1e18);
        assert_eq!(int(Value::Int(1), Value::Int(2)), Verdict::Differs);
        assert_eq!(int(Value::Overflow, Value::Int(2)), Verdict::Overflowed);
        assert_eq!(int(Value::Int(i128::MAX), Value::Overflow), Verdict::Equal);
        assert_eq!(int(Value::Int(1), Value::Overflow), Verdict::Differs);
    }
}
