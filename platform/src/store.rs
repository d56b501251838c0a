//! The object store: Delta tables on local disk or in an S3 bucket.
//!
//! A table is a folder of Parquet files and a log of numbered commits. A commit is a put-if-absent of the next number,
//! so one of two writers wins and the other plans again: an overwrite needs exactly that, and not a built-in retry.
//! Every commit may carry a *note* (Delta domain metadata) in the same atomic write as its rows, and carries a digest
//! of the table's files. On local disk, a commit is durable before it counts.
//!
//! - `table`: opening, refreshing, listing files, reading notes, committing; and in `table/cleaning`, what is deleted of it;
//! - `location`: where a table lies, and how deltalake gets at it;
//! - `medium`: local disk or an S3 bucket, and all in which these differ;
//! - `data_file`: a file, and the ranges of its columns;
//! - `commit`: one commit, all or nothing;
//! - `digest`: which files make up a table, in 64 bits;
//! - `parquet`: frames to files and back;
//! - `row_groups`: a file read one row group at a time;
//! - `durable`: local disk as an object store whose puts survive a power cut;
//! - `s3`: an S3 bucket as one whose commits are recognised if their reply was lost;
//! - `s3_file`: a file in an S3 bucket that belongs to no table, to be read;
//! - `s3_variables`: how another program finds the S3 bucket;
//! - `probe`: whether an S3 server can hold tables;
//! - `beside`: files beside a table, which belong to no version of it;
//! - `file_beside`: what is known of such a file;
//! - `folder`: files in a folder that holds no table;
//! - `torn`: log entries that did not survive one;
//! - `retention`: how long log entries and checkpoints are kept;
//! - `log_file`: how both are called.

mod beside;
mod commit;
mod data_file;
mod digest;
mod durable;
mod file_beside;
mod folder;
mod location;
mod log_file;
mod medium;
mod parquet;
mod probe;
mod ranges;
mod retention;
mod row_groups;
mod s3;
mod s3_file;
mod s3_variables;
mod table;
mod torn;

use std::path::PathBuf;

use deltalake::{DeltaTableError, Path};
use polars::prelude::{PolarsError, Schema};
use url::Url;

pub use self::commit::{Commit, Committed};
pub use self::data_file::DataFile;
pub use self::file_beside::FileBeside;
pub use self::folder::Folder;
use self::location::Location;
use self::medium::Medium;
pub use self::parquet::RowGroups;
pub use self::probe::Unfit;
use self::retention::Retention;
pub use self::retention::{CHECKPOINTS_KEPT, TOMBSTONE_AGE};
pub use self::row_groups::GroupReader;
pub use self::s3_file::{S3File, S3FileError};
pub use self::s3_variables::s3_variables;
pub use self::table::Table;
use crate::{clock, settings};

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The setting `store.url` names no store.
    #[error("store.url {url:?} is neither a folder nor an S3 bucket that can be used, s3://bucket/prefix: {why}")]
    BadUrl {
        /// The setting's value.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store does not keep two writers apart, or could not be tried.
    #[error("the store {store} cannot hold tables")]
    Unfit {
        /// The S3 bucket, and where it is.
        store: String,
        /// What it did.
        source: Unfit,
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
    /// The table does not consist of the files that its last commit by Braid noted.
    #[error(
        "table {table} at version {version} consists of {found} files, which are not the {noted} that Braid's last commit to it \
         noted: another program committed to it, or it was restored or replaced in part; it is not used until it is \
         repaired (docs/operations.md, \"A table that does not fit its note\")"
    )]
    FilesDiffer {
        /// The table's path below the deployment's root.
        table: String,
        /// The version.
        version: u64,
        /// How many files there are.
        found: u64,
        /// How many files were noted.
        noted: u64,
    },
    /// A table that was open no longer has a log.
    #[error("the log of table {table} is gone; was its folder removed or replaced?")]
    Gone {
        /// The table's path below the deployment's root.
        table: String,
    },
    /// The folder of a table's log could not be looked at or changed.
    #[error("cannot {operation} of table {table}")]
    Log {
        /// The operation, as a verb.
        operation: &'static str,
        /// The table's path below the deployment's root.
        table: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// The root below which every table of one deployment lies.
#[derive(Debug, Clone)]
pub struct Store {
    root: Url,
    medium: Medium,
    retention: Retention,
    /// The clock by which files are old.
    now_us: fn() -> i64,
}

impl Store {
    /// The store of the settings, for the deployment of that name. Its tables lie in `<store.url>/<name>`, so
    /// deployments with the same `store.url` share none. A plain path is a folder, which is created. S3 is not asked yet.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`].
    pub fn new(settings: &settings::Store, name: &str) -> Result<Store, StoreError> {
        let bad = |why: String| StoreError::BadUrl { url: settings.url.clone(), why };
        let (medium, mut root) = Medium::of(settings).map_err(bad)?;
        let prefix = format!("{}/{name}/", root.path().trim_end_matches('/'));
        root.set_path(&prefix);
        let retention = Retention { log: settings.log_retention.get(), tombstones: TOMBSTONE_AGE };
        Ok(Store { root, medium, retention, now_us: clock::now_us })
    }

    /// The folder below which the deployment's tables lie; `None` if they are not on local disk.
    pub fn folder(&self) -> Option<PathBuf> {
        self.medium.folder(&self.root)
    }

    /// Finds out whether commits to tables of this store are safe: of several writers that put the same object at once, exactly
    /// one may succeed. A process that writes does this once, when it starts. It takes about seventy requests to S3, and none
    /// on local disk.
    ///
    /// # Errors
    /// [`StoreError::Unfit`].
    pub async fn check(&self) -> Result<(), StoreError> {
        self.medium.check(&self.root).await
    }

    /// Opens a table at its newest version; `None` if it does not exist. On local disk, a last log entry that a power
    /// cut tore is set aside first.
    ///
    /// # Errors
    /// If the store cannot be read, or [`StoreError::FilesDiffer`].
    pub async fn open(&self, path: &str) -> Result<Option<Table>, StoreError> {
        Table::open(self.location(path)?).await
    }

    /// Opens a table as it is, whether or not it consists of the files that its last commit noted; `None` if it does not exist.
    /// It is for whoever is going to take every file out of it: the next commit notes the files that there are then.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open_as_it_is(&self, path: &str) -> Result<Option<Table>, StoreError> {
        Table::open_as_it_is(self.location(path)?).await
    }

    /// Opens a table, and creates it first if it does not exist. If two create it at once, one wins and both open it.
    ///
    /// `schema` is the columns of its files; `partition` is one more column, of text, and a file holds rows of one of
    /// its values.
    ///
    /// # Errors
    /// If the store cannot be read or written, or [`StoreError::FilesDiffer`].
    pub async fn open_or_create(&self, path: &str, schema: &Schema, partition: &str) -> Result<Table, StoreError> {
        let location = self.location(path)?;
        if let Some(table) = Table::open(location.clone()).await? {
            return Ok(table);
        }
        commit::create(&location, schema, partition).await?;
        Table::open(location).await?.ok_or_else(|| StoreError::Gone { table: path.to_owned() })
    }

    /// The names of the folders right below that path, which are those of tables there.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn folders(&self, path: &str) -> Result<Vec<String>, StoreError> {
        let bad = |why: String| StoreError::BadUrl { url: self.root.to_string(), why };
        let prefix = Path::from_url_path(format!("{}{path}", self.root.path()));
        let prefix = prefix.map_err(|error| bad(error.to_string()))?;
        let listed = self.medium.objects().list_with_delimiter(Some(&prefix)).await;
        let listed = listed.map_err(|source| StoreError::File {
            operation: "list folders of",
            file: String::new(),
            table: path.to_owned(),
            source: Box::new(source),
        })?;
        Ok(listed.common_prefixes.iter().filter_map(|folder| folder.filename().map(str::to_owned)).collect())
    }

    fn location(&self, path: &str) -> Result<Location, StoreError> {
        Location::new(self, path)
    }
}

#[cfg(test)]
mod tests;
