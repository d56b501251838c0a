//! The archive → events of a key, each decoded from its bytes or from what stands for them, and the first copy of each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use polars::prelude::*;
use shared_logic::catalog::{Measure, Metric, Source};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::dedup::Place;
use shared_logic::expression::{Expression, Scalar};
use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::identity::Identity;
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::measure::{Argument, Value};
use shared_logic::schema::FieldType;
use shared_logic::time::TimeRange;

use super::{AuditError, Audited};
use crate::archive_rows::records::{self, Group, RecordReader, Stored};

/// Where a record lies: the place by which the first copy is found, and as an operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) id: PartitionId,
}

/// An event of the key.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) at: Found,
    pub(super) time_us: i64,
    /// `None`, if the source names no event id.
    pub(super) identity: Option<Identity>,
    /// Whether the metric's condition accepts it.
    pub(super) is_accepted: bool,
    /// What it adds to each measure.
    pub(super) values: Vec<Value>,
}

/// The events of a key.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) events: Vec<Event>,
    pub(super) without_bytes: u64,
}

/// Of each event of the key, the copy that counts, wherever it lies and whatever its key.
pub(super) type FirstCopies = HashMap<Identity, Found>;

/// Which records are looked at: those below the cut.
#[derive(Debug, Clone)]
struct Below {
    cut: Arc<HashMap<String, BTreeMap<i32, i64>>>,
    /// The logs in the order in which the archive first saw them.
    logs: Arc<Vec<String>>,
    times: TimeRange,
}

impl Audited<'_> {
    /// The events of the key below the cut.
    pub(super) async fn events(&self) -> Result<Events, AuditError> {
        let (source, metric, key) = (self.source.clone(), self.metric.clone(), self.question.key.clone());
        let below = self.below();
        let then = move |group: &Group, decoder: Decoder| of_group(group, decoder, &below, &source, &metric, &key);
        let mut all = Events::default();
        for events in self.of_all_groups(then).await? {
            all.events.extend(events.events);
            all.without_bytes += events.without_bytes;
        }
        all.events.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(all)
    }

    /// The first copy of each of these events, among all events below the cut.
    pub(super) async fn first_copies(&self, events: &[Event]) -> Result<FirstCopies, AuditError> {
        let wanted: HashSet<Identity> = events.iter().filter_map(|event| event.identity).collect();
        if wanted.is_empty() {
            return Ok(FirstCopies::new());
        }
        let (wanted, below) = (Arc::new(wanted), self.below());
        let then = move |group: &Group, mut decoder: Decoder| -> PolarsResult<FirstCopies> {
            let mut firsts = FirstCopies::new();
            group.each(|stored| {
                let Some(at) = below.place(&stored) else { return };
                let Some(Ok(event)) = stored.decoded(&mut decoder) else { return };
                if let Some(identity) = event.identity().filter(|identity| wanted.contains(identity)) {
                    take_first(&mut firsts, identity, at);
                }
            })?;
            Ok(firsts)
        };
        let mut firsts = FirstCopies::new();
        for (identity, at) in self.of_all_groups(then).await?.into_iter().flatten() {
            take_first(&mut firsts, identity, at);
        }
        Ok(firsts)
    }

    /// Reads all groups that may hold events of the times below the cut.
    async fn of_all_groups<T: Send + 'static>(
        &self,
        then: impl Fn(&Group, Decoder) -> PolarsResult<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>, AuditError> {
        let ranges = OffsetRange::between(None, &self.cut);
        let files = records::files_of(&self.archive, &self.source.rules(), &ranges, self.times).await?;
        let mut reader = RecordReader::new(&self.archive, self.source, &self.schemas);
        let mut made = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let (name, count) = (&self.source.name, files.len());
            self.progress.say(format_args!("reading the records of {name}: {at} of {count} files"));
            made.extend(reader.groups(file, &ranges, then.clone()).await?);
        }
        Ok(made)
    }

    fn below(&self) -> Below {
        let mut cut: HashMap<String, BTreeMap<i32, i64>> = HashMap::new();
        for (id, offset) in self.cut.iter() {
            cut.entry(id.log.clone()).or_default().insert(id.partition, offset);
        }
        let logs = self.archive.facts().logs.iter().map(|log| log.log.clone()).collect();
        Below { cut: Arc::new(cut), logs: Arc::new(logs), times: self.times }
    }
}

impl Below {
    /// The place of a record, if it lies below the cut.
    fn place(&self, stored: &Stored<'_>) -> Option<Found> {
        let cut = self.cut.get(stored.log)?.get(&stored.partition)?;
        let log = self.logs.iter().position(|log| log == stored.log)?;
        let place = Place { log: u32::try_from(log).ok()?, partition: stored.partition, offset: stored.offset };
        (stored.offset < *cut).then(|| Found { place, id: stored.id() })
    }
}

/// Of two copies the first one stands.
fn take_first(firsts: &mut FirstCopies, identity: Identity, at: Found) {
    match firsts.get_mut(&identity) {
        Some(first) if *first <= at => {}
        Some(first) => *first = at,
        None => drop(firsts.insert(identity, at)),
    }
}

/// The events of the key in a row group.
fn of_group(
    group: &Group,
    mut decoder: Decoder,
    below: &Below,
    source: &Source,
    metric: &Metric,
    key: &[KeyPart],
) -> PolarsResult<Events> {
    let (mut columns, mut decoded, mut events) = (Columns::new(source, |_| true, 0), Vec::new(), Events::default());
    group.each(|stored| {
        let Some(at) = below.place(&stored).filter(|_| !stored.is_erased()) else { return };
        let Some(verdict) = stored.decoded(&mut decoder) else {
            events.without_bytes += 1;
            return;
        };
        let Ok(event) = verdict else { return };
        if below.times.contains(event.time_us) {
            columns.push(&event);
            decoded.push((at, event.time_us, event.identity()));
        }
    })?;
    let fields = Fields { frame: columns.finish()?, source };
    for (row, (at, time_us, identity)) in decoded.into_iter().enumerate() {
        if metric.by.iter().zip(key).all(|(name, part)| fields.is_of(name, row, part)) {
            let is_true =
                |filter: &Expression| filter.evaluate_row(&|name| fields.value(name, row)) == Scalar::Bool(true);
            let of_measure = |Measure { kind, of, .. }: &Measure| {
                let scalar = of.as_ref().map(|of| of.evaluate_row(&|name| fields.value(name, row)));
                kind.of_event(scalar.as_ref().map_or(Argument::Absent, Argument::from))
            };
            let values = metric.measures.iter().map(of_measure).collect();
            let is_accepted = metric.filter.as_ref().is_none_or(is_true);
            events.events.push(Event { at, time_us, identity, is_accepted, values });
        }
    }
    Ok(events)
}

/// The fields of decoded events.
struct Fields<'a> {
    frame: DataFrame,
    source: &'a Source,
}

impl Fields<'_> {
    /// The value of a field in a row.
    fn value(&self, name: &str, row: usize) -> Scalar<'static> {
        let Some((column, field)) = self.frame.column(name).ok().zip(self.source.field(name)) else {
            return Scalar::Null;
        };
        let value = match field.kind {
            FieldType::String => column.str().ok().and_then(|texts| texts.get(row)).map(text),
            FieldType::Int => column.i64().ok().and_then(|ints| ints.get(row)).map(|x| Scalar::Int(x.into())),
            FieldType::Timestamp => column.i64().ok().and_then(|times| times.get(row)).map(Scalar::Timestamp),
            FieldType::Float => column.f64().ok().and_then(|floats| floats.get(row)).map(Scalar::Float),
            FieldType::Bool => column.bool().ok().and_then(|bools| bools.get(row)).map(Scalar::Bool),
        };
        value.unwrap_or(Scalar::Null)
    }

    /// Whether that part of a key says what a field says in a row.
    fn is_of(&self, name: &str, row: usize, part: &KeyPart) -> bool {
        match (part, self.value(name, row)) {
            (KeyPart::All, _) | (KeyPart::Missing, Scalar::Null) => true,
            // A long text stands in keys as it is shortened there.
            (KeyPart::Value(value), Scalar::String(text)) => {
                KeyValue::parse(FieldType::String, &text).as_ref() == Some(value)
            }
            (KeyPart::Value(KeyValue::Int(value)), Scalar::Int(x)) => i128::from(*value) == x,
            (KeyPart::Value(KeyValue::Bool(value)), Scalar::Bool(x)) => *value == x,
            (KeyPart::Value(KeyValue::Timestamp(value)), Scalar::Timestamp(us)) => *value == us,
            _ => false,
        }
    }
}

fn text(text: &str) -> Scalar<'static> {
    Scalar::String(text.to_owned().into())
}
