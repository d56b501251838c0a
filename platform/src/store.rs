//! The object store: Delta tables on local disk or in a bucket.
//!
//! A table is a folder of Parquet files and a log of numbered commits. A commit is a put-if-absent of the next number, so one
//! of two writers wins and the other plans again: an overwrite needs exactly that, and not a built-in retry. Every commit may
//! carry a *note* (Delta domain metadata) in the same atomic write as its rows.
//!
//! - `table`: opening, refreshing, listing files, reading notes;
//! - `data_file`: a file, and the ranges of its columns;
//! - `commit`: one commit, all or nothing;
//! - `parquet`: frames to files and back;
//! - `beside`: files beside a table, which belong to no version of it.

mod beside;
mod commit;
mod data_file;
mod parquet;
mod table;

use std::collections::HashMap;
use std::path::PathBuf;

use deltalake::{DeltaTableBuilder, DeltaTableError};
use polars::prelude::{PolarsError, Schema};
use url::Url;

pub use self::commit::{Commit, Committed};
pub use self::data_file::DataFile;
pub use self::table::Table;
use crate::settings;

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The setting `store.url` is neither a folder nor a URL.
    #[error("store.url {url:?} is neither a folder nor an object store's URL: {why}")]
    BadUrl {
        /// The setting's value.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Reading or writing a table's log failed.
    #[error("cannot {operation} of table {table}")]
    Delta {
        /// The operation, as a verb.
        operation: &'static str,
        /// The table's path below the deployment's root.
        table: String,
        /// The cause.
        source: Box<DeltaTableError>,
    },
    /// Reading or writing a file failed.
    #[error("cannot {operation} {file} of table {table}")]
    File {
        /// The operation, as a verb.
        operation: &'static str,
        /// The file, relative to the table.
        file: String,
        /// The table's path below the deployment's root.
        table: String,
        /// The cause.
        source: Box<deltalake::ObjectStoreError>,
    },
    /// A frame could not be written or read as Parquet.
    #[error("cannot {operation} of table {table}")]
    Frame {
        /// The operation, as a verb.
        operation: &'static str,
        /// The table's path below the deployment's root.
        table: String,
        /// The cause.
        source: PolarsError,
    },
    /// The table holds something that Braid does not write.
    #[error("table {table} holds {what} that Braid did not write; is another program writing to it?")]
    Foreign {
        /// The table's path below the deployment's root.
        table: String,
        /// What was found.
        what: String,
    },
}

/// The root below which every table of one deployment lies.
#[derive(Debug, Clone)]
pub struct Store {
    root: Url,
    options: HashMap<String, String>,
}

impl Store {
    /// The store of the settings, for the deployment of that name. Its tables lie in `<store.url>/<name>`, so deployments with
    /// the same `store.url` share none. A plain path is a folder, which is created.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`].
    pub fn new(settings: &settings::Store, name: &str) -> Result<Store, StoreError> {
        let bad = |why: String| StoreError::BadUrl { url: settings.url.clone(), why };
        let mut root = if settings.url.contains("://") && !settings.url.starts_with("file://") {
            Url::parse(&settings.url).map_err(|error| bad(error.to_string()))?
        } else {
            let path = PathBuf::from(settings.url.trim_start_matches("file://"));
            std::fs::create_dir_all(&path).map_err(|error| bad(error.to_string()))?;
            let path = path.canonicalize().map_err(|error| bad(error.to_string()))?;
            Url::from_directory_path(&path).map_err(|()| bad("not an absolute path".to_owned()))?
        };
        let prefix = format!("{}/{name}/", root.path().trim_end_matches('/'));
        root.set_path(&prefix);
        let options = settings.options.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Ok(Store { root, options })
    }

    /// Opens a table at its newest version; `None` if it does not exist.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open(&self, path: &str) -> Result<Option<Table>, StoreError> {
        let delta =
            |operation| move |source| StoreError::Delta { operation, table: path.to_owned(), source: Box::new(source) };
        let mut table = DeltaTableBuilder::from_url(self.table_url(path)?)
            .map_err(delta("open the log"))?
            .with_storage_options(self.options.clone())
            .build()
            .map_err(delta("open the log"))?;
        if !table.verify_deltatable_existence().await.map_err(delta("look for the log"))? {
            return Ok(None);
        }
        table.load().await.map_err(delta("load the log"))?;
        Ok(Some(Table::new(path, table)))
    }

    /// Opens a table, and creates it first if it does not exist. If two create it at once, one wins and both open it.
    ///
    /// `schema` is the columns of its files; `partition` is one more column, of text, and a file holds rows of one of its values.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn open_or_create(&self, path: &str, schema: &Schema, partition: &str) -> Result<Table, StoreError> {
        if let Some(table) = self.open(path).await? {
            return Ok(table);
        }
        let url = self.table_url(path)?;
        commit::create(&url, &self.options, path, schema, partition).await?;
        self.open(path).await?.ok_or_else(|| StoreError::Foreign {
            table: path.to_owned(),
            what: "no log although it was just created".to_owned(),
        })
    }

    fn table_url(&self, path: &str) -> Result<Url, StoreError> {
        let bad = |why: url::ParseError| StoreError::BadUrl { url: self.root.to_string(), why: why.to_string() };
        let url = self.root.join(&format!("{path}/")).map_err(bad)?;
        if let Ok(folder) = url.to_file_path() {
            std::fs::create_dir_all(&folder)
                .map_err(|error| StoreError::BadUrl { url: url.to_string(), why: error.to_string() })?;
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests;
