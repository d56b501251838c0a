//! The formats of payloads: how bytes become typed cells, and how typed values become bytes.
//!
//! [`Format`] is the list of them. Each format is a file, which holds all that is particular to it ([`Codec`]): its name,
//! its tokenizer, its typing of a token, and its writer.
//!
//! - `json`, `tsv`, `csv`, `combined`: the formats of texts;
//! - `debezium`: changes of rows in JSON, which only tables read;
//! - `avro`, `protobuf`: the formats of a schema registry, in builds with the feature `registry`;
//! - `registered`: what these two share: a payload names the schema that it was written with;
//! - `places`: where fields stand in payloads whose values have names;
//! - `record`: the tokens and cells of one payload, whatever its format;
//! - `number`: the texts of numbers, which formats share;
//! - `instant`: the texts of instants, which all formats share;
//! - `joined`: instants whose date and time are fields of their own;
//! - `text`: what the formats share that hold nothing but texts.

#[cfg(feature = "registry")]
mod avro;
mod combined;
mod csv;
mod debezium;
mod instant;
mod joined;
mod json;
mod number;
mod places;
#[cfg(feature = "registry")]
mod protobuf;
mod record;
#[cfg_attr(not(feature = "registry"), allow(dead_code, reason = "no format of this build names schemas"))]
mod registered;
mod text;
mod tsv;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use chrono_tz::Tz;

pub(crate) use instant::{BadPattern, Pattern};
pub(crate) use record::{Cell, Record, Span};
pub use registered::{SchemaId, SchemaReference, UnusableSchema, WriterSchema};

use crate::rejection::{Reason, Rejected};
use crate::schema::{Field, FieldType, InstantFormat};
use crate::time::format_rfc3339;
use instant::Instants;
use joined::Joined;
use places::Places;
use record::Token;
use registered::{Plan, Writers};

/// How payloads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per record.
    Json,
    /// Tab-separated values, one line per record, columns in the order of the fields.
    Tsv,
    /// Comma-separated values, one row per record (RFC 4180), columns in the order of the fields.
    Csv,
    /// The access log of Apache httpd and nginx, one line per record; fields are named like its columns.
    Combined,
    /// One change of a row as Debezium writes it in JSON. Only tables have it.
    Debezium,
    /// One datum of Apache Avro per record, framed for a schema registry.
    #[cfg(feature = "registry")]
    Avro,
    /// One Protobuf message per record, framed for a schema registry.
    #[cfg(feature = "registry")]
    Protobuf,
}

/// What a catalog says about the payloads of a source, beside their format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout<'a> {
    /// The declared fields.
    pub(crate) fields: &'a [Field],
    /// The texts that stand for an absent value, in formats that hold texts only.
    pub(crate) null: &'a [String],
    /// The zone of instants that name none. Without it, such an instant is `wrong_type`.
    pub(crate) time_zone: Option<Tz>,
}

/// A column that has its name from its format.
#[derive(Debug)]
pub(crate) struct NamedColumn {
    /// The name by which fields take it.
    pub(crate) name: &'static str,
    /// The types that such a field may have.
    pub(crate) kinds: &'static [FieldType],
}

/// The byte-order mark, with which some editors and programs begin a UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The payload without the byte-order mark that it may begin with.
pub(crate) fn without_mark(payload: &[u8]) -> &[u8] {
    payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload)
}

/// Reads the payloads of one source: its format, and all that its catalog says about how values are written.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    format: Format,
    fields: Vec<Field>,
    /// Where the fields stand, in formats whose values have names.
    places: Places,
    null: Vec<String>,
    time_zone: Option<Tz>,
    /// How the instants of each field are read.
    instants: Vec<Instants>,
    /// The instants that are read from several fields. They stand behind all other fields.
    joined: Vec<Joined>,
    /// How many fields have a column of their own.
    columns: usize,
    /// For each field, the number of the [`NamedColumn`] that it takes.
    named: Vec<Option<usize>>,
    /// The schemas that payloads may name.
    writers: Writers,
}

impl Reader {
    /// A reader of payloads with these fields.
    ///
    /// # Panics
    /// If a field's pattern of instants is none. A checked catalog holds none such.
    pub(crate) fn new(format: Format, fields: &[Field], null: &[String], time_zone: Option<Tz>) -> Reader {
        let columns = format.named_columns();
        let named = |field: &Field| columns.iter().position(|column| column.name == field.column());
        Reader {
            format,
            fields: fields.to_vec(),
            places: format.codec().places(fields),
            null: null.to_vec(),
            time_zone,
            instants: fields.iter().map(|field| Instants::of(&field.instants)).collect(),
            joined: Joined::among(fields),
            columns: fields.iter().filter(|field| field.has_column()).count(),
            named: fields.iter().map(named).collect(),
            writers: Writers::default(),
        }
    }

    /// How many tokens of a payload it looks at.
    pub(crate) fn tokens(&self) -> usize {
        self.format.codec().tokens(self.fields.len())
    }

    /// The schema that a payload names and that this reader lacks.
    pub(crate) fn missing_schema(&self, payload: &[u8]) -> Option<SchemaId> {
        self.format.names_schemas().then(|| self.writers.missing(payload)).flatten()
    }

    /// Takes in what a schema's id means; `None`: its registry does not know it.
    ///
    /// # Errors
    /// If payloads of the schema cannot be read. They are rejected then.
    pub(crate) fn learn(&mut self, id: SchemaId, schema: Option<&WriterSchema>) -> Result<(), UnusableSchema> {
        let plan = schema.map(|schema| self.format.codec().plan(self, schema)).transpose();
        let (plan, outcome) = match plan {
            Ok(plan) => (plan.ok_or(Reason::UnknownSchema), Ok(())),
            Err(unusable) => (Err(Reason::UnknownSchema), Err(unusable)),
        };
        self.writers.learn(id, plan);
        outcome
    }

    /// How many schemas' ids this reader knows.
    pub(crate) fn schemas(&self) -> usize {
        self.writers.len()
    }

    /// Forgets all schemas.
    pub(crate) fn forget_schemas(&mut self) {
        self.writers.forget();
    }

    /// Reads a payload, which is not empty and, unless its format is binary, UTF-8, into the record's cells, one per field.
    ///
    /// # Errors
    /// One of [`Format::reasons`] for the payload as a whole, or else `missing_field`, `wrong_type` or `out_of_range` for
    /// the first such field.
    pub(crate) fn read(&self, payload: &[u8], record: &mut Record) -> Result<(), Rejected> {
        self.format.codec().read(self, payload, record)
    }
}

/// A value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldValue<'a> {
    /// Text.
    Text(&'a str),
    /// An integer.
    Int(i64),
    /// A finite float.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// An instant, in microseconds since 1970.
    Instant(i64),
}

impl Format {
    /// Every format of a source. A new one is added here and in [`Format::codec`].
    #[cfg(not(feature = "registry"))]
    pub const ALL: [Format; 4] = [Format::Json, Format::Tsv, Format::Csv, Format::Combined];
    /// Every format of a source. A new one is added here and in [`Format::codec`].
    #[cfg(feature = "registry")]
    pub const ALL: [Format; 6] =
        [Format::Json, Format::Tsv, Format::Csv, Format::Combined, Format::Avro, Format::Protobuf];

    /// The names of the formats that only builds with the feature `registry` have.
    pub const OF_A_REGISTRY: [&str; 2] = ["avro", "protobuf"];

    fn codec(self) -> &'static dyn Codec {
        match self {
            Format::Json => &json::Json,
            Format::Tsv => &tsv::Tsv,
            Format::Csv => &csv::Csv,
            Format::Combined => &combined::Combined,
            Format::Debezium => &debezium::Debezium,
            #[cfg(feature = "registry")]
            Format::Avro => &avro::Avro,
            #[cfg(feature = "registry")]
            Format::Protobuf => &protobuf::Protobuf,
        }
    }

    /// The format's name in the catalog.
    pub fn name(self) -> &'static str {
        self.codec().name()
    }

    /// Whether a payload tells its fields by position, so that their declared order is part of its meaning.
    pub fn is_positional(self) -> bool {
        self.codec().is_positional()
    }

    /// Whether a payload names the schema that it was written with, which a registry knows. Such payloads are binary; all others
    /// are UTF-8. They are read but not written: a schema belongs to its producers.
    pub fn names_schemas(self) -> bool {
        self.codec().names_schemas()
    }

    /// The reasons for which a payload of this format, and not every format, is rejected as a whole.
    pub fn reasons(self) -> &'static [Reason] {
        self.codec().reasons()
    }

    /// The text that stands for an absent value unless the source names others. `None` in formats in which a value can be
    /// absent without a text.
    pub fn null(self) -> Option<&'static str> {
        self.codec().null()
    }

    /// How instants are written if their field does not say it.
    pub(crate) fn usual_instants(self) -> InstantFormat {
        self.codec().usual_instants()
    }

    /// The columns that have their names from the format, so that fields take them by name; empty in all other formats.
    pub(crate) fn named_columns(self) -> &'static [NamedColumn] {
        self.codec().named_columns()
    }

    /// Writes a row as a payload; an empty one, if the format [names schemas](Format::names_schemas). `values` are those of
    /// the layout's fields, in the same order; `None` is absent.
    ///
    /// The reader gives the same values back, as far as the format can hold them. A line of TSV has no place for a text with
    /// tabs or line ends, no format of texts has one for a text that stands for an absent value, and a pattern of instants may
    /// have none for fractions of a second. The columns of a joined instant hold its text, whatever their own values are.
    pub(crate) fn write(self, layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> Vec<u8> {
        let joined = Joined::among(layout.fields);
        let parts: Vec<_> = joined.iter().flat_map(|joined| joined.split(layout, values)).collect();
        let mut values: Vec<Option<FieldValue<'_>>> = values.to_vec();
        for (at, text) in &parts {
            values[*at] = values[*at].and(text.as_deref().map(FieldValue::Text));
        }
        self.codec().write(layout, &values)
    }

    /// Finds the text of the field at that position, without judging the others. A string gives its characters, a number or
    /// boolean its text. `None` if the field is absent, the payload is too broken to find it, or the format
    /// [names schemas](Format::names_schemas).
    pub(crate) fn field_text<'a>(self, layout: Layout<'_>, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>> {
        self.codec().field_text(layout, without_mark(payload), at)
    }
}

/// What is particular to a format.
///
/// Only [`Codec::read`] is called for every record. Each format has its own copy of it, which calls the format's
/// tokenizer and typing directly, so no call per value goes through a table of functions.
trait Codec {
    /// The format's name in the catalog.
    fn name(&self) -> &'static str;

    /// See [`Format::is_positional`].
    fn is_positional(&self) -> bool;

    /// See [`Format::names_schemas`].
    fn names_schemas(&self) -> bool {
        false
    }

    /// How to read the reader's fields in payloads that were written with that schema.
    fn plan(&self, _reader: &Reader, _schema: &WriterSchema) -> Result<Arc<dyn Plan>, UnusableSchema> {
        Err(UnusableSchema { why: format!("payloads of {} name no schema", self.name()) })
    }

    /// See [`Format::null`].
    fn null(&self) -> Option<&'static str>;

    /// See [`Format::usual_instants`].
    fn usual_instants(&self) -> InstantFormat {
        InstantFormat::Usual
    }

    /// See [`Format::named_columns`].
    fn named_columns(&self) -> &'static [NamedColumn] {
        &[]
    }

    /// Where the fields stand, if values have names.
    fn places(&self, fields: &[Field]) -> Places {
        Places::of(fields)
    }

    /// How many tokens [`Codec::tokenize`] fills: one per field, and those that are of the format's own.
    fn tokens(&self, fields: usize) -> usize {
        fields
    }

    /// The reasons with which [`Codec::tokenize`] fails.
    fn reasons(&self) -> &'static [Reason];

    /// Fills the record's tokens and resolved texts.
    fn tokenize(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Reason>;

    /// The cell of a field, from a token that is neither [`Token::Absent`] nor the text of an instant: `wrong_type` or
    /// `out_of_range` if it does not fit. `unescaped` are the record's resolved texts.
    fn cell(
        &self,
        reader: &Reader,
        field: &Field,
        token: Token,
        payload: &[u8],
        unescaped: &[u8],
    ) -> Result<Cell, Reason>;

    /// See [`Format::write`].
    ///
    /// No value is that of a joined field: the values of its parts are written.
    fn write(&self, layout: Layout<'_>, values: &[Option<FieldValue<'_>>]) -> Vec<u8>;

    /// See [`Format::field_text`].
    fn field_text<'a>(&self, layout: Layout<'_>, payload: &'a [u8], at: usize) -> Option<Cow<'a, [u8]>>;

    /// See [`Reader::read`].
    fn read(&self, reader: &Reader, payload: &[u8], record: &mut Record) -> Result<(), Rejected> {
        record.clear();
        self.tokenize(reader, payload, record).map_err(Rejected::whole)?;
        for joined in &reader.joined {
            joined.join(payload, record);
        }
        for (at, field) in reader.fields.iter().enumerate() {
            record.cells[at] = match record.tokens[at] {
                Token::Absent if field.optional => Cell::Null,
                Token::Absent => return Err(Rejected::at(Reason::MissingField, at)),
                Token::Text(span) | Token::Number(span) if field.kind == FieldType::Timestamp => {
                    let text = span.of(payload, &record.unescaped);
                    let instant = reader.instants[at].read(text, reader.time_zone);
                    instant.map(Cell::Int).map_err(|reason| Rejected::at(reason, at))?
                }
                token => self
                    .cell(reader, field, token, payload, &record.unescaped)
                    .map_err(|reason| Rejected::at(reason, at))?,
            };
        }
        Ok(())
    }
}

/// The value as plain text; an instant is RFC 3339.
impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldValue::Text(text) => f.write_str(text),
            FieldValue::Int(number) => number.fmt(f),
            FieldValue::Float(number) => number.fmt(f),
            FieldValue::Bool(value) => value.fmt(f),
            FieldValue::Instant(us) => f.write_str(&format_rfc3339(*us)),
        }
    }
}

#[cfg(test)]
mod tests;
