//! Which columns of an archive are read, whatever each of its files calls them.

use platform::store::{DataFile, GroupReader, StoreError};
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION, TIMESTAMP, field_column, record_columns};
use shared_logic::schema::Field as SourceField;
use storage::{Archive, Decoded};

use super::place_columns;

/// Some columns of an archive: where a row lies and whether it is an event, others of the record, and fields by their names.
pub(crate) struct Picked<'a> {
    archive: &'a Archive,
    /// The columns that the table declares.
    declared: Schema,
    record: Vec<&'static str>,
    fields: Vec<&'a SourceField>,
}

/// A row group, and how its columns become those that are picked.
pub(crate) struct PickedGroup {
    group: GroupReader,
    columns: Vec<Expr>,
}

impl<'a> Picked<'a> {
    /// Picks columns of the record, and the fields that `wanted` accepts.
    ///
    /// # Errors
    /// If the archive's log cannot be read.
    pub(crate) fn new(
        archive: &'a Archive,
        source: &'a Source,
        record: &[&'static str],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Picked<'a>, StoreError> {
        let fields = source.fields.iter().filter(|field| wanted(&field.name)).collect();
        Ok(Picked { archive, declared: archive.columns()?, record: record.to_vec(), fields })
    }

    /// The row groups of a file that `may_hold` does not refuse. The file is one of those of
    /// [`files`](crate::archive_rows::files).
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) async fn groups(
        &self,
        file: &DataFile,
        may_hold: impl Fn(&DataFile) -> bool,
    ) -> Result<Vec<PickedGroup>, StoreError> {
        let is_decoded = Decoded::is_of(file);
        let (mut read, mut columns) = (place_columns(), [LOG, PARTITION, OFFSET, ERROR].map(col).to_vec());
        for (name, dtype) in record_columns().into_iter().filter(|(name, _)| self.record.contains(&name.as_str())) {
            // As fields are: in microseconds.
            let column = if name == TIMESTAMP { col(TIMESTAMP).cast(DataType::Int64) } else { col(name.clone()) };
            columns.push(column);
            read.with_column(name, dtype);
        }
        for field in &self.fields {
            let name =
                if is_decoded { PlSmallStr::from(field.name.as_str()) } else { field_column(field, &self.declared) };
            columns.push(col(name.clone()).alias(field.name.as_str()));
            read.with_column(name, field.kind.column_type());
        }
        let groups = self.archive.row_groups(file, &read, may_hold).await?;
        Ok(groups.into_iter().map(|group| PickedGroup { group, columns: columns.clone() }).collect())
    }
}

impl PickedGroup {
    /// How many rows it has.
    pub(crate) fn rows(&self) -> u64 {
        self.group.rows() as u64
    }

    /// Reads the rows that `filter` accepts, and returns what `then` makes of them.
    ///
    /// # Errors
    /// If the group cannot be read, or `then` fails.
    pub(crate) async fn read<T: Send + 'static>(
        self,
        filter: Expr,
        then: impl FnOnce(DataFrame) -> PolarsResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let PickedGroup { group, columns } = self;
        group.read(move |rows| then(rows.lazy().filter(filter).select(columns).collect()?)).await
    }
}
