//! Where a row of the archive lies, as columns and conditions of Polars.

use polars::prelude::*;
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION};
use shared_logic::log::OffsetRange;

/// The columns that say where a row lies and whether it is an event.
pub(super) fn place_columns() -> Schema {
    let columns =
        [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64), (ERROR, DataType::String)];
    columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect()
}

/// Accepts the rows whose offset lies in one of the ranges.
pub(super) fn within(ranges: &[OffsetRange]) -> Expr {
    let inside = |range: &OffsetRange| {
        let place = col(LOG).eq(lit(range.id.log.as_str())).and(col(PARTITION).eq(lit(range.id.partition)));
        place.and(col(OFFSET).gt_eq(lit(range.from))).and(col(OFFSET).lt(lit(range.to)))
    };
    ranges.iter().map(inside).reduce(Expr::or).unwrap_or_else(|| lit(false))
}
