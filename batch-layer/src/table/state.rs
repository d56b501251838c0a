//! What a table holds, and whether it can be gone on from.

use std::collections::BTreeMap;

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::table::{Note, Others};
use storage::MaterialisedTable;

use super::held::Held;
use super::shape::{Shape, Shares};
use crate::rows::{self, RowsError};

/// The note of a table that changes of this archive can be added to: it was made by this definition and these rules from an older
/// version of the archive, and nothing of that was erased since.
pub(super) fn basis<'a>(note: Option<&'a Note>, held: &Held, definition: &DefinitionHash) -> Option<&'a Note> {
    note.filter(|note| {
        let is_of_archive = note.archive_version <= held.archive.version()
            && note.next.iter().all(|(id, next)| held.facts.partition(id).is_some_and(|known| next <= known.next));
        let is_same = note.definition == *definition && note.rules == held.source.rules();
        is_same && is_of_archive && held.facts.erased_since(note.archive_version).next().is_none()
    })
}

/// The files of a table, by share, and those beside it.
#[derive(Debug)]
pub(super) struct State<'a> {
    table: &'a MaterialisedTable,
    shares: u32,
    files: BTreeMap<u32, Vec<DataFile>>,
    others: BTreeMap<u32, Others>,
}

impl<'a> State<'a> {
    /// What a table holds at the version of that note.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub(super) async fn of(table: &'a MaterialisedTable, note: &Note) -> Result<State<'a>, RowsError> {
        let files = DataFile::by_partition(table.files().await?);
        // Only Braid writes the table, and its shares are numbers.
        let files = files.into_iter().map(|(share, files)| (share.parse().unwrap_or_default(), files)).collect();
        Ok(State { table, shares: note.shares, files, others: note.others.clone() })
    }

    /// The files of the shares that are not written anew, and those beside the table.
    pub(super) fn without<T>(self, anew: &BTreeMap<u32, T>) -> (Vec<DataFile>, BTreeMap<u32, Others>) {
        let State { mut files, mut others, .. } = self;
        files.retain(|share, _| !anew.contains_key(share));
        others.retain(|share, _| !anew.contains_key(share));
        (files.into_values().flatten().collect(), others)
    }

    /// What it holds of some shares, of which there may be more by now, as changes. `rows_only`: without what B1 needs besides.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) async fn changes(
        &self,
        shape: &Shape,
        shares: &Shares,
        rows_only: bool,
    ) -> Result<Vec<DataFrame>, RowsError> {
        let own = |share: u32| share / (shares.all / self.shares);
        if shares.of.is_empty() {
            return Ok(Vec::new());
        }
        let held = own(shares.of.start)..=own(shares.of.end - 1);
        let files: Vec<DataFile> = self.files.range(held.clone()).flat_map(|(_, files)| files.clone()).collect();
        let others: Vec<Others> = self.others.range(held).map(|(_, others)| others.clone()).collect();
        let mut frames = Vec::new();
        if !files.is_empty() {
            frames.push(shape.of_rows(self.table.read(&files, &shape.row_columns()).await?));
        }
        if !others.is_empty() && !rows_only {
            frames.push(shape.of_others(self.table.read_others(&others, &shape.change_columns()).await?));
        }
        let shares = shares.clone();
        let read = move || -> PolarsResult<Vec<DataFrame>> {
            frames.into_iter().map(|changes| shares.among(&changes.collect()?)).collect()
        };
        rows::compute("read rows", self.table.path(), read).await
    }
}
