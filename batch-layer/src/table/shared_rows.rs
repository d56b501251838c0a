//! The rows of a materialised table at one version, share by share, and the keys of the changes behind it: what search indexes begin with,
//! and are compared with.

use std::collections::HashSet;
use std::sync::Arc;

use polars::prelude::*;
use shared_logic::contracts::table::{CHANGED_AT, KEY, LOG, Note, OFFSET, PARTITION};
use shared_logic::index::SLICES;
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::table::{Row, RowValue};
use storage::{MaterialisedTable, Storage};

use super::gathered::{TooMany, gathered};
use super::held::Held;
use super::shape::{Shape, Shares};
use super::state::State;
use super::subject::Subject;
use super::{GATHERED_BYTES, TableError};
use crate::rows::{self, RowsError};

/// How many rows are made into something at a time.
const AT_ONCE: usize = 5_000;

/// A materialised table at one version, divided into parts of which each is in memory as a whole.
pub(crate) struct SharedRows<'a> {
    state: State<'a>,
    shape: Shape,
    subject: &'a Subject,
    path: &'a str,
    shares: u32,
    /// How many parts there are: a power of two, at most as many as slices.
    pub(crate) parts: u32,
}

/// A row of a table.
#[derive(Debug)]
pub(crate) struct SharedRow {
    /// The key's text.
    pub(crate) id: String,
    /// The values of the fields of the subject's rows, without the last one, in their order.
    pub(crate) row: Row,
    /// Where its last change lies.
    pub(crate) log: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// The timestamp of that change; 0, if its record has none.
    pub(crate) timestamp_us: i64,
}

/// Rows of a part, from which things are made a few at a time.
pub(crate) struct PartRows<'a> {
    frame: DataFrame,
    subject: &'a Subject,
    path: &'a str,
    next: usize,
}

impl<'a> SharedRows<'a> {
    /// The rows of a table at the version of that note.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub(crate) async fn of(
        table: &'a MaterialisedTable,
        note: &Note,
        subject: &'a Subject,
    ) -> Result<SharedRows<'a>, TableError> {
        let (state, shape) = (State::of(table, note).await?, Shape::of(&subject.rows));
        let parts = note.shares.min(SLICES);
        Ok(SharedRows { state, shape, subject, path: table.path(), shares: note.shares, parts })
    }

    /// The slices of a part.
    pub(crate) fn slices(&self, part: u32) -> std::ops::Range<u32> {
        let each = SLICES / self.parts;
        part * each..(part + 1) * each
    }

    /// The rows of a part, in any order.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) async fn part(&self, part: u32) -> Result<PartRows<'a>, TableError> {
        let each = self.shares / self.parts;
        let shares = Shares { of: part * each..(part + 1) * each, all: self.shares };
        let frames = self.state.changes(&self.shape, &shares, true).await?;
        let columns = self.shape.change_columns();
        let together = move || -> PolarsResult<DataFrame> {
            let frames: Vec<LazyFrame> = frames.into_iter().map(IntoLazy::lazy).collect();
            if frames.is_empty() {
                return Ok(DataFrame::empty_with_schema(&columns));
            }
            concat(frames, UnionArgs::default())?.collect()
        };
        let frame = rows::compute("read rows", self.path, together).await?;
        Ok(PartRows { frame, subject: self.subject, path: self.path, next: 0 })
    }
}

impl PartRows<'_> {
    /// Makes something of each of the next rows; `None`: there are no more.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub(crate) async fn next<T: Send + 'static>(
        &mut self,
        make: &Arc<dyn Fn(SharedRow) -> T + Send + Sync>,
    ) -> Result<Option<Vec<T>>, RowsError> {
        if self.next >= self.frame.height() {
            return Ok(None);
        }
        let offset = i64::try_from(self.next).unwrap_or(i64::MAX);
        let (chunk, make) = (self.frame.slice(offset, AT_ONCE), Arc::clone(make));
        self.next += AT_ONCE;
        let fields: Vec<_> = self
            .subject
            .rows
            .fields
            .iter()
            .filter(|field| field.name != self.subject.rows.event_time)
            .cloned()
            .collect();
        let made = move || -> PolarsResult<Vec<T>> {
            let columns = fields.iter().map(|field| RowValue::of_column(chunk.column(&field.name)?, field.kind));
            let mut columns = columns.collect::<PolarsResult<Vec<Vec<Option<RowValue>>>>>()?;
            let (keys, logs) = (chunk.column(KEY)?.str()?, chunk.column(LOG)?.str()?);
            let (partitions, offsets) = (chunk.column(PARTITION)?.i32()?, chunk.column(OFFSET)?.i64()?);
            let timestamps = chunk.column(CHANGED_AT)?.i64()?;
            let row = |at: usize| {
                make(SharedRow {
                    id: keys.get(at).unwrap_or_default().to_owned(),
                    row: columns.iter_mut().map(|column| column[at].take()).collect(),
                    log: logs.get(at).unwrap_or_default().to_owned(),
                    partition: partitions.get(at).unwrap_or_default(),
                    offset: offsets.get(at).unwrap_or_default(),
                    timestamp_us: timestamps.get(at).unwrap_or_default(),
                })
            };
            Ok((0..chunk.height()).map(row).collect())
        };
        rows::compute("read rows", self.path, made).await.map(Some)
    }
}

/// The keys of the changes from some offsets on, up to others.
///
/// # Errors
/// [`TableError`].
pub(crate) async fn changed_keys(
    storage: &Storage,
    subject: &Subject,
    from: &Offsets,
    to: &Offsets,
) -> Result<HashSet<String>, TableError> {
    let ranges = OffsetRange::between(Some(from), to);
    if ranges.is_empty() {
        return Ok(HashSet::new());
    }
    let Some(held) = Held::open(storage, &subject.archived).await? else { return Ok(HashSet::new()) };
    let (shape, shares) = (Shape::of(&subject.rows), Shares { of: 0..1, all: 1 });
    let gathered = gathered(&held, &shape, &ranges, shares, GATHERED_BYTES, TooMany::Keep).await?;
    let keys = move || -> PolarsResult<HashSet<String>> {
        let mut keys = HashSet::new();
        for frame in &gathered.changes {
            keys.extend(frame.column(KEY)?.str()?.iter().flatten().map(str::to_owned));
        }
        Ok(keys)
    };
    Ok(rows::compute("read keys", held.archive.path(), keys).await?)
}
