//! Changes as frames, whether they come from the archive, from the table, or from beside it.
//!
//! A change has its key as text, where it lies, its timestamp, whether it is a delete, and the declared fields, which are null in a
//! delete. Instants are integers.

use std::ops::Range;

use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive;
use shared_logic::contracts::table::{CHANGED_AT, IS_DELETED, KEY, LOG, OFFSET, PARTITION, slice_of};
use shared_logic::schema::{Field as SourceField, FieldType, INSTANT};
use shared_logic::table::TableDecoder;

/// The columns of the record of a change, besides its place, that are read in the archive.
pub(super) const OF_RECORDS: [&str; 2] = [archive::TIMESTAMP, archive::KEY];

/// Some slices, if keys are divided into so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slices {
    pub(super) of: Range<u32>,
    pub(super) all: u32,
}

impl Slices {
    /// The rows whose keys are in them.
    pub(super) fn among(&self, changes: &DataFrame) -> PolarsResult<DataFrame> {
        if self.of == (0..self.all) {
            return Ok(changes.clone());
        }
        let keys = changes.column(KEY)?.str()?;
        let wanted = keys.iter().map(|key| key.is_some_and(|key| self.of.contains(&slice_of(key, self.all))));
        changes.filter(&wanted.collect::<BooleanChunked>())
    }
}

/// What the changes of one table look like.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    decoder: TableDecoder,
    /// The declared fields.
    fields: Vec<SourceField>,
    /// Which of them is the key.
    key: PlSmallStr,
    /// What the field is called that has the time of the change.
    changed_at: PlSmallStr,
}

impl Shape {
    /// That of the table that this source is.
    pub(super) fn of(source: &Source) -> Shape {
        let (key, changed_at) = (source.key.as_deref().unwrap_or_default().into(), source.event_time.as_str().into());
        let fields = source.fields.iter().filter(|field| field.name != source.event_time).cloned().collect();
        Shape { decoder: TableDecoder::new(source), fields, key, changed_at }
    }

    /// The columns of the table, without its partition column.
    pub(super) fn columns(&self) -> Schema {
        let fields = self.fields.iter().map(|field| (field.name.as_str().into(), field.kind.table_type()));
        fields.chain(places(INSTANT)).map(|(name, dtype)| Field::new(name, dtype)).collect()
    }

    /// The columns of the table in memory.
    pub(super) fn row_columns(&self) -> Schema {
        self.in_memory(places(DataType::Int64))
    }

    /// The columns of changes, as they lie beside the table.
    pub(super) fn change_columns(&self) -> Schema {
        let own = std::iter::once((KEY.into(), DataType::String)).chain(places(DataType::Int64));
        self.in_memory(own.chain([(IS_DELETED.into(), DataType::Boolean)]))
    }

    fn in_memory(&self, own: impl Iterator<Item = (PlSmallStr, DataType)>) -> Schema {
        let fields = self.fields.iter().map(|field| (field.name.as_str().into(), field.kind.column_type()));
        own.chain(fields).map(|(name, dtype)| Field::new(name, dtype)).collect()
    }

    /// Archived records, which are rows and deletes, as changes.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub(super) fn of_records(&self, records: &DataFrame) -> PolarsResult<DataFrame> {
        let (errors, written) = (records.column(archive::ERROR)?.str()?, records.column(archive::KEY)?.binary()?);
        let of_rows = records.column(&self.key)?.cast(&DataType::String)?;
        let of_rows = of_rows.str()?;
        let key = |row: usize| match errors.get(row) {
            // What a row says of its key, its record says, too.
            None => of_rows.get(row).map(str::to_owned),
            Some(_) => self.decoder.key(written.get(row)),
        };
        let keys: StringChunked = (0..records.height()).map(key).collect();
        let are_deleted: BooleanChunked = errors.iter().map(|error| error.is_some()).collect();
        let named =
            |from: &str, to: &str| -> PolarsResult<Column> { Ok(records.column(from)?.clone().with_name(to.into())) };
        let mut columns = vec![
            keys.with_name(KEY.into()).into_column(),
            named(archive::LOG, LOG)?,
            named(archive::PARTITION, PARTITION)?,
            named(archive::OFFSET, OFFSET)?,
            named(archive::TIMESTAMP, CHANGED_AT)?,
            are_deleted.with_name(IS_DELETED.into()).into_column(),
        ];
        for field in &self.fields {
            columns.push(records.column(&field.name)?.clone());
        }
        DataFrame::new(records.height(), columns)
    }

    /// Rows of the table as changes.
    pub(super) fn of_rows(&self, rows: LazyFrame) -> LazyFrame {
        let own = [
            col(self.key.clone()).cast(DataType::String).alias(KEY),
            col(LOG),
            col(PARTITION),
            col(OFFSET),
            col(CHANGED_AT),
            lit(false).alias(IS_DELETED),
        ];
        rows.select(own.into_iter().chain(self.fields()).collect::<Vec<Expr>>())
    }

    /// What lies beside the table, as changes.
    pub(super) fn of_others(&self, others: LazyFrame) -> LazyFrame {
        let columns = self.change_columns();
        others.select(columns.iter_names().map(|name| col(name.clone())).collect::<Vec<Expr>>())
    }

    /// Changes that are rows, as the table has them.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub(super) fn as_rows(&self, changes: DataFrame) -> PolarsResult<DataFrame> {
        let instant = |field: &SourceField| match field.kind {
            FieldType::Timestamp => col(field.name.as_str()).cast(INSTANT),
            _ => col(field.name.as_str()),
        };
        let own = [col(LOG), col(PARTITION), col(OFFSET), col(CHANGED_AT).cast(INSTANT)];
        changes.lazy().select(self.fields.iter().map(instant).chain(own).collect::<Vec<Expr>>()).collect()
    }

    /// Changes that are rows, as they are read: the fields of the source, ascending by key.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub(super) fn as_read(&self, changes: DataFrame) -> PolarsResult<DataFrame> {
        let changed_at = col(CHANGED_AT).alias(self.changed_at.clone());
        let rows = changes.lazy().select(self.fields().chain([changed_at]).collect::<Vec<Expr>>());
        rows.sort([self.key.clone()], SortMultipleOptions::default()).collect()
    }

    /// No rows, as they are read.
    pub(super) fn no_rows(&self) -> DataFrame {
        let fields = self.fields.iter().map(|field| (field.name.as_str().into(), field.kind.column_type()));
        let all = fields.chain([(self.changed_at.clone(), DataType::Int64)]);
        DataFrame::empty_with_schema(&all.map(|(name, dtype)| Field::new(name, dtype)).collect::<Schema>())
    }

    /// Whether it is one of the fields that are read in the archive.
    pub(super) fn reads(&self, field: &str) -> bool {
        self.fields.iter().any(|declared| declared.name == field)
    }

    fn fields(&self) -> impl Iterator<Item = Expr> {
        self.fields.iter().map(|field| col(field.name.as_str()))
    }
}

/// Where a change lies, and its timestamp.
fn places(instant: DataType) -> impl Iterator<Item = (PlSmallStr, DataType)> {
    let columns =
        [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64), (CHANGED_AT, instant)];
    columns.into_iter().map(|(name, dtype)| (name.into(), dtype))
}
