//! A file read one row group at a time, so that memory is bounded by a few groups, however large the file is.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use polars::io::parquet::metadata::{FileMetadata, FileMetadataRef};
use polars::prelude::*;

use super::{DataFile, StoreError, Table, parquet};

/// Reads one row group of a file. The groups that Braid writes have at most about 131,072 rows.
pub struct GroupReader {
    file: Arc<Described>,
    number: usize,
}

/// A file of which the description is read.
#[derive(Clone)]
struct Described {
    store: Arc<dyn ObjectStore>,
    table: String,
    file: DataFile,
    /// The columns that are wanted.
    columns: Schema,
    description: FileMetadataRef,
    /// The file, if it is so small that it was read whole.
    whole: Option<Bytes>,
}

impl Table {
    /// The row groups of a file, to be read as those columns in the given types. A column that the file lacks is null.
    ///
    /// Groups that `may_hold` refuses are left out. It sees each of them as if it were a file, with the ranges of all its integer
    /// columns and instants.
    ///
    /// # Errors
    /// If the file's description cannot be read.
    pub async fn row_groups(
        &self,
        file: &DataFile,
        columns: &Schema,
        may_hold: impl Fn(&DataFile) -> bool,
    ) -> Result<Vec<GroupReader>, StoreError> {
        of_file(self.objects(), self.path(), file, columns, may_hold).await
    }
}

/// The row groups of a file in that store, as [`Table::row_groups`] returns them.
pub(super) async fn of_file(
    store: Arc<dyn ObjectStore>,
    table: &str,
    file: &DataFile,
    columns: &Schema,
    may_hold: impl Fn(&DataFile) -> bool,
) -> Result<Vec<GroupReader>, StoreError> {
    let end = parquet::fetch_end(&store, file).await.map_err(|source| cannot_read(table, file, source))?;
    let description = parquet::described(&end).map_err(|source| cannot_decode(table, source))?;
    let groups = 0..description.row_groups.len();
    let wanted: Vec<usize> = groups.filter(|group| may_hold(&as_file(file, &description, *group))).collect();
    let whole = parquet::is_small(file).then_some(end);
    let (table, file, columns) = (table.to_owned(), file.clone(), columns.clone());
    let file = Arc::new(Described { store, table, file, columns, description, whole });
    Ok(wanted.into_iter().map(|number| GroupReader { file: Arc::clone(&file), number }).collect())
}

impl GroupReader {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.file.description.row_groups[self.number].num_rows()
    }

    /// Reads the same group as other columns.
    pub fn as_columns(&self, columns: &Schema) -> GroupReader {
        let file = Described { columns: columns.clone(), ..Described::clone(&self.file) };
        GroupReader { file: Arc::new(file), number: self.number }
    }

    /// Reads the group, and returns what `then` makes of its rows, on a thread that may block.
    ///
    /// # Errors
    /// If the group cannot be read, or `then` fails.
    pub async fn read<T: Send + 'static>(
        self,
        then: impl FnOnce(DataFrame) -> PolarsResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let GroupReader { file, number } = self;
        let description = file.description_of(number);
        let bytes = match &file.whole {
            Some(whole) => whole.clone(),
            None => file.fetch(&description).await.map_err(|source| cannot_read(&file.table, &file.file, source))?,
        };
        let columns = file.columns.clone();
        let decode = move || then(parquet::decoded(bytes, Some(description), &columns)?);
        crate::task::blocking(decode).await.map_err(|source| cannot_decode(&file.table, source))
    }
}

impl Described {
    /// The description of a file that has this group alone.
    fn description_of(&self, number: usize) -> FileMetadataRef {
        if self.description.row_groups.len() == 1 {
            return Arc::clone(&self.description);
        }
        let group = &self.description.row_groups[number];
        Arc::new(FileMetadata {
            num_rows: group.num_rows(),
            row_groups: vec![group.clone()],
            ..FileMetadata::clone(&self.description)
        })
    }

    /// Reads the wanted columns of the groups that are described.
    async fn fetch(&self, description: &FileMetadata) -> Result<Bytes, object_store::Error> {
        let wanted: HashSet<String> = self.columns.iter_names().map(ToString::to_string).collect();
        parquet::fetch_columns(&self.store, &self.file, description, &wanted).await
    }
}

/// A row group as if it were a file: its rows, and the ranges of its integer columns and instants.
fn as_file(file: &DataFile, description: &FileMetadata, group: usize) -> DataFile {
    let group = &description.row_groups[group];
    let mut ranges = file.ranges.clone();
    for chunk in group.parquet_columns() {
        let range = chunk.statistics(&description.footer_buf).and_then(Result::ok).and_then(|statistics| {
            let long = statistics.as_int64().and_then(|range| range.min_value.zip(range.max_value));
            let int = statistics.as_int32().and_then(|range| range.min_value.zip(range.max_value));
            long.or(int.map(|(low, high)| (low.into(), high.into())))
        });
        if let (Some(name), Some(range)) = (chunk.descriptor().path_in_schema.first(), range) {
            ranges.insert(name.to_string(), range);
        }
    }
    DataFile { rows: group.num_rows() as u64, ranges, ..file.clone() }
}

fn cannot_read(table: &str, file: &DataFile, source: object_store::Error) -> StoreError {
    let (file, table) = (file.path.clone(), table.to_owned());
    StoreError::File { operation: "read", file, table, source: Box::new(source) }
}

fn cannot_decode(table: &str, source: PolarsError) -> StoreError {
    StoreError::Frame { operation: "decode rows", table: table.to_owned(), source }
}
