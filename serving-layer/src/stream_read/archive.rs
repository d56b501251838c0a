//! The archived outputs of a stream, at one version of its archive.
//!
//! Files that were decoded under the stream's rules are judged by their columns, a row group at a time: first by those that decide
//! alone, and only where a row is wanted by all. The records of other files are decoded from their bytes (R11), unless a reconcile
//! has kept what they decode to.
//!
//! - `rows`: rows → outputs.

mod rows;

use std::cmp::Reverse;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use platform::store::{DataFile, StoreError};
use polars::prelude::*;
use shared_logic::catalog::{RulesHash, Source};
use shared_logic::contracts::archive::{ERROR, Facts, LOG, OFFSET, PARTITION, field_column};
use shared_logic::log::OffsetRange;
use shared_logic::time::TimeRange;
use storage::{Archive, Decoded};

use super::newest::Newest;
use super::output::OutputReader;
use super::question::{Filter, Question};
use rows::{Columns, of_bytes};

pub(super) use rows::Row;

/// How many files of a question are read at the same time, one row group of each.
const FILES_AT_ONCE: usize = 4;

/// Which rows are wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    pub(super) times: TimeRange,
    /// Where they lie; `None`: anywhere.
    pub(super) ranges: Option<Vec<OffsetRange>>,
}

/// Reads rows of one version of an archive.
pub(super) struct ArchiveScan<'a> {
    archive: &'a Archive,
    facts: &'a Facts,
    source: &'a Source,
    rules: RulesHash,
    wanted: Wanted,
    /// The columns that the table declares.
    declared: Schema,
}

/// A file that may hold wanted rows.
pub(super) struct ScanFile {
    file: DataFile,
    judged_by: JudgedBy,
    /// No row of it is newer.
    newest_us: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum JudgedBy {
    Columns,
    Bytes,
}

/// The newest outputs that a question asks for.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn newest(
    archive: &Archive,
    facts: &Facts,
    source: &Source,
    question: &Question,
) -> Result<Newest, StoreError> {
    let wanted = Wanted { filter: question.filter.clone(), times: question.times, ranges: None };
    let scan = ArchiveScan::new(archive, facts, source, wanted)?;
    let files = scan.files().await?;
    let mut newest = Newest::new(question.limit);
    let read = |file| scan.newest_of(file, question.limit).boxed();
    let reads: Vec<BoxFuture<'_, Result<Newest, StoreError>>> = files.iter().map(read).collect();
    let mut reads = stream::iter(reads).buffered(FILES_AT_ONCE);
    // The files follow each other by their newest rows: once the next one has none that is wanted, no later one has.
    for file in &files {
        if !newest.may_take(file.newest_us) {
            break;
        }
        let Some(read) = reads.next().await else { break };
        newest.merge(read?);
    }
    Ok(newest)
}

impl<'a> ArchiveScan<'a> {
    /// Nothing is read yet. `facts` are those of the archive's version.
    ///
    /// # Errors
    /// If the archive's log cannot be read.
    pub(super) fn new(
        archive: &'a Archive,
        facts: &'a Facts,
        source: &'a Source,
        wanted: Wanted,
    ) -> Result<ArchiveScan<'a>, StoreError> {
        let declared = archive.columns()?;
        Ok(ArchiveScan { archive, facts, source, rules: source.rules(), wanted, declared })
    }

    /// The files that may hold wanted rows, the one with the newest row first.
    ///
    /// # Errors
    /// If the archive's log cannot be read.
    pub(super) async fn files(&self) -> Result<Vec<ScanFile>, StoreError> {
        let mut files = Vec::new();
        for file in self.archive.files().await? {
            if !self.may_lie_in(&file) {
                continue;
            }
            if self.archive.rules_of(self.facts, &self.rules, &file)? == self.rules {
                files.push((file, JudgedBy::Columns));
            } else if let Some(decoded) = self.archive.decoded(&self.rules, &file).await? {
                files.extend(decoded.into_iter().map(|file| (file, JudgedBy::Columns)));
            } else {
                files.push((file, JudgedBy::Bytes));
            }
        }
        files.retain(|(file, judged_by)| *judged_by == JudgedBy::Bytes || self.may_hold(file, self.is_decoded(file)));
        let with_newest = |(file, judged_by): (DataFile, JudgedBy)| {
            let range = file.ranges.get(self.time_column(self.is_decoded(&file)).as_str());
            // What other rules made of a record says nothing of its time.
            let range = range.filter(|_| judged_by == JudgedBy::Columns);
            ScanFile { newest_us: range.map_or(i64::MAX, |(_, newest)| *newest), judged_by, file }
        };
        let mut files: Vec<ScanFile> = files.into_iter().map(with_newest).collect();
        files.sort_by_key(|file| Reverse(file.newest_us));
        Ok(files)
    }

    /// Shows each wanted row of a file, the last ones of each row group first, and returns what was made of them.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) async fn visit<T: Send + 'static>(
        &self,
        file: &ScanFile,
        mut made: T,
        take: impl Fn(&mut T, Row<'_>) + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        match file.judged_by {
            JudgedBy::Columns => self.visit_columns(&file.file, made, take).await,
            JudgedBy::Bytes => {
                let columns = rows::bytes();
                for group in self.archive.row_groups(&file.file, &columns, |part| self.may_lie_in(part)).await? {
                    let (reader, wanted, take) = (OutputReader::new(self.source), self.wanted.clone(), take.clone());
                    let read = group.read(move |rows| {
                        of_bytes(&rows, reader, &wanted, |row| take(&mut made, row))?;
                        Ok(made)
                    });
                    made = read.await?;
                }
                Ok(made)
            }
        }
    }

    async fn newest_of(&self, file: &ScanFile, limit: usize) -> Result<Newest, StoreError> {
        let take = |newest: &mut Newest, row: Row<'_>| {
            if newest.may_take(row.time_us) {
                newest.offer(row.into_output());
            }
        };
        self.visit(file, Newest::new(limit), take).await
    }

    async fn visit_columns<T: Send + 'static>(
        &self,
        file: &DataFile,
        mut made: T,
        take: impl Fn(&mut T, Row<'_>) + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let is_decoded = self.is_decoded(file);
        let (columns, condition) = (self.columns(is_decoded), self.condition(is_decoded));
        let may_hold = |part: &DataFile| self.may_hold(part, is_decoded);
        for group in self.archive.row_groups(file, &columns.deciding, may_hold).await? {
            let whole = group.as_columns(&columns.all);
            if !self.wanted.filter.is_empty() {
                let condition = condition.clone();
                let is_wanted = group.read(move |rows| Ok(rows.lazy().filter(condition).collect()?.height() > 0));
                if !is_wanted.await? {
                    continue;
                }
            }
            let (condition, columns, take) = (condition.clone(), columns.clone(), take.clone());
            let read = whole.read(move |rows| {
                columns.each(&rows.lazy().filter(condition).collect()?, |row| take(&mut made, row))?;
                Ok(made)
            });
            made = read.await?;
        }
        Ok(made)
    }

    /// The columns by which rows of a file are read.
    fn columns(&self, is_decoded: bool) -> Columns {
        // Of rows of these rules, bytes are missing only where facts say so.
        let lacks_bytes = self.facts.columns_only().next().is_some();
        let column = |field: usize| self.column(field, is_decoded);
        Columns::new(self.source, &self.wanted.filter, lacks_bytes, column)
    }

    /// Which rows of a file that is judged by its columns are wanted.
    fn condition(&self, is_decoded: bool) -> Expr {
        let TimeRange { from_us, to_us } = self.wanted.times;
        let time = col(self.time_column(is_decoded));
        let in_time = time.clone().gt_eq(lit(from_us)).and(time.lt(lit(to_us)));
        let of_fields = self.wanted.filter.conditions(|field| self.column(field, is_decoded));
        let condition = of_fields.fold(col(ERROR).is_null().and(in_time), Expr::and);
        let in_range = |range: &OffsetRange| {
            let offset = col(OFFSET);
            let is_of = col(LOG).eq(lit(range.id.log.clone())).and(col(PARTITION).eq(lit(range.id.partition)));
            is_of.and(offset.clone().gt_eq(lit(range.from))).and(offset.lt(lit(range.to)))
        };
        match &self.wanted.ranges {
            None => condition,
            Some(ranges) => condition.and(ranges.iter().map(in_range).fold(lit(false), Expr::or)),
        }
    }

    /// Whether a part of a file that is judged by its columns may hold wanted rows.
    fn may_hold(&self, part: &DataFile, is_decoded: bool) -> bool {
        let TimeRange { from_us, to_us } = self.wanted.times;
        self.may_lie_in(part)
            && part.may_hold(&self.time_column(is_decoded), from_us, to_us - 1)
            && self.wanted.filter.may_be_held(part, |field| self.column(field, is_decoded))
    }

    /// Whether a part of a file may hold rows where they are wanted.
    fn may_lie_in(&self, part: &DataFile) -> bool {
        let may_lie_in = |range: &OffsetRange| {
            let partition = range.id.partition.into();
            part.may_hold_text(LOG, &range.id.log)
                && part.may_hold(PARTITION, partition, partition)
                && part.may_hold(OFFSET, range.from, range.to - 1)
        };
        self.wanted.ranges.as_ref().is_none_or(|ranges| ranges.iter().any(may_lie_in))
    }

    fn is_decoded(&self, file: &DataFile) -> bool {
        Decoded::is_of(file)
    }

    /// The column of a field. In what is kept beside the table, columns have the fields' names.
    fn column(&self, field: usize, is_decoded: bool) -> String {
        let field = &self.source.fields[field];
        if is_decoded { field.name.clone() } else { field_column(field, &self.declared).to_string() }
    }

    fn time_column(&self, is_decoded: bool) -> String {
        self.column(rows::place(self.source, &self.source.event_time), is_decoded)
    }
}
