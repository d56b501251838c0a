//! The columns of a report, in the order in which they stand: those of the group key, those of joined tables, measures, what the metric
//! derives of these, and what the report calculates.

use polars::prelude::{Field, Schema};

use crate::catalog::{Catalog, Derived, Measure, Report};
use crate::expression::Scalar;
use crate::measure::Value;
use crate::schema::FieldType;

/// What the rows of a report are made of.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The columns of the group key.
    pub keys: Vec<(String, FieldType)>,
    /// The tables that are joined.
    pub joined: Vec<Joined>,
    /// Every measure of the metric, in the order in which views have them. Those that are no numbers by themselves are no columns.
    pub(super) measures: Vec<Measure>,
    pub(super) derived: Vec<Derived>,
    pub(super) computed: Vec<Derived>,
}

/// Columns of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The table's name.
    pub table: String,
    /// The field that is its key.
    pub key: String,
    /// Which column of the group key says whose row it is.
    pub on: usize,
    /// The fields that become columns.
    pub take: Vec<(String, FieldType)>,
}

impl Layout {
    /// The columns of a report.
    ///
    /// # Panics
    /// If `report` is of another catalog, so that this one has no such metric or table.
    pub fn of(catalog: &Catalog, report: &Report) -> Layout {
        let metric = &catalog.metrics[&report.metric];
        let kind = |source: &str, name: &String| {
            let kind = catalog.sources[source].field(name).map_or(FieldType::String, |field| field.kind);
            (name.clone(), kind)
        };
        let joined = report.join.iter().map(|join| Joined {
            table: join.table.clone(),
            key: catalog.tables[&join.table].key.clone(),
            on: metric.by.iter().position(|name| *name == join.on).unwrap_or_default(),
            take: join.take.iter().map(|name| kind(&join.table, name)).collect(),
        });
        Layout {
            keys: metric.by.iter().map(|name| kind(&metric.source, name)).collect(),
            joined: joined.collect(),
            measures: metric.measures.clone(),
            derived: metric.derived.clone(),
            computed: report.columns.clone(),
        }
    }

    /// The names and types of all columns, without that of the day.
    pub fn columns(&self) -> Vec<(&str, FieldType)> {
        let joined = self.joined.iter().flat_map(|joined| &joined.take);
        let given = self.keys.iter().chain(joined).map(|(name, kind)| (name.as_str(), *kind));
        let measures = self.numbers().map(|(_, measure)| (measure.name.as_str(), measure.kind.value_type()));
        let calculated = self.derived.iter().chain(&self.computed);
        given.chain(measures).chain(calculated.map(|derived| (derived.name.as_str(), derived.of.kind()))).collect()
    }

    /// The columns as they are in memory, where instants are integers of microseconds.
    pub fn in_memory(&self) -> Schema {
        self.columns().into_iter().map(|(name, kind)| Field::new(name.into(), kind.column_type())).collect()
    }

    /// The columns as the table has them.
    pub fn in_table(&self) -> Schema {
        self.columns().into_iter().map(|(name, kind)| Field::new(name.into(), kind.table_type())).collect()
    }

    /// One row: of a group key and the values of its measures, merged, and the joined columns, in the order in which the report takes
    /// them. The same as [`Layout::rows`] has for it.
    pub fn row<'a>(&'a self, keys: Vec<Scalar<'a>>, joined: Vec<Scalar<'a>>, measures: &[Value]) -> Vec<Scalar<'a>> {
        let names: Vec<&str> = self.columns().into_iter().map(|(name, _)| name).collect();
        let mut row = keys;
        row.extend(joined);
        row.extend(self.numbers().filter_map(|(at, _)| measures.get(at)).map(scalar));
        row.extend(self.derived.iter().map(|derived| scalar(&self.evaluated(derived, measures))));
        let given = row.clone();
        let value_of = |name: &str| {
            let at = names.iter().position(|known| *known == name);
            at.and_then(|at| given.get(at)).cloned().unwrap_or(Scalar::Null)
        };
        row.extend(self.computed.iter().map(|computed| computed.of.evaluate_row(&value_of)));
        row
    }

    /// The measures that are columns, with their places among all.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (usize, &Measure)> {
        self.measures.iter().enumerate().filter(|(_, measure)| measure.kind.is_number())
    }

    /// A derived value of merged measures.
    pub(super) fn evaluated(&self, derived: &Derived, measures: &[Value]) -> Value {
        derived.of.evaluate(&|name| {
            let at = self.measures.iter().position(|measure| measure.name == name);
            at.and_then(|at| measures.get(at)).cloned().unwrap_or(Value::Null)
        })
    }
}

/// A value as it stands in a row: one that has left its 64 bits is null, and of a number of different values it is the estimate.
pub(super) fn scalar<'a>(value: &Value) -> Scalar<'a> {
    match value.number().finalized() {
        Value::Overflow => Scalar::Null,
        other => other.into(),
    }
}
