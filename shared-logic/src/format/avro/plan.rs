//! A writer's schema and the places of the source's fields → the steps of reading a datum.
//!
//! Names of types are resolved here, once, and what leads to no field is only passed over. Types that hold nothing, such as
//! records without fields, are left out, so reading takes a step for at least every byte.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, EnumSchema, FixedSchema, InnerDecimalSchema, RecordSchema, UuidSchema};

use crate::format::places::Places;
use crate::format::registered::value::{Decimal, Value};
use crate::format::registered::{UnusableSchema, WriterSchema};
use crate::schema::{EpochUnit, Field};

/// Decimals with more digits behind the point are only bytes.
const SCALE_MAX: u32 = 1_000;

/// How to read the data of one writer's schema.
#[derive(Debug)]
pub(super) struct AvroPlan {
    pub(super) fields: Vec<Field>,
    pub(super) nodes: Vec<Node>,
    /// The datum.
    pub(super) root: usize,
}

/// A value of a datum.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    pub(super) meaning: Meaning,
    /// The source's fields that hold it.
    pub(super) held_by: Vec<usize>,
}

/// How a value is written. Numbers name other nodes.
#[derive(Debug)]
pub(super) enum Shape {
    Null,
    Bool,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    /// Symbols.
    Enum(Vec<String>),
    /// Branches.
    Union(Vec<usize>),
    /// Fields in the order in which they are written.
    Record(Vec<usize>),
    /// Its items, and those that paths go on to, by their position.
    Array(usize, Vec<(usize, usize)>),
    /// Its values, and those that paths go on to, by their key.
    Map(usize, Vec<(String, usize)>),
}

/// What a value means beyond how it is written: its logical type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    Plain,
    Instant(EpochUnit),
    NoInstant,
    Decimal { scale: u32 },
    Uuid,
}

impl AvroPlan {
    pub(super) fn new(fields: &[Field], places: &Places, schema: &WriterSchema) -> Result<AvroPlan, UnusableSchema> {
        let references = schema.references.iter().map(|reference| reference.text.as_str());
        let (datum, others) = Schema::parse_str_with_list(&schema.text, references).map_err(UnusableSchema::new)?;
        let mut planner = Planner::default();
        planner.note_names(&datum, None);
        others.iter().for_each(|other| planner.note_names(other, None));
        let root = planner.node(&datum, None, Some(places))?;
        Ok(AvroPlan { fields: fields.to_vec(), nodes: planner.nodes, root })
    }
}

impl Meaning {
    pub(super) fn of_integer(self, number: i64) -> Value<'static> {
        match self {
            Meaning::Instant(unit) => Value::Instant(number.into(), unit),
            Meaning::NoInstant => Value::NoInstant(number),
            _ => Value::Int(number.into()),
        }
    }

    /// `text` is room for a text that the bytes stand for.
    pub(super) fn of_bytes<'t>(self, bytes: &[u8], text: &'t mut String) -> Value<'t> {
        match (self, <[u8; 16]>::try_from(bytes)) {
            (Meaning::Decimal { scale }, _) => Value::Decimal(Decimal::of_bytes(bytes, scale)),
            (Meaning::Uuid, Ok(bytes)) => {
                *text = hyphenated(bytes);
                Value::Word(text)
            }
            _ => Value::Other,
        }
    }
}

/// A UUID in the usual form: 8-4-4-4-12 hexadecimal digits.
fn hyphenated(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[derive(Default)]
struct Planner<'s> {
    /// The types that have names, by full name.
    names: HashMap<String, &'s Schema>,
    nodes: Vec<Node>,
    /// The nodes of records and enums that are only passed over. A record may hold itself, and an enum may have many symbols.
    passed_over: HashMap<String, usize>,
}

impl<'s> Planner<'s> {
    /// Notes every type with a name in a schema. `enclosing` is the namespace that the schema stands in.
    fn note_names(&mut self, schema: &'s Schema, enclosing: Option<&str>) {
        match schema {
            Schema::Record(record) => {
                let name = record.name.fully_qualified_name(enclosing);
                self.names.insert(name.fullname(None), schema);
                record.fields.iter().for_each(|field| self.note_names(&field.schema, name.namespace()));
            }
            Schema::Array(array) => self.note_names(&array.items, enclosing),
            Schema::Map(map) => self.note_names(&map.types, enclosing),
            Schema::Union(union) => union.variants().iter().for_each(|branch| self.note_names(branch, enclosing)),
            Schema::Ref { .. } => {}
            other => {
                if let Some(name) = other.name() {
                    self.names.insert(name.fullname(enclosing), other);
                }
            }
        }
    }

    /// The node of a value. Without `places`, it is only passed over.
    fn node(
        &mut self,
        schema: &'s Schema,
        enclosing: Option<&str>,
        places: Option<&Places>,
    ) -> Result<usize, UnusableSchema> {
        let (schema, enclosing) = match schema {
            Schema::Ref { name } => {
                let name = name.fully_qualified_name(enclosing);
                let unknown = || UnusableSchema::new(format_args!("it names the unknown type {}", name.fullname(None)));
                let schema = *self.names.get(&name.fullname(None)).ok_or_else(unknown)?;
                (schema, name.namespace().map(str::to_owned))
            }
            schema => (schema, enclosing.map(str::to_owned)),
        };
        let enclosing = enclosing.as_deref();
        match (schema, places) {
            (Schema::Record(RecordSchema { name, .. }) | Schema::Enum(EnumSchema { name, .. }), None) => {
                let name = name.fullname(enclosing);
                if let Some(known) = self.passed_over.get(&name) {
                    return Ok(*known);
                }
                // Noted before its fields are looked at. Until then it counts as a type that holds something.
                let at = self.add(Shape::Bool, Meaning::Plain, None);
                self.passed_over.insert(name, at);
                let shape = self.shape(schema, enclosing, None)?;
                self.nodes[at].shape = shape;
                Ok(at)
            }
            // A path leads to one of the branches, whichever is written.
            (Schema::Union(_), _) => {
                let shape = self.shape(schema, enclosing, places)?;
                Ok(self.add(shape, Meaning::Plain, None))
            }
            _ => {
                let shape = self.shape(schema, enclosing, places)?;
                Ok(self.add(shape, meaning(schema), places))
            }
        }
    }

    fn shape(
        &mut self,
        schema: &'s Schema,
        enclosing: Option<&str>,
        places: Option<&Places>,
    ) -> Result<Shape, UnusableSchema> {
        Ok(match schema {
            Schema::Null => Shape::Null,
            Schema::Boolean => Shape::Bool,
            Schema::Int | Schema::Date | Schema::TimeMillis => Shape::Int,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Shape::Long,
            Schema::Float => Shape::Float,
            Schema::Double => Shape::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Shape::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Shape::Text,
            Schema::Fixed(FixedSchema { size, .. })
            | Schema::Duration(FixedSchema { size, .. })
            | Schema::Uuid(UuidSchema::Fixed(FixedSchema { size, .. })) => Shape::Fixed(*size),
            Schema::Decimal(DecimalSchema { inner, .. }) => match inner {
                InnerDecimalSchema::Bytes => Shape::Bytes,
                InnerDecimalSchema::Fixed(FixedSchema { size, .. }) => Shape::Fixed(*size),
            },
            Schema::Enum(symbols) => Shape::Enum(symbols.symbols.clone()),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.node(branch, enclosing, places));
                Shape::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => {
                let name = record.name.fully_qualified_name(enclosing);
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    let places = places.and_then(|places| {
                        let member = places.member(field.name.as_bytes(), 0)?;
                        Some(&places.members[member].1)
                    });
                    let node = self.node(&field.schema, name.namespace(), places)?;
                    if !self.holds_nothing(node) {
                        fields.push(node);
                    }
                }
                Shape::Record(fields)
            }
            Schema::Array(array) => {
                let items = self.node(&array.items, enclosing, None)?;
                let chosen = places.map(|places| places.elements.as_slice()).unwrap_or_default();
                let chosen =
                    chosen.iter().map(|(at, below)| Ok((*at, self.node(&array.items, enclosing, Some(below))?)));
                Shape::Array(items, chosen.collect::<Result<_, UnusableSchema>>()?)
            }
            Schema::Map(map) => {
                let values = self.node(&map.types, enclosing, None)?;
                let chosen = places.map(|places| places.members.as_slice()).unwrap_or_default();
                let chosen =
                    chosen.iter().map(|(key, below)| Ok((key.clone(), self.node(&map.types, enclosing, Some(below))?)));
                Shape::Map(values, chosen.collect::<Result<_, UnusableSchema>>()?)
            }
            Schema::Ref { name } => {
                return Err(UnusableSchema::new(format_args!("the name {} leads to a name", name.fullname(enclosing))));
            }
        })
    }

    fn add(&mut self, shape: Shape, meaning: Meaning, places: Option<&Places>) -> usize {
        let held_by = places.map(|places| places.fields.clone()).unwrap_or_default();
        self.nodes.push(Node { shape, meaning, held_by });
        self.nodes.len() - 1
    }

    /// Whether values of that node are written in no bytes, and no field holds them.
    fn holds_nothing(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        let takes_no_bytes = match &node.shape {
            Shape::Null | Shape::Fixed(0) => true,
            Shape::Record(fields) => fields.is_empty(),
            _ => false,
        };
        takes_no_bytes && (node.held_by.is_empty() || matches!(node.shape, Shape::Null))
    }
}

fn meaning(schema: &Schema) -> Meaning {
    match schema {
        Schema::TimestampMillis => Meaning::Instant(EpochUnit::Milliseconds),
        Schema::TimestampMicros => Meaning::Instant(EpochUnit::Microseconds),
        Schema::TimestampNanos => Meaning::Instant(EpochUnit::Nanoseconds),
        Schema::Date
        | Schema::TimeMillis
        | Schema::TimeMicros
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => Meaning::NoInstant,
        Schema::Decimal(DecimalSchema { scale, .. }) => {
            let scale = u32::try_from(*scale).ok().filter(|scale| *scale <= SCALE_MAX);
            scale.map_or(Meaning::Plain, |scale| Meaning::Decimal { scale })
        }
        Schema::Uuid(_) => Meaning::Uuid,
        _ => Meaning::Plain,
    }
}
