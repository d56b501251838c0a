//! The archived records of one partition, in the order of their offsets, as lanes take them.
//!
//! The archive's files lie by event days, so the records of some offsets may lie in any of them. They are read in portions: some
//! offsets of all files together, as many as fit into memory. What was expected to fit and does not is cut at the offset up to which it
//! does, and the next portion begins there.

use std::sync::Arc;

use platform::store::StoreError;
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERROR, HEADERS, KEY, OFFSET, RAW, TIMESTAMP, headers_of};
use shared_logic::contracts::stream::{mark_of, upstream_of};
use shared_logic::dedup::Sighting;
use shared_logic::identity::Identity;
use shared_logic::log::OffsetRange;
use shared_logic::rejection::Reason;
use shared_logic::stream::{LanePlan, MarkRecord, Originals, Records};

use super::held::Held;
use super::rejected::{as_events, may_be_outputs};
use crate::archive_rows::picked::Picked;
use crate::archive_rows::{may_hold, within};
use crate::rows::{self, RowsError};

/// How many records are handed on at a time.
pub(super) const GIVEN_ROWS: usize = 16_384;
/// What a record takes in memory, about, as long as nothing else is known.
const ROW_BYTES: usize = 512;

/// What is read of each record.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The fields.
    fields: Vec<String>,
    /// Whether the bytes of records are read, too.
    originals: bool,
    /// Whether a re-keying map writes the source, so that there are marks, and records name their upstream partition.
    rekeyed: bool,
    /// Whether all outputs of a stream are read, those too that its readers reject.
    outputs: bool,
}

/// Reads the records of one partition.
pub(super) struct Reading<'a> {
    held: &'a Held,
    picked: Picked<'a>,
    source: Arc<Source>,
    shape: Arc<Shape>,
    /// What is not read yet.
    range: OffsetRange,
    /// The next offset that is handed on.
    next: i64,
    /// How many bytes a portion may take.
    memory: usize,
    /// How many offsets the next portion is to have, and at most.
    step: i64,
    step_max: i64,
    portion: Option<Portion>,
    /// How many rows were read so far, wanted or not.
    pub(super) rows_read: u64,
}

/// The records of some offsets, in order.
struct Portion {
    rows: DataFrame,
    /// How many were handed on.
    given: usize,
    /// The offset behind all of them.
    to: i64,
}

impl Shape {
    /// What a lane needs.
    pub(super) fn of_lane(plan: &LanePlan, source: &Source) -> Shape {
        let Shape { mut fields, .. } = Shape::of_identities(source);
        fields.extend(plan.columns().iter().chain(&source.key).cloned());
        fields.sort_unstable();
        fields.dedup();
        Shape { fields, originals: plan.keeps_originals(), rekeyed: source.rekeyed, outputs: false }
    }

    /// Who the events are, and nothing else.
    pub(super) fn of_identities(source: &Source) -> Shape {
        let mut fields: Vec<String> = source.event_id.iter().chain([&source.event_time]).cloned().collect();
        fields.sort_unstable();
        fields.dedup();
        Shape { fields, originals: false, rekeyed: false, outputs: false }
    }

    /// Which outputs a stream has written, and these fields of them: texts, flags and instants.
    pub(super) fn of_outputs(stream: &Source, others: impl Iterator<Item = String>) -> Shape {
        let mut shape = Shape { outputs: true, ..Shape::of_identities(stream) };
        shape.fields.extend(others);
        shape.fields.sort_unstable();
        shape.fields.dedup();
        shape
    }

    /// The columns of a record that are read besides.
    fn record(&self) -> Vec<&'static str> {
        let mut record = vec![TIMESTAMP];
        if self.originals {
            record.extend([KEY, RAW]);
        }
        if self.outputs {
            record.push(RAW);
        }
        if self.rekeyed {
            record.push(HEADERS);
        }
        record
    }

    /// Accepts events, and the marks between them.
    fn filter(&self, range: &OffsetRange) -> Expr {
        let is_event = if self.outputs { may_be_outputs() } else { col(ERROR).is_null() };
        let is_taken = if self.rekeyed { is_event.or(col(ERROR).eq(lit(Reason::Mark.name()))) } else { is_event };
        is_taken.and(within(std::slice::from_ref(range)))
    }

    /// What is kept of the rows that it accepts, in the order of their offsets.
    fn kept(&self) -> impl FnOnce(DataFrame) -> PolarsResult<DataFrame> + Send + use<> {
        let of_outputs = self.outputs;
        move |rows| in_order(if of_outputs { as_events(rows)?.drop(RAW)? } else { rows })
    }
}

impl<'a> Reading<'a> {
    /// Reads the records of a range, with about so many bytes of them in memory.
    ///
    /// # Errors
    /// If the archive's log cannot be read.
    pub(super) fn new(
        held: &'a Held,
        range: OffsetRange,
        shape: Shape,
        memory: usize,
    ) -> Result<Reading<'a>, StoreError> {
        let wanted = |name: &str| shape.fields.iter().any(|field| field == name);
        let picked = Picked::new(&held.archive, &held.source, &shape.record(), wanted)?;
        let step = i64::try_from((memory / ROW_BYTES).max(1)).unwrap_or(i64::MAX);
        Ok(Reading {
            held,
            picked,
            source: Arc::new(held.source.clone()),
            shape: Arc::new(shape),
            next: range.from,
            range,
            memory,
            step,
            step_max: step,
            portion: None,
            rows_read: 0,
        })
    }

    /// The next records, of which there may be none; `None` at the end of the range.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) async fn next(&mut self) -> Result<Option<Records>, RowsError> {
        let mut portion = match self.portion.take() {
            Some(portion) => portion,
            None if self.range.from >= self.range.to => return Ok(None),
            None => self.read().await?,
        };
        let rows = portion.rows.slice(portion.given as i64, GIVEN_ROWS);
        portion.given += rows.height();
        let is_last = portion.given >= portion.rows.height();
        let to = if is_last { portion.to } else { self.offset(&portion.rows, portion.given)? };
        let range = self.next..to;
        self.next = to;
        self.portion = (!is_last).then_some(portion);
        let (source, shape) = (Arc::clone(&self.source), Arc::clone(&self.shape));
        let table = self.held.archive.path();
        rows::compute("read records", table, move || records(&rows, range, &source, &shape)).await.map(Some)
    }

    /// Reads the records of the next offsets.
    async fn read(&mut self) -> Result<Portion, RowsError> {
        let mut range = self.range.clone();
        range.to = range.to.min(range.from.saturating_add(self.step));
        let (wanted, mut gathered, mut bytes) = (range.to, Vec::new(), 0);
        let held = self.held;
        for file in &held.files {
            if !may_hold(file, std::slice::from_ref(&range)) {
                continue;
            }
            let groups = self.picked.groups(file, |part| may_hold(part, std::slice::from_ref(&range))).await?;
            for group in groups {
                self.rows_read += group.rows();
                let rows = group.read(self.shape.filter(&range), self.shape.kept()).await?;
                bytes += rows::bytes_of(&rows).map_err(|source| self.failed(source))?;
                gathered.push(rows);
                if bytes > self.memory {
                    let cut = rows::compute("cut records", held.archive.path(), move || halved(gathered));
                    let (rows, to) = cut.await?;
                    bytes = rows::bytes_of(&rows).map_err(|source| self.failed(source))?;
                    range.to = to.unwrap_or(range.to);
                    gathered = vec![rows];
                }
            }
        }
        let put = rows::compute("put records in order", held.archive.path(), move || joined(gathered));
        let rows = put.await?;
        self.step = if range.to < wanted {
            (range.to - range.from).max(1)
        } else {
            self.step.saturating_mul(2).min(self.step_max)
        };
        self.range.from = range.to;
        Ok(Portion { rows, given: 0, to: range.to })
    }

    fn offset(&self, rows: &DataFrame, row: usize) -> Result<i64, RowsError> {
        let offset = rows.column(OFFSET).and_then(|column| Ok(column.i64()?.get(row).unwrap_or_default()));
        Ok(offset.map_err(|source| self.failed(source))?)
    }

    fn failed(&self, source: PolarsError) -> StoreError {
        StoreError::Frame { operation: "read records", table: self.held.archive.path().to_owned(), source }
    }
}

/// Rows in the order of their offsets. What is left out does not stay in memory.
fn in_order(rows: DataFrame) -> PolarsResult<DataFrame> {
    rows.sort([OFFSET], SortMultipleOptions::default())
}

fn joined(mut frames: Vec<DataFrame>) -> PolarsResult<DataFrame> {
    match frames.len() {
        0 => Ok(DataFrame::empty()),
        1 => Ok(frames.remove(0)),
        _ => {
            let frames: Vec<LazyFrame> = frames.into_iter().map(IntoLazy::lazy).collect();
            in_order(concat(frames, UnionArgs::default())?.collect()?)
        }
    }
}

/// The first half of the rows, and the offset at which the other half begins; all of them if they have one offset.
fn halved(frames: Vec<DataFrame>) -> PolarsResult<(DataFrame, Option<i64>)> {
    let rows = joined(frames)?;
    let offsets = rows.column(OFFSET)?.i64()?;
    let Some(to) = offsets.get(rows.height() / 2).filter(|to| offsets.get(0).is_some_and(|first| first < *to)) else {
        return Ok((rows, None));
    };
    let kept = offsets.iter().take_while(|offset| offset.is_some_and(|offset| offset < to)).count();
    let kept = rows.take(&IdxCa::from_vec(OFFSET.into(), (0..kept as IdxSize).collect()))?;
    Ok((kept, Some(to)))
}

/// Rows as records of that range of offsets.
fn records(rows: &DataFrame, range: std::ops::Range<i64>, source: &Source, shape: &Shape) -> PolarsResult<Records> {
    let (from, to) = (range.start, range.end);
    if rows.height() == 0 {
        return Ok(Records { from, to, ..Records::default() });
    }
    let is_event: BooleanChunked = rows.column(ERROR)?.str()?.iter().map(|error| error.is_none()).collect();
    let events = rows.filter(&is_event)?;
    let offsets: Vec<i64> = events.column(OFFSET)?.i64()?.iter().map(Option::unwrap_or_default).collect();
    let sightings = match source.event_id.as_slice() {
        [] => Vec::new(),
        event_id => {
            let identities = Identity::of_columns(&events, event_id, &source.event_time)?;
            let sighting = |(identity, offset): (Identity, &i64)| Sighting { identity, offset: *offset };
            identities.into_iter().zip(&offsets).map(sighting).collect()
        }
    };
    let mut records = Records {
        from,
        to,
        record_times_us: events.column(TIMESTAMP)?.i64()?.iter().collect(),
        sightings,
        originals: if shape.originals { originals(&events)? } else { Originals::default() },
        offsets,
        ..Records::default()
    };
    if shape.rekeyed {
        let headers = events.column(HEADERS)?.str()?.iter();
        records.upstreams = headers
            .map(|text| {
                let headers = headers_of(text.unwrap_or_default());
                upstream_of(headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())))
            })
            .collect();
        records.marks = marks(rows)?;
    }
    records.events = events.select(shape.fields.iter().map(String::as_str))?;
    Ok(records)
}

fn originals(events: &DataFrame) -> PolarsResult<Originals> {
    let (keys, payloads) = (events.column(KEY)?.binary()?, events.column(RAW)?.binary()?);
    let mut originals = Originals::default();
    for (key, payload) in keys.iter().zip(payloads.iter()) {
        originals.push(key, payload.unwrap_or_default());
    }
    Ok(originals)
}

/// The marks among rows. A record without a payload that holds none says nothing.
fn marks(rows: &DataFrame) -> PolarsResult<Vec<MarkRecord>> {
    let (errors, headers) = (rows.column(ERROR)?.str()?, rows.column(HEADERS)?.str()?);
    let (offsets, timestamps) = (rows.column(OFFSET)?.i64()?, rows.column(TIMESTAMP)?.i64()?);
    let mark = |row: usize| {
        let headers = headers_of(headers.get(row)?);
        let mark = mark_of(headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())))?;
        Some(MarkRecord { offset: offsets.get(row)?, record_time_us: timestamps.get(row), mark })
    };
    Ok((0..rows.height()).filter(|row| errors.get(*row).is_some()).filter_map(mark).collect())
}
