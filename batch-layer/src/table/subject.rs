//! What is materialised: tables, and what search indexes over streams begin with.

use shared_logic::catalog::{Catalog, DefinitionHash, Index, Source, Table};

/// Changes of which the rows are kept that they leave: those of a table's topic, or the records of a stream, of which an index has the last
/// one of each id.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The name of the materialised table.
    pub(crate) name: String,
    /// Whose archive is read, under its own rules.
    pub(crate) archived: Source,
    /// The same, as the source of a table: of which field the key is, and what a row has.
    pub(crate) rows: Source,
    /// What decides what the rows are.
    pub(crate) definition: DefinitionHash,
}

impl Subject {
    /// A table of a catalog.
    pub(crate) fn of_table(catalog: &Catalog, table: &Table) -> Subject {
        let source = &catalog.sources[&table.name];
        Subject {
            name: table.name.clone(),
            archived: source.clone(),
            rows: source.clone(),
            definition: catalog.table_definition(table),
        }
    }

    /// What an index of a catalog follows: a table, or a stream.
    pub(crate) fn of_index(catalog: &Catalog, index: &Index) -> Subject {
        Subject {
            name: catalog.indexed_table(index),
            archived: catalog.sources[index.from.source()].clone(),
            rows: catalog.indexed_source(index),
            definition: catalog.indexed_rows_definition(index),
        }
    }
}
