//! The rows of a table at some offsets, or at some time, made from the archive; from the newest version on, if that is older.

use std::collections::BTreeMap;

use shared_logic::catalog::{Catalog, Table};
use shared_logic::contracts::table::Note;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use storage::{MaterialisedTable, Storage};

use super::gathered::{TooMany, gathered};
use super::held::Held;
use super::settled::settled;
use super::shape::{Shape, Shares};
use super::state::{State, basis};
use super::{AsOf, GATHERED_BYTES, TableError, TableRows};
use crate::rows;

/// The rows of a table. All of them are in memory.
///
/// # Errors
/// [`TableError`]; above all [`TableError::NotArchived`], if the archive does not reach the offsets that are asked for.
pub async fn as_of(storage: &Storage, catalog: &Catalog, table: &Table, at: &AsOf) -> Result<TableRows, TableError> {
    let source = &catalog.sources[&table.name];
    let shape = Shape::of(source);
    // Before the archive, so that it is never newer than that.
    let materialised = storage.table(&table.name).await?;
    let Some(held) = Held::open(storage, source).await? else { return nothing(&shape, at) };
    let note = materialised.as_ref().and_then(MaterialisedTable::note).map(AsRef::as_ref);
    let basis = basis(note, &held, &catalog.table_definition(table));
    let offsets = match (at, basis) {
        (AsOf::Newest, Some(note)) => named(&note.next),
        (AsOf::Newest, None) => named(&held.next()),
        (AsOf::Time(time_us), _) => held.until(*time_us).await?,
        (AsOf::Offsets(offsets), _) => offsets.clone(),
    };
    check(&held, &offsets)?;
    let basis = basis.filter(|note| reaches(&held, &offsets, note));
    let to: Offsets = offsets.iter().map(|(id, to)| (id.clone(), *to)).collect();
    let ranges = OffsetRange::between(basis.map(|note| &note.next), &to);
    let shares = Shares { of: 0..1, all: 1 };
    let mut changes = Vec::new();
    if let Some((materialised, note)) = materialised.as_ref().zip(basis) {
        let shares = Shares { of: 0..note.shares, all: note.shares };
        changes = State::of(materialised, note).await?.changes(&shape, &shares, ranges.is_empty()).await?;
    }
    changes.extend(gathered(&held, &shape, &ranges, shares, GATHERED_BYTES, TooMany::Keep).await?.changes);
    let (columns, logs) = (shape.change_columns(), held.logs.clone());
    let read = move || shape.as_read(settled(changes, &columns, &logs)?.rows);
    Ok(TableRows { offsets, rows: rows::compute("read rows", held.archive.path(), read).await? })
}

/// Whether nothing that the note stands for lies at or beyond the offsets.
fn reaches(held: &Held, offsets: &BTreeMap<PartitionId, i64>, note: &Note) -> bool {
    note.next.iter().all(|(id, next)| {
        let begin = held.facts.partition(id).map_or(next, |known| known.begin);
        next <= offsets.get(id).copied().unwrap_or(begin)
    })
}

/// Refuses offsets that the archive has not reached.
fn check(held: &Held, offsets: &BTreeMap<PartitionId, i64>) -> Result<(), TableError> {
    for (partition, wanted) in offsets {
        let archived = held.facts.partition(partition).map_or(0, |known| known.next);
        if *wanted > archived {
            return Err(TableError::NotArchived { partition: partition.clone(), wanted: *wanted, archived });
        }
    }
    Ok(())
}

/// The rows of a table of which nothing was ever archived: none, if no record is asked for.
fn nothing(shape: &Shape, at: &AsOf) -> Result<TableRows, TableError> {
    let offsets = match at {
        AsOf::Newest | AsOf::Time(_) => BTreeMap::new(),
        AsOf::Offsets(offsets) => offsets.clone(),
    };
    if let Some((partition, wanted)) = offsets.iter().find(|(_, wanted)| **wanted > 0) {
        return Err(TableError::NotArchived { partition: partition.clone(), wanted: *wanted, archived: 0 });
    }
    Ok(TableRows { offsets, rows: shape.no_rows() })
}

fn named(offsets: &Offsets) -> BTreeMap<PartitionId, i64> {
    offsets.iter().map(|(id, offset)| (id.clone(), offset)).collect()
}
