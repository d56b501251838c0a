//! A schema and the places of the source's fields → a way to every field, for each message of the schema.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MapKey, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::format::places::steps;
use crate::format::registered::{SchemaReference, UnusableSchema, WriterSchema};
use crate::schema::{Field, FieldType, Step};

/// The schema's file. No file can be imported by this name.
const FILE: &str = "the schema of the record";
const TIMESTAMP: &str = "google.protobuf.Timestamp";
const WRAPPERS: [&str; 9] = [
    "google.protobuf.BoolValue",
    "google.protobuf.BytesValue",
    "google.protobuf.DoubleValue",
    "google.protobuf.FloatValue",
    "google.protobuf.Int32Value",
    "google.protobuf.Int64Value",
    "google.protobuf.StringValue",
    "google.protobuf.UInt32Value",
    "google.protobuf.UInt64Value",
];

/// How to read the messages of one schema.
#[derive(Debug)]
pub(super) struct ProtobufPlan {
    pub(super) fields: Vec<Field>,
    /// The messages of the schema's file, in its order.
    pub(super) messages: Vec<Message>,
}

/// A message of the schema.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) descriptor: MessageDescriptor,
    /// For each field of the source the way to its value; `None` if the message has no such field.
    pub(super) ways: Vec<Option<Way>>,
    /// The messages that are declared inside of it.
    pub(super) nested: Vec<Message>,
}

/// A way through a message to a value.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) hops: Vec<Hop>,
    pub(super) meaning: Meaning,
}

/// One step of a way.
#[derive(Debug)]
pub(super) enum Hop {
    /// To a field of a message.
    Field(FieldDescriptor),
    /// To an item of a repeated field.
    Item(usize),
    /// To an entry of a map.
    Entry(MapKey),
}

/// What a value means beyond how it is written.
#[derive(Debug)]
pub(super) enum Meaning {
    Plain,
    /// A number with a name; the first one, if it has several.
    Enum(BTreeMap<i32, String>),
    /// A `google.protobuf.Timestamp`.
    Timestamp,
}

impl ProtobufPlan {
    pub(super) fn new(fields: &[Field], schema: &WriterSchema) -> Result<ProtobufPlan, UnusableSchema> {
        let pool = compiled(schema)?;
        let file = pool.get_file_by_name(FILE).ok_or_else(|| UnusableSchema::new("it gives no file"))?;
        Ok(ProtobufPlan { fields: fields.to_vec(), messages: messages(file.messages(), fields) })
    }
}

/// The schema, with all that it imports.
fn compiled(schema: &WriterSchema) -> Result<DescriptorPool, UnusableSchema> {
    let mut files = ChainFileResolver::new();
    let main = SchemaReference { name: FILE.to_owned(), text: schema.text.clone() };
    files.add(Texts([&schema.references[..], &[main]].concat()));
    files.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(files);
    compiler.open_file(FILE).map_err(UnusableSchema::new)?;
    Ok(compiler.descriptor_pool())
}

/// Files that are given as texts.
struct Texts(Vec<SchemaReference>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|known| known.name == name) {
            Some(file) => File::from_source(name, &file.text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Messages of one level. The messages that stand for entries of maps are not counted: no text declares them.
fn messages(descriptors: impl Iterator<Item = MessageDescriptor>, fields: &[Field]) -> Vec<Message> {
    let declared = descriptors.filter(|descriptor| !descriptor.is_map_entry());
    let message = |descriptor: MessageDescriptor| Message {
        ways: fields.iter().map(|field| way(&descriptor, field)).collect(),
        nested: messages(descriptor.child_messages(), fields),
        descriptor,
    };
    declared.map(message).collect()
}

/// Where a value stands while a way is being found.
enum At {
    Message(MessageDescriptor),
    /// In a field: all of it, or one of its items or entries.
    Field(FieldDescriptor),
    Value(Kind),
}

/// The way to a field of the source.
fn way(message: &MessageDescriptor, field: &Field) -> Option<Way> {
    let mut hops = Vec::new();
    let mut at = At::Message(message.clone());
    for step in steps(field) {
        at = match (at, step) {
            (At::Message(message), Step::Member(name)) => enter(&message, &name, &mut hops)?,
            (At::Field(map), Step::Member(key)) if map.is_map() => {
                let Kind::Message(entry) = map.kind() else { return None };
                let is_text = matches!(entry.map_entry_key_field().kind(), Kind::String);
                hops.push(Hop::Entry(MapKey::String(key)));
                is_text.then(|| At::Value(entry.map_entry_value_field().kind()))?
            }
            (At::Field(list), Step::Element(position)) if list.is_list() => {
                hops.push(Hop::Item(position));
                At::Value(list.kind())
            }
            (At::Field(single), Step::Member(name)) if !single.is_list() => {
                let Kind::Message(message) = single.kind() else { return None };
                enter(&message, &name, &mut hops)?
            }
            (At::Value(Kind::Message(message)), Step::Member(name)) => enter(&message, &name, &mut hops)?,
            _ => return None,
        };
    }
    let kind = match at {
        At::Field(field) if field.is_list() || field.is_map() => return Some(Way { hops, meaning: Meaning::Plain }),
        At::Field(field) => field.kind(),
        At::Value(kind) => kind,
        At::Message(_) => return None,
    };
    let meaning = match kind {
        Kind::Enum(symbols) => {
            let mut names = BTreeMap::new();
            for symbol in symbols.values() {
                names.entry(symbol.number()).or_insert_with(|| symbol.name().to_owned());
            }
            Meaning::Enum(names)
        }
        Kind::Message(message) if message.full_name() == TIMESTAMP && field.kind == FieldType::Timestamp => {
            Meaning::Timestamp
        }
        Kind::Message(message) if WRAPPERS.contains(&message.full_name()) => {
            hops.push(Hop::Field(message.get_field(1)?));
            Meaning::Plain
        }
        _ => Meaning::Plain,
    };
    Some(Way { hops, meaning })
}

fn enter(message: &MessageDescriptor, name: &str, hops: &mut Vec<Hop>) -> Option<At> {
    let field = message.get_field_by_name(name)?;
    hops.push(Hop::Field(field.clone()));
    Some(At::Field(field))
}
