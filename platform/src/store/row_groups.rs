//! A file read one row group at a time, so that memory is bounded by a group, however large the file is.

use std::collections::{HashSet, VecDeque};
use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use object_store::ObjectStore;
use polars::prelude::*;

use super::{DataFile, StoreError, Table, parquet};

/// The row groups of one file that may hold what is wanted, read one after the other.
pub struct RowGroups {
    store: Arc<dyn ObjectStore>,
    table: String,
    file: DataFile,
    columns: Schema,
    description: FileMetadataRef,
    /// The numbers of the groups that are not read yet.
    left: VecDeque<usize>,
    /// The file, if it is so small that it was read whole.
    whole: Option<Vec<u8>>,
}

impl Table {
    /// Columns of a file, cast to the given types, one row group at a time. A column that the file lacks is null.
    ///
    /// Groups that `may_hold` refuses are skipped. It sees each of them as if it were a file, with the ranges of all its integer
    /// columns and instants.
    ///
    /// # Errors
    /// If the file's description cannot be read.
    pub async fn row_groups(
        &self,
        file: &DataFile,
        columns: &Schema,
        may_hold: impl Fn(&DataFile) -> bool,
    ) -> Result<RowGroups, StoreError> {
        RowGroups::of(self.objects(), self.path(), file, columns, may_hold).await
    }
}

impl RowGroups {
    pub(super) async fn of(
        store: Arc<dyn ObjectStore>,
        table: &str,
        file: &DataFile,
        columns: &Schema,
        may_hold: impl Fn(&DataFile) -> bool,
    ) -> Result<RowGroups, StoreError> {
        let bytes = parquet::described(&store, file).await.map_err(|source| cannot_read(table, file, source))?;
        let mut reader = ParquetReader::new(Cursor::new(&bytes));
        let description = reader.get_metadata().cloned().map_err(|source| cannot_decode(table, source))?;
        drop(reader);
        let groups = 0..description.row_groups.len();
        let left = groups.filter(|group| may_hold(&as_file(file, &description, *group))).collect();
        Ok(RowGroups {
            store,
            table: table.to_owned(),
            file: file.clone(),
            columns: columns.clone(),
            description,
            left,
            whole: parquet::is_small(file).then_some(bytes),
        })
    }

    /// The rows of the next group; `None` after the last.
    ///
    /// # Errors
    /// If the group cannot be read.
    pub async fn next(&mut self) -> Result<Option<DataFrame>, StoreError> {
        let Some(group) = self.left.pop_front() else { return Ok(None) };
        let bytes = match &self.whole {
            Some(whole) => whole.clone(),
            None => self.fetch(group).await.map_err(|source| cannot_read(&self.table, &self.file, source))?,
        };
        // The reader gets the description of a file of this group alone.
        let mut description = self.description.as_ref().clone();
        description.row_groups = description.row_groups.into_iter().skip(group).take(1).collect();
        description.num_rows = description.row_groups.iter().map(|group| group.num_rows()).sum();
        let columns = self.columns.clone();
        let decode = move || {
            let mut reader = ParquetReader::new(Cursor::new(bytes));
            reader.set_metadata(Arc::new(description));
            parquet::selected(reader, &columns)
        };
        let rows = crate::task::blocking(decode).await;
        rows.map(Some).map_err(|source| cannot_decode(&self.table, source))
    }

    /// Reads the wanted columns of a group. The bytes of everything else are zero, and take no memory.
    async fn fetch(&self, group: usize) -> Result<Vec<u8>, object_store::Error> {
        let mut bytes = vec![0; usize::try_from(self.file.size).unwrap_or_default()];
        let wanted: HashSet<&str> = self.columns.iter_names().map(|name| name.as_str()).collect();
        let chunks = self.description.row_groups[group].parquet_columns().iter();
        let of_wanted = chunks.filter(|chunk| {
            chunk.descriptor().path_in_schema.first().is_some_and(|name| wanted.contains(name.as_str()))
        });
        let end = bytes.len() as u64;
        let ranges: Vec<Range<u64>> =
            of_wanted.map(|chunk| chunk.byte_range()).filter(|range| range.end <= end).collect();
        parquet::fill(&self.store, &self.file, &mut bytes, &ranges).await?;
        Ok(bytes)
    }
}

/// A row group as if it were a file: its rows, and the ranges of its integer columns and instants.
fn as_file(file: &DataFile, description: &FileMetadataRef, group: usize) -> DataFile {
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
