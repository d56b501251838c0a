//! `[indexes.…]`: search indexes that follow a table, or a stream.

use std::fmt;

use super::{Catalog, OUTPUT_ID, Source};
use crate::schema::{Field, FieldType, Place};

/// Of rows that a stream leaves: the field that has the timestamp of the record. Names of declared fields do not begin with `_`.
pub const WRITTEN_AT: &str = "_written_at";
/// The field of every document that says in which slice of ids it is. No declared field of an index may be called so.
pub const SLICE: &str = "braid_slice";
/// What the query string of a search says besides fields, so that no field of an index may be called so.
pub const SEARCH_WORDS: [&str; 5] = ["q", "limit", "offset", "sort", "version"];
/// How the names of the tables begin that hold what indexes follow of streams.
const OF_STREAM: &str = "stream.";

/// A search index: of each id a document with some fields of its latest row (I1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The index's name, the key of its table in the catalog.
    pub name: String,
    /// Whose rows it has.
    pub from: IndexFrom,
    /// The field whose value is the id: a required text or integer. Of a table, its key; of a stream, its `output_id`, or what its records
    /// are keyed by. So all changes of an id lie in one partition, as long as the topic gains none.
    pub id: String,
    /// The fields of a document, in the order of the file.
    pub fields: Vec<IndexField>,
}

/// What an index follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexFrom {
    /// The table of that name.
    Table(String),
    /// The stream of that name: of each id, its last record.
    Stream(String),
}

/// A field of an index's documents: the field of the same name of what the index follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexField {
    /// The field's name.
    pub name: String,
    /// How the server indexes it.
    pub kind: IndexKind,
}

/// How the server indexes a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// A text, taken apart into words.
    Text,
    /// A text as a whole.
    Keyword,
    /// An integer.
    Integer,
    /// A float.
    Float,
    /// An instant.
    Time,
    /// True or false.
    Boolean,
}

impl IndexKind {
    /// Every kind.
    pub const ALL: [IndexKind; 6] = [
        IndexKind::Text,
        IndexKind::Keyword,
        IndexKind::Integer,
        IndexKind::Float,
        IndexKind::Time,
        IndexKind::Boolean,
    ];

    /// The kind's name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            IndexKind::Text => "text",
            IndexKind::Keyword => "keyword",
            IndexKind::Integer => "integer",
            IndexKind::Float => "float",
            IndexKind::Time => "time",
            IndexKind::Boolean => "boolean",
        }
    }

    /// Whether a field of that type can be indexed so.
    pub fn takes(self, kind: FieldType) -> bool {
        match self {
            IndexKind::Text | IndexKind::Keyword => kind == FieldType::String,
            IndexKind::Integer => kind == FieldType::Int,
            IndexKind::Float => matches!(kind, FieldType::Float | FieldType::Int),
            IndexKind::Time => kind == FieldType::Timestamp,
            IndexKind::Boolean => kind == FieldType::Bool,
        }
    }
}

impl IndexFrom {
    /// The source whose records are read.
    pub fn source(&self) -> &str {
        match self {
            IndexFrom::Table(name) | IndexFrom::Stream(name) => name,
        }
    }
}

/// As the catalog writes it: `tables.users`.
impl fmt::Display for IndexFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexFrom::Table(name) => write!(f, "tables.{name}"),
            IndexFrom::Stream(name) => write!(f, "streams.{name}"),
        }
    }
}

impl Index {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&IndexField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Catalog {
    /// The indexes that follow a source, in the order of their names.
    pub fn indexes_of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Index> + 'a {
        self.indexes.values().filter(move |index| index.from.source() == source)
    }

    /// The materialised table of the rows that an index of this catalog follows, as [`Deployment::table_name`](super::Deployment::table_name)
    /// takes it: of a table that table; of a stream one that only indexes have. Names in a catalog hold no dot.
    pub fn indexed_table(&self, index: &Index) -> String {
        match &index.from {
            IndexFrom::Table(table) => table.clone(),
            IndexFrom::Stream(stream) => {
                format!("{OF_STREAM}{}.{}", self.deployment.archive_name(stream), index.id)
            }
        }
    }

    /// What an index follows, as the source of a table: its key is the id, and its last field the timestamp of the record. Rows
    /// ([`Row`](crate::table::Row)) have the values of its other fields, in their order. Of a table, it is the table's own source. Of a stream, its
    /// records are not read by it: it has other rules than what is archived.
    ///
    /// # Panics
    /// If `index` is of another catalog, so that this one has no such source.
    pub fn indexed_source(&self, index: &Index) -> Source {
        let source = self.sources[index.from.source()].clone();
        if source.is_table {
            return source;
        }
        let mut fields = source.fields;
        fields.push(Field { place: Place::Record, ..Field::new(WRITTEN_AT, FieldType::Timestamp, false) });
        Source { key: Some(index.id.clone()), event_time: WRITTEN_AT.to_owned(), is_table: true, fields, ..source }
    }
}

/// Whether that is the name of a materialised table that holds what indexes follow of the stream with that archive, by whatever field is their id.
pub fn is_indexed_table(name: &str, archive: &str) -> bool {
    let of = name.strip_prefix(OF_STREAM).and_then(|rest| rest.rsplit_once('.'));
    of.is_some_and(|(of, _)| of == archive)
}

/// Whether every id occurs once, so that it does not matter in which partitions its records lie.
pub(super) fn occurs_once(from: &IndexFrom, id: &str) -> bool {
    matches!(from, IndexFrom::Stream(_)) && id == OUTPUT_ID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_a_stream_is_told_from_those_of_other_streams_and_generations() {
        assert!(is_indexed_table("stream.clicks.user", "clicks"));
        assert!(is_indexed_table("stream.clicks.v2.user", "clicks.v2"));
        for (name, archive) in [
            ("stream.clicks.v2.user", "clicks"),
            ("stream.clicks.user", "clicks.user"),
            ("stream.click.user", "clicks"),
            ("stream.clicks", "clicks"),
            ("clicks.user", "clicks"),
            ("clicks", "clicks"),
        ] {
            assert!(!is_indexed_table(name, archive), "{name} {archive}");
        }
    }
}
