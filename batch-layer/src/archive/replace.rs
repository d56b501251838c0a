//! Rows that were archived again, under the source's rules, in place of those that the rules cannot decode (R11).
//!
//! One commit takes out every file that holds a row to be replaced, adds the new rows, and notes in the facts that they are
//! decodable. Other rows of a file that is taken out are added again as they were. Until then the new rows belong to no
//! version of the archive, so a process that is killed leaves orphans only.

use platform::store::{Committed, DataFile};
use polars::prelude::{col, lit};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::RULES;
use shared_logic::log::OffsetRange;
use storage::Archive;

use crate::archive_rows::digest::{self, RecordsDigest};
use crate::archive_rows::{self, event_time_column, may_hold, ranged, within};
use crate::rows::{self, RowsError};

/// Records that were read again.
#[derive(Debug, Default)]
pub(crate) struct ReadAgain {
    /// Their rows, in files that belong to no version of the archive yet.
    pub(crate) files: Vec<DataFile>,
    /// Which records they are.
    pub(crate) digest: RecordsDigest,
    /// How many commits had erased records when the reading began. Those records are left empty.
    pub(crate) erased_parts: usize,
}

/// What became of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// It is that version of the archive.
    At(u64),
    /// Another writer committed first, or records were erased after they were read. Nothing changed.
    Conflict,
    /// The records that were read again are not those that were archived. Nothing changed.
    OtherRecords,
}

/// Replaces all rows in those ranges, which are all that the source's rules cannot decode, by what was read again of them.
///
/// # Errors
/// If the archive cannot be read or written.
pub(crate) async fn replace(
    archive: &mut Archive,
    source: &Source,
    ranges: &[OffsetRange],
    again: &ReadAgain,
) -> Result<Replacement, RowsError> {
    let mut facts = archive.facts();
    // What was erased since then would come back with the rows that were read before.
    if facts.erased_parts() != again.erased_parts {
        return Ok(Replacement::Conflict);
    }
    if !facts.archive_again(ranges, &source.decoding_rules(), archive.version() + 1) {
        return Ok(Replacement::Conflict);
    }
    let (mut removed, mut kept, mut archived) = (Vec::new(), Vec::new(), RecordsDigest::default());
    for file in archive.files().await?.into_iter().filter(|file| may_hold(file, ranges)) {
        let (wanted, others) = digest::of_file(archive, &file, ranges).await?;
        if wanted.records == 0 {
            continue;
        }
        archived = archived.and(wanted);
        if others > 0 {
            kept.push(other_rows(archive, source, &file, ranges).await?);
        }
        removed.push(file);
    }
    if !archived.is_same(&again.digest) {
        return Ok(Replacement::OtherRecords);
    }
    let added = again.files.iter().cloned().chain(kept);
    let commit = archive.begin("ARCHIVE AGAIN").adding(added).removing(removed);
    platform::failpoints::pass("archive::before_replacing");
    Ok(match archive.commit(commit, Some(facts)).await? {
        Committed::At(version) => Replacement::At(version),
        Committed::Conflict => Replacement::Conflict,
    })
}

/// Writes the rows of a file that lie in none of the ranges, as they are, as a file of their own.
async fn other_rows(
    archive: &Archive,
    source: &Source,
    file: &DataFile,
    ranges: &[OffsetRange],
) -> Result<DataFile, RowsError> {
    let rules = archive_rows::rules_of(archive, &archive.facts(), &source.rules(), file)?;
    let columns = archive.columns()?;
    let rows = archive.read(std::slice::from_ref(file), &columns).await?.filter(within(ranges).not());
    let named = rows.with_column(col(RULES).fill_null(lit(rules.as_str())));
    let frame = rows::compute("keep other rows", archive.path(), move || named.collect()).await?;
    Ok(archive.write(&file.partition, frame, &ranged(&event_time_column(source, Some(&columns)))).await?)
}
