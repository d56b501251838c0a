//! Changes as frames, whether they come from the archive, from the table, or from beside it.
//!
//! A change has its key as text, where it lies, its timestamp, whether it is a delete, and the declared fields, which are null in a
//! delete. Instants are integers.

use std::ops::Range;
use std::sync::Arc;

use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive;
use shared_logic::contracts::table::{self as written, CHANGED_AT, IS_DELETED, KEY, LOG, OFFSET, PARTITION, share_of};
use shared_logic::decode::RecordKey;
use shared_logic::rejection::Reason;
use shared_logic::schema::{Field as SourceField, FieldType, INSTANT};

/// The columns of the record of a change, besides its place, that are read in the archive.
pub(super) const OF_RECORDS: [&str; 2] = [archive::TIMESTAMP, archive::KEY];

/// Which archived records are changes: rows and deletes.
pub(super) fn is_change() -> Expr {
    col(archive::ERROR).is_null().or(col(archive::ERROR).eq(lit(Reason::Delete.name())))
}

/// Some shares, if keys are divided into so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) of: Range<u32>,
    pub(super) all: u32,
}

impl Shares {
    /// The rows whose keys are in them.
    pub(super) fn among(&self, changes: &DataFrame) -> PolarsResult<DataFrame> {
        if self.of == (0..self.all) {
            return Ok(changes.clone());
        }
        let keys = changes.column(KEY)?.str()?;
        let wanted = keys.iter().map(|key| key.is_some_and(|key| self.of.contains(&share_of(key, self.all))));
        changes.filter(&wanted.collect::<BooleanChunked>())
    }
}

/// What the changes of one table look like.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    source: Arc<Source>,
    /// How records are keyed.
    keys: RecordKey,
    /// The field that is the key.
    key: PlSmallStr,
}

impl Shape {
    /// That of the table that this source is.
    pub(super) fn of(source: &Source) -> Shape {
        let key = source.key.as_deref().unwrap_or_default().into();
        let keys = RecordKey::of(source).expect("a checked catalog declares the key of a table");
        Shape { source: Arc::new(source.clone()), keys, key }
    }

    /// The columns of the table, without its partition column.
    pub(super) fn columns(&self) -> Schema {
        written::columns(&self.source)
    }

    /// The columns of the table as they are read.
    pub(super) fn row_columns(&self) -> Schema {
        written::row_columns(&self.source)
    }

    /// The columns of changes, as they lie beside the table.
    pub(super) fn change_columns(&self) -> Schema {
        written::change_columns(&self.source)
    }

    /// Archived records, which are rows and deletes, as changes.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub(super) fn of_records(&self, records: &DataFrame) -> PolarsResult<DataFrame> {
        let (errors, own) = (records.column(archive::ERROR)?.str()?, records.column(archive::KEY)?.binary()?);
        let of_rows = records.column(&self.key)?.cast(&DataType::String)?;
        let of_rows = of_rows.str()?;
        let key = |row: usize| match errors.get(row) {
            // What a row says of its key, its record says, too.
            None => of_rows.get(row).map(str::to_owned),
            Some(_) => self.keys.text(own.get(row)),
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
        for field in written::declared(&self.source) {
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
        changes.lazy().select(written::declared(&self.source).map(instant).chain(own).collect::<Vec<Expr>>()).collect()
    }

    /// Changes that are rows, as they are read: the fields of the source, ascending by key.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub(super) fn as_read(&self, changes: DataFrame) -> PolarsResult<DataFrame> {
        let changed_at = col(CHANGED_AT).alias(self.source.event_time.as_str());
        let rows = changes.lazy().select(self.fields().chain([changed_at]).collect::<Vec<Expr>>());
        rows.sort([self.key.clone()], SortMultipleOptions::default()).collect()
    }

    /// No rows, as they are read.
    pub(super) fn no_rows(&self) -> DataFrame {
        let fields = self.source.fields.iter().map(|field| (field.name.as_str(), field.kind.column_type()));
        DataFrame::empty_with_schema(&fields.map(|(name, dtype)| Field::new(name.into(), dtype)).collect::<Schema>())
    }

    /// Whether it is one of the fields that are read in the archive.
    pub(super) fn reads(&self, field: &str) -> bool {
        written::declared(&self.source).any(|declared| declared.name == field)
    }

    fn fields(&self) -> impl Iterator<Item = Expr> {
        written::declared(&self.source).map(|field| col(field.name.as_str()))
    }
}
