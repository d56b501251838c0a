//! Which records of a file are erased: events that the condition selects, as the source's rules decode them, and invalid records and
//! deletes that hold a text; and, of the outputs of a map, those that were made of erased records.
//!
//! Of a file of these rules, only the columns that the condition reads are read, a row group at a time. The records of any other
//! file are decoded again (R11), a file at a time. What stays is counted: invalid records, which have no fields, and records
//! of other rules whose bytes were not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::store::{DataFile, StoreError};
use polars::prelude::*;
use shared_logic::catalog::{OUTPUT_ID, Source, origin_of};
use shared_logic::contracts::archive::{
    ERROR, HEADERS, KEY, LOG, OFFSET, PARTITION, RAW, field_column, is_reject, record_columns,
};
use shared_logic::rejection::Reason;
use shared_logic::schema::Field as SourceField;
use shared_logic::time::{HOUR_US, bucket_start, day_of, format_day};
use storage::{Archive, Schemas};

use super::condition::Condition;
use crate::archive_rows::erased::Places;
use crate::archive_rows::{Redecoded, place_columns, redecode, rules_of};
use crate::rows::{self, RowsError};

/// What is found in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Where the selected records lie.
    pub(super) places: Places,
    /// The hours in which they happened, by event day: their starts in microseconds since 1970.
    pub(super) hours: BTreeMap<String, BTreeSet<i64>>,
    /// How many invalid records are not selected.
    pub(super) invalid: u64,
    /// How many records cannot be decoded, as their bytes were not kept.
    pub(super) without_bytes: u64,
}

impl Found {
    /// Adds what is found in another file, or in another part of this.
    pub(super) fn add(&mut self, other: Found) {
        self.places.extend(other.places);
        for (day, hours) in other.hours {
            self.hours.entry(day).or_default().extend(hours);
        }
        self.invalid += other.invalid;
        self.without_bytes += other.without_bytes;
    }
}

/// Looks for the selected events of a file.
///
/// # Errors
/// If the file cannot be read, or a schema that its records name cannot be looked up.
pub(super) async fn in_file(
    archive: &Archive,
    source: &Source,
    schemas: &Schemas,
    condition: &Condition,
    file: &DataFile,
) -> Result<Found, RowsError> {
    let rules = source.rules();
    if rules_of(archive, &archive.facts(), &rules, file)? == rules {
        Ok(as_it_is(archive, condition, file).await?)
    } else {
        decoded(archive, source, schemas, condition, file).await
    }
}

/// Of a file of the source's own rules.
async fn as_it_is(archive: &Archive, condition: &Condition, file: &DataFile) -> Result<Found, StoreError> {
    let declared = archive.columns()?;
    let judge = Arc::new(Judge::new(condition, |field| field_column(field, &declared)));
    let mut found = Found::default();
    for group in archive.row_groups(file, &judge.read, |_| true).await? {
        let judge = Arc::clone(&judge);
        found.add(group.read(move |rows| judge.of(rows)).await?);
    }
    Ok(found)
}

/// Of a file of other rules.
async fn decoded(
    archive: &Archive,
    source: &Source,
    schemas: &Schemas,
    condition: &Condition,
    file: &DataFile,
) -> Result<Found, RowsError> {
    let Redecoded { days, without_bytes, .. } = redecode(archive, source, schemas, file, None).await?;
    let judge = Arc::new(Judge::new(condition, |field| field.name.as_str().into()));
    let mut found = Found { without_bytes: without_bytes as u64, ..Found::default() };
    for (_, rows) in days {
        let judge = Arc::clone(&judge);
        found.add(rows::compute("find events", archive.path(), move || judge.of(rows)).await?);
    }
    Ok(found)
}

/// Says of rows which of them are selected.
struct Judge {
    /// The columns that are read, in the types in which they are read.
    read: Schema,
    /// How they become the fields that the condition reads.
    columns: Vec<Expr>,
    condition: Option<Expr>,
    /// Where the records lie that caused selected outputs.
    made_of: Option<Arc<Places>>,
    event_time: String,
    /// What selected invalid records hold.
    invalid_with: Option<String>,
}

impl Judge {
    fn new(condition: &Condition, column_of: impl Fn(&SourceField) -> PlSmallStr) -> Judge {
        let (mut read, mut columns) = (place_columns(), [LOG, PARTITION, OFFSET].map(col).to_vec());
        for field in condition.fields() {
            let (name, kind) = (column_of(field), field.kind.column_type());
            columns.push(col(name.clone()).cast(kind.clone()).alias(field.name.as_str()));
            read.with_column(name, kind);
        }
        let invalid_with = condition.invalid_with().map(str::to_owned);
        if invalid_with.is_some() {
            let content = [KEY, HEADERS, RAW];
            for (name, kind) in record_columns().into_iter().filter(|(name, _)| content.contains(&name.as_str())) {
                read.with_column(name, kind);
            }
        }
        let event_time = condition.event_time().to_owned();
        let made_of = condition.made_of().cloned();
        Judge { read, columns, condition: condition.to_polars(), made_of, event_time, invalid_with }
    }

    fn of(&self, rows: DataFrame) -> PolarsResult<Found> {
        let are_kept = |error: &&str| has_no_fields(error);
        let invalid = rows.column(ERROR)?.str()?.iter().flatten().filter(are_kept).count() as u64;
        let mut places = match &self.invalid_with {
            Some(text) => invalid_holding(&rows, text)?,
            None => Places::default(),
        };
        let invalid = invalid - places.len() as u64;
        let events = rows.lazy().filter(col(ERROR).is_null()).select(self.columns.clone()).collect()?;
        let made_of = self.made_of.as_ref().map(|places| caused_by(&events, places)).transpose()?;
        let by_fields =
            self.condition.clone().map(|condition| events.lazy().filter(condition).collect()).transpose()?;
        let mut hours: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for selected in by_fields.into_iter().chain(made_of) {
            for time in selected.column(&self.event_time)?.i64()?.iter().flatten() {
                hours.entry(format_day(day_of(time))).or_default().insert(bucket_start(time, HOUR_US));
            }
            places.extend(Places::of(&selected)?);
        }
        Ok(Found { places, hours, invalid, without_bytes: 0 })
    }
}

/// Whether a row with that error has bytes, and no fields that a condition could read: it is a reject, or the delete of a table.
fn has_no_fields(error: &str) -> bool {
    is_reject(error) || error == Reason::Delete.name()
}

/// The outputs that were caused by records at these places.
fn caused_by(outputs: &DataFrame, places: &Places) -> PolarsResult<DataFrame> {
    let is_caused =
        |id: &str| origin_of(id).is_some_and(|(log, partition, offset)| places.hold(log, partition, offset));
    let ids = outputs.column(OUTPUT_ID)?.str()?;
    let mask: BooleanChunked = ids.iter().map(|id| id.is_some_and(is_caused)).collect();
    outputs.filter(&mask)
}

/// Where invalid records, and deletes, lie whose key, payload or headers hold the text.
fn invalid_holding(rows: &DataFrame, text: &str) -> PolarsResult<Places> {
    let (error, headers) = (rows.column(ERROR)?.str()?, rows.column(HEADERS)?.str()?);
    let (key, raw) = (rows.column(KEY)?.binary()?, rows.column(RAW)?.binary()?);
    let is_in = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    let holds = |row: usize| {
        let content = [key.get(row), raw.get(row), headers.get(row).map(str::as_bytes)];
        let is_invalid = error.get(row).is_some_and(has_no_fields);
        is_invalid && content.into_iter().flatten().any(is_in)
    };
    let mask: BooleanChunked = (0..rows.height()).map(holds).collect();
    Places::of(&rows.filter(&mask)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_selected_by_what_caused_them() {
        let erased = df!(LOG => ["abc"], PARTITION => [3], OFFSET => [7_i64]).expect("columns");
        let places = Places::of(&erased).expect("places");
        let ids = [
            "large/v1/abc/3/7/0",
            "large/v1/abc/3/8/0",
            "large/v1/abc/2/7/0",
            "large/v1/xyz/3/7/0",
            "large/v2/abc/3/7/1",
        ];
        let outputs = df!(OUTPUT_ID => ids.map(Some).into_iter().chain([None]).collect::<Vec<Option<&str>>>());
        let found = caused_by(&outputs.expect("a column"), &places).expect("judged");
        let found: Vec<&str> = found.column(OUTPUT_ID).expect("there").str().expect("texts").iter().flatten().collect();
        assert_eq!(found, [ids[0], ids[4]], "of whatever generation");
    }
}
