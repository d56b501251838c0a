//! The counts that the platform has to answer for the records that were made.
//!
//! They are counted row by row from the made-up values, without the plan that the layers run: copies are dropped by event id
//! and time, rows are filtered, and every measure is added up in a plain loop. So this does not repeat a mistake of the plan.
//! Only simple definitions are counted; the others are listed with the reason.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};
use shared_logic::catalog::{Catalog, Metric, Source};
use shared_logic::expression::{Expression, Scope};
use shared_logic::measure::MeasureKind;
use shared_logic::schema::FieldType;
use shared_logic::time::{bucket_start, format_rfc3339};

use crate::cell::{Cell, Row, text};
use crate::generator::{Kind, Sample};

/// The only condition that is supported.
const FILTER: (&str, i64) = ("status", 200);

/// The true counts of a stream. Remembers the identity of every event, about 100 bytes each.
#[derive(Debug)]
pub struct Expected {
    source: String,
    event_id: Vec<usize>,
    event_time: usize,
    seen: HashSet<(Vec<String>, i64)>,
    records: u64,
    rejected: u64,
    deletes: u64,
    copies: u64,
    late: u64,
    /// By rule: the ids of the events that it must alert of. Frauds are rare, so there are few.
    alerts: BTreeMap<&'static str, Vec<String>>,
    counted: Vec<Counted>,
    not_counted: Map<String, Value>,
}

/// One metric and its counts.
#[derive(Debug)]
struct Counted {
    name: String,
    /// The index of the field that must hold 200, if the metric has this condition.
    status: Option<usize>,
    /// The group key's columns: name and index of the field.
    by: Vec<(String, usize)>,
    grain_us: i64,
    measures: Vec<Counter>,
    overall: Group,
    groups: BTreeMap<String, (Map<String, Value>, Group)>,
}

#[derive(Debug)]
struct Counter {
    name: String,
    kind: MeasureKind,
    field: Option<usize>,
}

/// The counts of one group key: in total and per bucket.
#[derive(Debug, Default)]
struct Group {
    total: Sums,
    buckets: BTreeMap<i64, Sums>,
}

/// The measures' values, in their order; empty if nothing was counted yet.
type Sums = Vec<Option<f64>>;

impl Expected {
    /// Empty counts of all metrics over that source.
    pub fn new(catalog: &Catalog, source: &Source) -> Expected {
        let mut counted = Vec::new();
        let mut not_counted = Map::new();
        for metric in catalog.metrics_of(&source.name) {
            match Counted::new(source, metric) {
                Ok(metric) => counted.push(metric),
                Err(reason) => drop(not_counted.insert(metric.name.clone(), json!(reason))),
            }
        }
        Expected {
            source: source.name.clone(),
            event_id: source.event_id.iter().filter_map(|name| position(source, name)).collect(),
            event_time: position(source, &source.event_time).unwrap_or_default(),
            seen: HashSet::new(),
            records: 0,
            rejected: 0,
            deletes: 0,
            copies: 0,
            late: 0,
            alerts: BTreeMap::new(),
            counted,
            not_counted,
        }
    }

    /// Counts one record.
    pub fn observe(&mut self, sample: &Sample) {
        self.records += 1;
        let Some(row) = &sample.row else {
            let without = if sample.kind == Kind::Delete { &mut self.deletes } else { &mut self.rejected };
            *without += 1;
            return;
        };
        let Some(Cell::Instant(time_us)) = row[self.event_time] else { return };
        let id: Vec<String> = self.event_id.iter().filter_map(|at| row[*at].as_ref()).map(text).collect();
        if let Some(rule) = sample.alert {
            self.alerts.entry(rule).or_default().push(id.join("/"));
        }
        if !id.is_empty() && !self.seen.insert((id, time_us)) {
            self.copies += 1;
            return;
        }
        self.late += u64::from(sample.kind == Kind::Late);
        for metric in &mut self.counted {
            metric.observe(row, time_us);
        }
    }

    /// The counts as JSON, in the words of the API.
    pub fn to_json(&self) -> Value {
        let metrics: Map<String, Value> =
            self.counted.iter().map(|metric| (metric.name.clone(), metric.to_json())).collect();
        json!({
            "source": self.source,
            "records": self.records,
            "rejected": self.rejected,
            "deletes": self.deletes,
            "duplicates": self.copies,
            "late": self.late,
            "alerts": self.alerts,
            "metrics": metrics,
            "not_counted": self.not_counted,
        })
    }
}

impl Counted {
    fn new(source: &Source, metric: &Metric) -> Result<Counted, String> {
        let scope = Scope::of_fields(&source.fields);
        let status = match &metric.filter {
            None => None,
            Some(filter) => {
                let supported = Expression::parse(&format!("{} = {}", FILTER.0, FILTER.1), &scope).ok();
                if supported.as_ref() != Some(filter) {
                    return Err(format!("its `where` is not `{} = {}`", FILTER.0, FILTER.1));
                }
                position(source, FILTER.0)
            }
        };
        let measures = metric.measures.iter().map(|measure| {
            if measure.kind.is_sketch() {
                return Err(format!("measure `{}` is a sketch", measure.name));
            }
            let field = match &measure.of {
                None => None,
                Some(of) => {
                    let column = of.columns().first().and_then(|name| Some((*name, position(source, name)?)));
                    let quoted = |name: &str| Expression::parse(&format!("\"{name}\""), &scope);
                    let plain = column.filter(|(name, _)| quoted(name).as_ref() == Ok(of));
                    let (_, field) =
                        plain.ok_or_else(|| format!("measure `{}` is not of a plain field", measure.name))?;
                    Some(field)
                }
            };
            Ok(Counter { name: measure.name.clone(), kind: measure.kind, field })
        });
        Ok(Counted {
            name: metric.name.clone(),
            status,
            by: metric.by.iter().filter_map(|name| Some((name.clone(), position(source, name)?))).collect(),
            grain_us: metric.grain_us,
            measures: measures.collect::<Result<_, String>>()?,
            overall: Group::default(),
            groups: BTreeMap::new(),
        })
    }

    fn observe(&mut self, row: &Row, time_us: i64) {
        if self.status.is_some_and(|at| row[at] != Some(Cell::Int(FILTER.1))) {
            return;
        }
        let bucket = bucket_start(time_us, self.grain_us);
        self.overall.add(bucket, row, &self.measures);
        let key: Map<String, Value> =
            self.by.iter().map(|(name, at)| (name.clone(), value(row[*at].as_ref()))).collect();
        let order = Value::Object(key.clone()).to_string();
        self.groups.entry(order).or_insert_with(|| (key, Group::default())).1.add(bucket, row, &self.measures);
    }

    fn to_json(&self) -> Value {
        let keys: Vec<Value> = self
            .groups
            .values()
            .map(|(key, group)| {
                let mut entry = Map::from_iter([("key".to_owned(), Value::Object(key.clone()))]);
                entry.extend(group.to_json(&self.measures));
                Value::Object(entry)
            })
            .collect();
        json!({ "overall": self.overall.to_json(&self.measures), "keys": keys })
    }
}

impl Group {
    fn add(&mut self, bucket: i64, row: &Row, measures: &[Counter]) {
        for sums in [&mut self.total, self.buckets.entry(bucket).or_default()] {
            sums.resize(measures.len(), None);
            for (sum, measure) in sums.iter_mut().zip(measures) {
                measure.add(sum, row);
            }
        }
    }

    fn to_json(&self, measures: &[Counter]) -> Map<String, Value> {
        let points: Vec<Value> = self
            .buckets
            .iter()
            .map(|(start, sums)| json!({ "start": format_rfc3339(*start), "values": values(measures, sums) }))
            .collect();
        Map::from_iter([
            ("values".to_owned(), values(measures, &self.total)),
            ("points".to_owned(), Value::Array(points)),
        ])
    }
}

impl Counter {
    fn add(&self, sum: &mut Option<f64>, row: &Row) {
        let number = match self.field.map(|at| &row[at]) {
            None => 1.0,
            Some(Some(Cell::Int(number))) => *number as f64,
            Some(Some(Cell::Float(number))) => *number,
            Some(_) => return,
        };
        *sum = Some(match (*sum, self.kind) {
            (None, _) => number,
            (Some(sum), MeasureKind::MinInt | MeasureKind::MinFloat) => sum.min(number),
            (Some(sum), MeasureKind::MaxInt | MeasureKind::MaxFloat) => sum.max(number),
            (Some(sum), _) => sum + number,
        });
    }
}

fn values(measures: &[Counter], sums: &[Option<f64>]) -> Value {
    let named = measures.iter().enumerate().map(|(at, measure)| {
        let sum = sums.get(at).copied().flatten();
        let value = match (sum, measure.kind) {
            (None, MeasureKind::Count | MeasureKind::SumInt) => json!(0),
            (None, MeasureKind::SumFloat) => json!(0.0),
            (None, _) => Value::Null,
            // Whole numbers below 2^53, which a float represents exactly.
            (Some(sum), kind) if kind.value_type() == FieldType::Int => json!(sum as i64),
            (Some(sum), _) => json!(sum),
        };
        (measure.name.clone(), value)
    });
    Value::Object(named.collect())
}

fn value(cell: Option<&Cell>) -> Value {
    match cell {
        None => Value::Null,
        Some(Cell::Int(number)) => json!(number),
        Some(Cell::Float(number)) => json!(number),
        Some(Cell::Bool(value)) => json!(value),
        Some(cell @ (Cell::Text(_) | Cell::Instant(_))) => json!(text(cell)),
    }
}

fn position(source: &Source, name: &str) -> Option<usize> {
    source.fields.iter().position(|field| field.name == name)
}
