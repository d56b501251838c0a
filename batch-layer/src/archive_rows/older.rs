//! Events of the older layout, which have no bytes: where their columns tell all that a source's rules read, a document stands for
//! the bytes (R11).

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{Documents, ERROR, Facts, OlderLayout, RAW, record_columns};
use shared_logic::log::OffsetRange;

use super::{may_hold, within};

/// Whether a row is such an event, while that is computed.
const IS_OLDER: &str = "_is_older";

/// Which rows are of the older layout, and what they tell.
#[derive(Debug, Clone)]
pub(crate) struct OlderRows {
    layout: OlderLayout,
    ranges: Vec<OffsetRange>,
}

impl OlderRows {
    /// Those of an archive. `None`, if there are none, the source's rules are theirs, or they do not tell all that these rules read: then
    /// the facts name them as a gap.
    pub(crate) fn of(facts: &Facts, source: &Source) -> Option<OlderRows> {
        let layout = facts.older_layout.as_ref().filter(|layout| layout.is_read_by(source))?;
        if facts.unnamed_rules.as_ref() == Some(&source.rules()) {
            return None;
        }
        let ranges = facts.columns_only().filter(|(_, range)| range.older_layout);
        let ranges = ranges.map(|(id, range)| OffsetRange { id, from: range.from, to: range.to }).collect();
        Some(OlderRows { layout: layout.clone(), ranges })
    }

    /// Those of a file, if it may hold some.
    pub(crate) fn in_file(mut self, file: &DataFile) -> Option<OlderRows> {
        self.ranges.retain(|range| may_hold(file, std::slice::from_ref(range)));
        (!self.ranges.is_empty()).then_some(self)
    }

    /// Makes documents of rows that have the [`columns`].
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub(crate) fn documents(&self, rows: &DataFrame) -> PolarsResult<OlderDocuments> {
        let is_older = col(ERROR).is_null().and(col(RAW).is_null()).and(within(&self.ranges));
        let are_older = rows.clone().lazy().select([is_older.alias(IS_OLDER)]).collect()?;
        Ok(OlderDocuments {
            documents: self.layout.documents(rows)?,
            are_older: are_older.column(IS_OLDER)?.bool()?.clone(),
        })
    }
}

/// The columns of records, and those that documents are made from.
pub(crate) fn columns(older: Option<&OlderRows>) -> Schema {
    let others = older.into_iter().flat_map(|older| older.layout.columns());
    record_columns().into_iter().chain(others).collect()
}

/// The documents of some rows.
pub(crate) struct OlderDocuments {
    documents: Documents,
    are_older: BooleanChunked,
}

impl OlderDocuments {
    /// What stands for the bytes of the record in that row, if it is an event of the older layout.
    pub(crate) fn of_row(&self, row: usize) -> Option<Vec<u8>> {
        (self.are_older.get(row) == Some(true)).then(|| self.documents.document(row))
    }
}
