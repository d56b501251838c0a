//! A file of the archive → the same file, with empty rows in the place of erased records.

use std::sync::Arc;

use platform::store::{DataFile, RowGroups, StoreError};
use shared_logic::catalog::Source;
use storage::Archive;

use crate::archive_rows::erased::{Places, emptied};
use crate::archive_rows::{event_time_column, ranged, rules_of};
use crate::rows::RowsError;

/// Writes the copy, a row group at a time. It belongs to the archive once it is committed. Rules, day and all other rows stay.
///
/// # Errors
/// If the file cannot be read, or the copy cannot be written.
pub(super) async fn copy(
    archive: &Archive,
    source: &Source,
    file: &DataFile,
    places: Places,
) -> Result<DataFile, RowsError> {
    let (columns, places) = (archive.columns()?, Arc::new(places));
    let rules = rules_of(archive, &archive.facts(), &source.rules(), file)?;
    let failed = |source| StoreError::Frame { operation: "empty rows", table: archive.path().to_owned(), source };
    let mut copied = RowGroups::new(&columns, &ranged(&event_time_column(source, Some(&columns)))).map_err(failed)?;
    for group in archive.row_groups(file, &columns, |_| true).await? {
        let (places, rules) = (Arc::clone(&places), rules.clone());
        let added = group.read(move |rows| {
            copied.push(emptied(rows, &rules, &places)?)?;
            Ok(copied)
        });
        copied = added.await?;
    }
    Ok(archive.write_groups(&file.partition, copied).await?)
}
