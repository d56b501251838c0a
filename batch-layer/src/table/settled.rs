//! Changes → the rows that they leave, and what besides has to be kept (B1).

use polars::prelude::*;
use shared_logic::contracts::table::{CHANGED_AT, IS_DELETED, KEY, LOG, OFFSET, PARTITION};
use shared_logic::table::{LogOrder, Placed, settle};

/// What changes leave.
#[derive(Debug)]
pub(super) struct Left {
    /// The changes that are rows, by ascending keys.
    pub(super) rows: DataFrame,
    /// The deletes, and the last changes of keys in partitions that do not decide.
    pub(super) others: DataFrame,
}

impl Left {
    /// Both, as changes.
    ///
    /// # Errors
    /// If they have other columns.
    pub(super) fn into_changes(self) -> PolarsResult<DataFrame> {
        self.rows.vstack(&self.others)
    }
}

/// What some changes leave, in whatever frames they lie.
///
/// # Errors
/// If a column is missing or has another type.
pub(super) fn settled(frames: Vec<DataFrame>, columns: &Schema, logs: &LogOrder) -> PolarsResult<Left> {
    let frames: Vec<LazyFrame> = frames.into_iter().map(IntoLazy::lazy).collect();
    let changes = if frames.is_empty() {
        DataFrame::empty_with_schema(columns)
    } else {
        concat(frames, UnionArgs::default())?.collect()?
    };
    let keys: Vec<&str> = changes.column(KEY)?.str()?.iter().map(Option::unwrap_or_default).collect();
    let settled = settle(&keys, &places(&changes, logs)?);
    let deletes: Vec<bool> =
        changes.column(IS_DELETED)?.bool()?.iter().map(|is_deleted| is_deleted.unwrap_or_default()).collect();
    let is_delete = |change: &IdxSize| deletes[*change as usize];
    let (deleted, rows): (Vec<IdxSize>, Vec<IdxSize>) = settled.decide.into_iter().partition(is_delete);
    let others = [deleted, settled.others].concat();
    let taken = |positions: Vec<IdxSize>| changes.take(&IdxCa::from_vec(KEY.into(), positions));
    Ok(Left { rows: taken(rows)?, others: taken(others)? })
}

fn places(changes: &DataFrame, logs: &LogOrder) -> PolarsResult<Vec<Placed>> {
    let (log, partition) = (changes.column(LOG)?.str()?, changes.column(PARTITION)?.i32()?);
    let (offset, changed_at) = (changes.column(OFFSET)?.i64()?, changes.column(CHANGED_AT)?.i64()?);
    let mut last: Option<(&str, u32)> = None;
    let mut places = Vec::with_capacity(changes.height());
    for (((log, partition), offset), timestamp_us) in
        log.iter().zip(partition.iter()).zip(offset.iter()).zip(changed_at.iter())
    {
        let name = log.unwrap_or_default();
        // Changes of one log lie together.
        let log = last.filter(|(same, _)| *same == name).map_or_else(|| logs.number(name), |(_, number)| number);
        last = Some((name, log));
        places.push(Placed {
            timestamp_us: timestamp_us.unwrap_or_default(),
            log,
            partition: partition.unwrap_or_default(),
            offset: offset.unwrap_or_default(),
        });
    }
    Ok(places)
}
