//! Files beside a table: they lie in its folder and belong to no version of it.
//!
//! Folders of such files begin with `_`, so that Delta's own tools leave them alone.
//!
//! - `ranges`: parts of such a file.

mod ranges;

use std::time::Duration;

use bytes::Bytes;
use deltalake::Path;
use futures::TryStreamExt;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions};
use polars::prelude::DataFrame;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::parquet::{self, Effort};
use super::{DataFile, FileBeside, StoreError, Table};

impl Table {
    /// The JSON value at that path; `None` if there is none.
    ///
    /// # Errors
    /// If the store cannot be read, or the value is not a `T`.
    pub async fn beside<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.bytes_beside(path).await? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes);
        value.map(Some).map_err(|error| StoreError::Foreign {
            table: self.path().to_owned(),
            what: format!("a file {path} ({error})"),
        })
    }

    /// Writes a JSON value to that path, in place of what was there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put_beside(&self, path: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let text = serde_json::to_vec(value).expect("what is kept beside a table is plain data");
        let put = self.objects().put(&Path::from(path), text.into()).await;
        put.map(|_| ()).map_err(|error| self.failed("write", path, error))
    }

    /// Writes a JSON value to that path, unless there is something already. Returns whether it was written: of several writers at
    /// once, one succeeds. One whose reply was lost may be told that there is something, which is its own.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put_beside_if_absent(&self, path: &str, value: &impl Serialize) -> Result<bool, StoreError> {
        let text = serde_json::to_vec(value).expect("what is kept beside a table is plain data");
        self.put_bytes_beside_if_absent(path, text).await
    }

    /// The bytes at that path; `None` if there is nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn bytes_beside(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        let read = async { self.objects().get(&Path::from(path)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", path, error)),
        }
    }

    /// Writes bytes to that path, unless there is something already. Returns whether they were written, as
    /// [`Table::put_beside_if_absent`] does.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn put_bytes_beside_if_absent(&self, path: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let put = self.objects().put_opts(&Path::from(path), bytes.into(), PutOptions::from(PutMode::Create)).await;
        match put {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed("write", path, error)),
        }
    }

    /// Writes bytes as a new file below `folder`, whose name has that ending, and returns its path.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn write_bytes_beside(&self, folder: &str, ending: &str, bytes: Vec<u8>) -> Result<String, StoreError> {
        let path = format!("{folder}/{}.{ending}", Uuid::new_v4());
        let put = self.objects().put(&Path::from(path.as_str()), bytes.into()).await;
        put.map_err(|error| self.failed("write", &path, error))?;
        Ok(path)
    }

    /// Writes a frame as a new file of that partition, below `folder`.
    ///
    /// # Errors
    /// If the frame cannot be encoded or the file cannot be written.
    pub async fn write_beside(
        &self,
        folder: &str,
        partition: &str,
        frame: DataFrame,
        ranged: &[&str],
    ) -> Result<DataFile, StoreError> {
        let folder = format!("{folder}/");
        parquet::write(&self.objects(), self.path(), &folder, partition, frame, ranged, Effort::Thorough).await
    }

    /// The paths of the files below `folder`.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn list_beside(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.files_beside(folder).await?.into_iter().map(|file| file.path).collect())
    }

    /// The files below `folder`.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn files_beside(&self, folder: &str) -> Result<Vec<FileBeside>, StoreError> {
        let listed = self.objects().list(Some(&Path::from(folder))).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| self.failed("list files of", folder, error))?;
        Ok(listed.into_iter().map(FileBeside::from).collect())
    }

    /// Removes the files below `folder` whose paths `is_over` accepts and that were written longer than `age` ago; returns how
    /// many. Without an age, they are removed however young they are.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_beside(
        &self,
        folder: &str,
        is_over: impl Fn(&str) -> bool,
        age: Duration,
    ) -> Result<usize, StoreError> {
        let over = self.over_beside(folder, is_over, age).await?;
        for FileBeside { path, .. } in &over {
            // Another process may be removing them, too.
            self.delete(&Path::from(path.as_str())).await?;
        }
        Ok(over.len())
    }

    /// The files that [`Table::remove_beside`] would remove now.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn over_beside(
        &self,
        folder: &str,
        is_over: impl Fn(&str) -> bool,
        age: Duration,
    ) -> Result<Vec<FileBeside>, StoreError> {
        let before_us = if age.is_zero() { i64::MAX } else { self.ago_beside(age).await? };
        let mut over = self.files_beside(folder).await?;
        over.retain(|file| is_over(&file.path) && file.written_us < before_us);
        Ok(over)
    }
}
