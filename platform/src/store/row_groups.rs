//! A file read one row group at a time, so that memory is bounded by a few groups, however large the file is.

use std::collections::HashSet;
use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use polars::prelude::*;

use super::{DataFile, StoreError, Table, parquet};

/// A row group of a file that is not read yet.
pub struct RowGroup {
    file: Arc<Described>,
    number: usize,
}

/// A file of which the description is read.
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
    ) -> Result<Vec<RowGroup>, StoreError> {
        let (store, table) = (self.objects(), self.path().to_owned());
        let bytes = match parquet::described(&store, file).await {
            Ok(bytes) => Bytes::from(bytes),
            Err(source) => return Err(cannot_read(&table, file, source)),
        };
        let description = ParquetReader::new(Cursor::new(bytes.clone())).get_metadata().cloned();
        let description = description.map_err(|source| cannot_decode(&table, source))?;
        let groups = 0..description.row_groups.len();
        let wanted: Vec<usize> = groups.filter(|group| may_hold(&as_file(file, &description, *group))).collect();
        let (file, columns) = (file.clone(), columns.clone());
        let whole = parquet::is_small(&file).then_some(bytes);
        let file = Arc::new(Described { store, table, file, columns, description, whole });
        Ok(wanted.into_iter().map(|number| RowGroup { file: Arc::clone(&file), number }).collect())
    }
}

impl RowGroup {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.file.description.row_groups[self.number].num_rows()
    }

    /// Reads it, and returns what `then` makes of its rows, on a thread that may block.
    ///
    /// # Errors
    /// If the group cannot be read, or `then` fails.
    pub async fn read<T: Send + 'static>(
        self,
        then: impl FnOnce(DataFrame) -> PolarsResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let RowGroup { file, number } = self;
        let bytes = match &file.whole {
            Some(whole) => whole.clone(),
            None => file.fetch(number).await.map_err(|source| cannot_read(&file.table, &file.file, source))?,
        };
        let decoding = Arc::clone(&file);
        let decode = move || {
            let mut reader = ParquetReader::new(Cursor::new(bytes));
            reader.set_metadata(Arc::new(decoding.description_of(number)));
            then(parquet::selected(reader, &decoding.columns)?)
        };
        crate::task::blocking(decode).await.map_err(|source| cannot_decode(&file.table, source))
    }
}

impl Described {
    /// The description of a file that has this group alone.
    fn description_of(&self, number: usize) -> FileMetadata {
        let mut description = self.description.as_ref().clone();
        description.row_groups = description.row_groups.into_iter().skip(number).take(1).collect();
        description.num_rows = description.row_groups.iter().map(|group| group.num_rows()).sum();
        description
    }

    /// Reads the wanted columns of a group. The bytes of everything else are zero, and take no memory.
    async fn fetch(&self, number: usize) -> Result<Bytes, object_store::Error> {
        let mut bytes = vec![0; usize::try_from(self.file.size).unwrap_or_default()];
        let wanted: HashSet<&str> = self.columns.iter_names().map(|name| name.as_str()).collect();
        let chunks = self.description.row_groups[number].parquet_columns().iter();
        let of_wanted = chunks.filter(|chunk| {
            chunk.descriptor().path_in_schema.first().is_some_and(|name| wanted.contains(name.as_str()))
        });
        let end = bytes.len() as u64;
        let ranges: Vec<Range<u64>> =
            of_wanted.map(|chunk| chunk.byte_range()).filter(|range| range.end <= end).collect();
        parquet::fill(&self.store, &self.file, &mut bytes, &ranges).await?;
        Ok(bytes.into())
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
