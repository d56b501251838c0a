//! What the paths of a catalog are about.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use shared_logic::catalog::{CHANGED_AT, Catalog, Index, Metric, Report, Stream, Table};
use shared_logic::measure::MeasureKind;
use shared_logic::report::Layout;
use shared_logic::schema::Field;
use shared_logic::time::{DAY_US, HOUR_US, format_day, local_date};

use super::{columns, indexed};
use crate::answer::duration_text;
use crate::document::references;
use crate::openapi::{EVERY_COLUMN, FIELDS, OTHER_COLUMNS, SEVERAL_COLUMNS};

/// Parameters of a stream that are no fields.
const NO_FIELDS: [&str; 4] = ["from", "to", "limit", "version"];

/// The kinds of things that a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Metric,
    Stream,
    Table,
    Index,
    Report,
}

/// One of them.
pub(super) struct Subject {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) description: String,
    /// What stands for a parameter that stands in for others.
    parameters: BTreeMap<&'static str, Vec<Value>>,
    /// What other parameters can be.
    pub(super) choices: BTreeMap<&'static str, Choice>,
    /// What stands for a schema that stands in for the catalog's.
    pub(super) schemas: BTreeMap<&'static str, Value>,
}

/// What a parameter can be.
pub(super) enum Choice {
    /// One of these names.
    OneOf(Vec<String>),
    /// Anything of its type; this is one.
    Such(Value),
    /// A value of this schema; this is one.
    Typed(Value, Value),
    /// Nothing, so that there is no such parameter.
    LeftOut,
}

impl Kind {
    pub(super) const ALL: [Kind; 5] = [Kind::Metric, Kind::Stream, Kind::Table, Kind::Index, Kind::Report];

    /// The name of the parameter in the path.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Metric => "metric",
            Kind::Stream => "stream",
            Kind::Table => "table",
            Kind::Index => "index",
            Kind::Report => "report",
        }
    }

    /// What stands for it in the path.
    pub(super) fn placeholder(self) -> String {
        format!("{{{}}}", self.name())
    }

    /// The schemas for which something of this kind has its own.
    pub(super) fn stand_ins(self) -> &'static [&'static str] {
        match self {
            Kind::Metric => &["Values", "Key"],
            Kind::Stream => &["Output"],
            Kind::Table => &["Row"],
            Kind::Index => &["Document"],
            Kind::Report => &["ReportColumns"],
        }
    }
}

impl Choice {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Choice::OneOf(names) if names.is_empty())
    }

    /// The parameter, with what it can be.
    pub(super) fn of(&self, mut parameter: Value) -> Value {
        match self {
            Choice::OneOf(names) => {
                let one = json!({"type": "string", "enum": names});
                let first = Value::from(names.first().map(String::as_str));
                let is_list = parameter["schema"]["type"] == "array";
                (parameter["schema"], parameter["example"]) = match is_list {
                    true => {
                        (json!({"type": "array", "items": one, "minItems": 1, "uniqueItems": true}), json!([first]))
                    }
                    false => (one, first),
                };
            }
            Choice::Such(example) => parameter["example"] = example.clone(),
            Choice::Typed(schema, example) => {
                parameter["schema"] = schema.clone();
                parameter["example"] = example.clone();
            }
            Choice::LeftOut => {}
        }
        parameter
    }
}

impl Subject {
    /// Under which its paths are grouped.
    pub(super) fn tag(&self) -> String {
        format!("{} {}", self.kind.name(), self.name)
    }

    /// What its own schema is called instead of `name`.
    pub(super) fn schema_name(&self, name: &str) -> String {
        format!("{name}.{}", self.name)
    }

    /// What stands for a parameter.
    pub(super) fn parameters(&self, stand_in: &str) -> impl Iterator<Item = Value> {
        self.parameters.get(stand_in).into_iter().flatten().cloned()
    }
}

/// Everything that paths can be about.
pub(super) fn all(catalog: &Catalog, now_us: i64) -> BTreeMap<Kind, Vec<Subject>> {
    BTreeMap::from([
        (Kind::Metric, catalog.metrics.values().map(|metric| of_metric(catalog, metric)).collect()),
        (Kind::Stream, catalog.streams.values().map(|stream| of_stream(catalog, stream)).collect()),
        (Kind::Table, catalog.tables.values().map(|table| of_table(catalog, table)).collect()),
        (Kind::Index, catalog.indexes.values().map(of_index).collect()),
        (Kind::Report, catalog.reports.values().map(|report| of_report(catalog, report, now_us)).collect()),
    ])
}

fn of_metric(catalog: &Catalog, metric: &Metric) -> Subject {
    let fields = key(catalog, metric);
    let measures = metric.measures.iter().map(|measure| {
        let of = measure.of.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} = {}", measure.name, measure.kind.call(&of))
    });
    let derived = metric.derived.iter().map(|derived| format!("{} = {}", derived.name, derived.of));
    let values: Vec<String> = measures.chain(derived).collect();
    let by = if metric.by.is_empty() { String::new() } else { format!(" by {}", metric.by.join(", ")) };
    let grain = duration_text(metric.grain_us);
    let numbers = metric.measures.iter().filter(|measure| measure.kind.is_number()).map(|measure| &measure.name);
    let numbers = numbers.chain(metric.derived.iter().map(|derived| &derived.name)).cloned().collect();
    let once: Vec<Value> = fields.iter().flat_map(|field| columns::once(field, "events")).collect();
    let mut own_key = columns::object(fields.iter().copied(), true);
    own_key["description"] =
        "The columns that the request says something of; null for those that it asked for as missing.".into();
    Subject {
        kind: Kind::Metric,
        name: metric.name.clone(),
        description: format!("{} of {}{by}, in buckets of {grain}.", values.join(", "), metric.source),
        parameters: BTreeMap::from([
            // Of one column alone, the values are listed.
            (OTHER_COLUMNS, if fields.len() > 1 { once } else { Vec::new() }),
            (SEVERAL_COLUMNS, fields.iter().flat_map(|field| columns::several(field, "events")).collect()),
        ]),
        choices: BTreeMap::from([
            ("by", Choice::OneOf(metric.by.clone())),
            ("measure", Choice::OneOf(numbers)),
            ("step", Choice::Such(step(metric.grain_us).into())),
            ("window", Choice::Such(step(metric.grain_us).into())),
        ]),
        schemas: BTreeMap::from([("Values", values_of(metric)), ("Key", own_key)]),
    }
}

fn of_stream(catalog: &Catalog, stream: &Stream) -> Subject {
    let fields = &catalog.sources[&stream.name].fields;
    let asked = fields.iter().filter(|field| !NO_FIELDS.contains(&field.name.as_str()));
    let mut output = columns::object(fields.iter(), false);
    output["description"] = "An output, as it was written.".into();
    Subject {
        kind: Kind::Stream,
        name: stream.name.clone(),
        description: format!("What is made of {}, and written to the topic {}.", stream.from, stream.topic),
        parameters: BTreeMap::from([(FIELDS, asked.flat_map(|field| columns::once(field, "outputs")).collect())]),
        choices: BTreeMap::new(),
        schemas: BTreeMap::from([("Output", output)]),
    }
}

fn of_table(catalog: &Catalog, table: &Table) -> Subject {
    let source = &catalog.sources[&table.name];
    let kind = source.field(&table.key).map(|field| field.kind);
    let key = kind.map(|kind| Choice::Typed(columns::of_type(kind), columns::example(kind)));
    let declared = source.fields.iter().filter(|field| field.name != CHANGED_AT);
    Subject {
        kind: Kind::Table,
        name: table.name.clone(),
        description: format!("Rows by {}, of the changes in the topic {}.", table.key, table.topic),
        parameters: BTreeMap::new(),
        choices: key.map(|key| ("key", key)).into_iter().collect(),
        schemas: BTreeMap::from([("Row", columns::object(declared, false))]),
    }
}

fn of_index(index: &Index) -> Subject {
    let order = indexed::order(index);
    let order = order.map_or(Choice::LeftOut, |(schema, example)| Choice::Typed(schema, example));
    Subject {
        kind: Kind::Index,
        name: index.name.clone(),
        description: format!("Searches of documents by {}, of what {} holds.", index.id, index.from),
        parameters: BTreeMap::from([(FIELDS, index.fields.iter().map(indexed::parameter).collect())]),
        choices: BTreeMap::from([("sort", order)]),
        schemas: BTreeMap::from([("Document", indexed::document(index))]),
    }
}

fn of_report(catalog: &Catalog, report: &Report, now_us: i64) -> Subject {
    let metric = &catalog.metrics[&report.metric];
    let layout = Layout::of(catalog, report);
    let properties = layout.columns().into_iter().map(|(name, kind)| (name.to_owned(), columns::in_answer(kind, true)));
    let properties: Map<String, Value> = properties.collect();
    let required: Vec<&String> = properties.keys().collect();
    let row = json!({"type": "object", "required": required, "properties": properties});
    let today = local_date(now_us, report.time_zone).map(format_day);
    Subject {
        kind: Kind::Report,
        name: report.name.clone(),
        description: format!("Rows of {}, by day in {}.", report.metric, report.time_zone.name()),
        parameters: BTreeMap::from([(EVERY_COLUMN, key(catalog, metric).into_iter().map(columns::required).collect())]),
        choices: BTreeMap::from([("date", Choice::Typed(json!({"type": "string", "format": "date"}), today.into()))]),
        schemas: BTreeMap::from([("ReportColumns", row)]),
    }
}

/// The columns of a metric's group key.
fn key<'a>(catalog: &'a Catalog, metric: &'a Metric) -> Vec<&'a Field> {
    let source = &catalog.sources[&metric.source];
    metric.by.iter().filter_map(|name| source.field(name)).collect()
}

/// The values of a metric by name. What each layer contributed has measures alone.
fn values_of(metric: &Metric) -> Value {
    let measures = metric.measures.iter().filter(|measure| measure.kind != MeasureKind::Quantile);
    let required: Vec<&str> = measures.clone().map(|measure| measure.name.as_str()).collect();
    let measures = measures.map(|measure| {
        let of = measure.of.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut schema = match measure.kind {
            MeasureKind::Top { .. } => {
                json!({"type": ["array", "null"], "items": {"$ref": references::to_schema("Ranked")}})
            }
            kind => columns::in_answer(kind.value_type(), true),
        };
        schema["description"] = measure.kind.call(&of).into();
        (measure.name.clone(), schema)
    });
    let derived = metric.derived.iter().map(|derived| {
        let mut schema = columns::in_answer(derived.of.kind(), true);
        schema["description"] = derived.of.to_string().into();
        (derived.name.clone(), schema)
    });
    let properties: Map<String, Value> = measures.chain(derived).collect();
    json!({
        "type": "object",
        "description": "Measures, then derived values. A value is null if there were no events, or if it overflowed.",
        "required": required,
        "properties": properties,
    })
}

/// A step that a metric's buckets divide.
fn step(grain_us: i64) -> String {
    duration_text([HOUR_US, DAY_US].into_iter().find(|step_us| step_us % grain_us == 0).unwrap_or(grain_us))
}
