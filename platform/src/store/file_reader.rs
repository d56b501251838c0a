//! A file that is read one row group after the other, for a reader whose memory must not grow with the file.

use std::collections::HashSet;
use std::sync::Arc;

use object_store::ObjectStore;
use polars::io::parquet::metadata::{FileMetadata, FileMetadataRef};
use polars::prelude::*;

use super::{DataFile, StoreError, parquet};

/// Columns of the rows of one file, a row group at a time. The groups that Braid writes have less than 524,288 rows.
pub struct FileReader {
    store: Arc<dyn ObjectStore>,
    table: String,
    file: DataFile,
    columns: Schema,
    /// What the file's end says of its groups, once it is read.
    described: Option<FileMetadataRef>,
    next: usize,
}

impl FileReader {
    pub(super) fn new(store: Arc<dyn ObjectStore>, table: &str, file: &DataFile, columns: &Schema) -> FileReader {
        let (table, file, columns) = (table.to_owned(), file.clone(), columns.clone());
        FileReader { store, table, file, columns, described: None, next: 0 }
    }

    /// The rows of the next group, cast to the given types; `None` after the last. A column that the file lacks is null.
    ///
    /// # Errors
    /// If the file cannot be read or decoded.
    pub async fn next(&mut self) -> Result<Option<DataFrame>, StoreError> {
        let described = match &self.described {
            Some(described) => Arc::clone(described),
            None => self.describe().await?,
        };
        let Some(group) = described.row_groups.get(self.next) else { return Ok(None) };
        let rows = group.num_rows();
        let group = FileMetadata { num_rows: rows, row_groups: vec![group.clone()], ..FileMetadata::clone(&described) };
        let wanted: HashSet<String> = self.columns.iter_names().map(ToString::to_string).collect();
        // What is not read stays zero, and takes memory only once it is touched.
        let nothing = vec![0; usize::try_from(self.file.size).unwrap_or_default()];
        let bytes = parquet::fetch_columns(&self.store, &self.file, &group, &wanted, nothing).await;
        let (bytes, columns) = (bytes.map_err(|source| self.unread(source))?, self.columns.clone());
        let decode = move || parquet::decoded(bytes, Some(Arc::new(group)), &columns);
        let frame = crate::task::blocking(decode).await.map_err(|source| self.undecoded(source))?;
        self.next += 1;
        Ok(Some(frame))
    }

    async fn describe(&mut self) -> Result<FileMetadataRef, StoreError> {
        let end = parquet::fetch_end(&self.store, &self.file).await.map_err(|source| self.unread(source))?;
        let described = parquet::described(&end).map_err(|source| self.undecoded(source))?;
        self.described = Some(Arc::clone(&described));
        Ok(described)
    }

    fn unread(&self, source: object_store::Error) -> StoreError {
        let (file, table) = (self.file.path.clone(), self.table.clone());
        StoreError::File { operation: "read", file, table, source: Box::new(source) }
    }

    fn undecoded(&self, source: PolarsError) -> StoreError {
        StoreError::Frame { operation: "decode rows", table: self.table.clone(), source }
    }
}
