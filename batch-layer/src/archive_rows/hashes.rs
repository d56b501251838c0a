//! The hashes of records that older builds archived (R12).

use polars::prelude::*;
use shared_logic::contracts::archive::{ERASED, ERROR, HASH, HEADERS, KEY, RAW};
use shared_logic::log::Content;

/// Gives a hash to each row that an older build wrote without one, if the record's bytes were kept. Takes rows with all
/// columns of a record.
pub(crate) fn filled(mut rows: DataFrame) -> PolarsResult<DataFrame> {
    if rows.column(HASH)?.null_count() > 0 {
        let hashes = hashes(&rows)?;
        rows.with_column(Column::new(HASH.into(), hashes))?;
    }
    Ok(rows)
}

fn hashes(rows: &DataFrame) -> PolarsResult<Vec<Option<i32>>> {
    let (archived, error) = (rows.column(HASH)?.i32()?, rows.column(ERROR)?.str()?);
    let (key, raw) = (rows.column(KEY)?.binary()?, rows.column(RAW)?.binary()?);
    let headers = rows.column(HEADERS)?.str()?;
    let of_bytes = |row: usize| {
        let (payload, is_invalid) = (raw.get(row), error.get(row).is_some_and(|error| error != ERASED));
        let content = Content { timestamp_us: None, key: key.get(row), payload, headers: headers.get(row) };
        // An invalid record without bytes has no payload. What an erased one had is not known any more.
        (payload.is_some() || is_invalid).then(|| content.short_hash())
    };
    Ok((0..rows.height()).map(|row| archived.get(row).or_else(|| of_bytes(row))).collect())
}
