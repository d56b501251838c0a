//! What files of an archive were decoded to under other rules than their own (R11).
//!
//! The result is kept beside the table, below `_decoded/<rules>/`, and belongs to no version of it:
//!
//! ```text
//! _decoded/<rules>/<file>.json                       the list of what the file was decoded to
//! _decoded/<rules>/<file>/<day>/<uuid>.parquet       its rows
//! ```
//!
//! A file of the archive never changes, so neither does what it decodes to. The list is written last: a run that is killed
//! leaves rows that no list names, and the next run decodes the file again. Two runs that decode the same file at once write the
//! same rows under different names, and the last list counts.

use std::collections::HashSet;

use platform::store::{DataFile, FileBeside, StoreError};
use polars::prelude::DataFrame;
use shared_logic::catalog::RulesHash;
use shared_logic::contracts::archive::{Facts, RULES};

use super::Archive;
use crate::ORPHAN_AGE;

/// The folder of what was decoded. Delta's own tools leave folders with such a name alone.
const FOLDER: &str = "_decoded";

/// What one file of an archive was decoded to.
#[derive(Debug)]
pub struct Decoded {
    /// Where the list lies, without its ending; the rows lie in the folder of that name.
    place: String,
    files: Vec<DataFile>,
}

impl Decoded {
    /// Nothing yet of what `file` is decoded to under those rules.
    pub fn of(rules: &RulesHash, file: &DataFile) -> Decoded {
        Decoded { place: format!("{FOLDER}/{rules}/{}", stem(&file.path)), files: Vec::new() }
    }

    /// Adds a file of rows.
    pub fn push(&mut self, file: DataFile) {
        self.files.push(file);
    }

    /// Whether a file holds such rows, and is no file of the table.
    pub fn is_of(file: &DataFile) -> bool {
        file.path.starts_with(FOLDER)
    }

    fn list(&self) -> String {
        format!("{}.json", self.place)
    }
}

impl Archive {
    /// The rules that a file was decoded under. One that was written before bytes were kept names none. As long as no archiver that
    /// keeps bytes has started, such files are taken to be of the rules `own`. `facts` are those of this version.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if the file cannot be one of Braid's.
    pub fn rules_of(&self, facts: &Facts, own: &RulesHash, file: &DataFile) -> Result<RulesHash, StoreError> {
        match file.text_ranges.get(RULES) {
            Some((low, high)) if low == high => Ok(RulesHash::from(low.as_str())),
            None if !facts.keeps_bytes => Ok(own.clone()),
            None if facts.unnamed_rules.is_some() => Ok(facts.unnamed_rules.clone().unwrap_or_else(|| own.clone())),
            _ => Err(StoreError::Foreign {
                table: self.path().to_owned(),
                what: format!("a file {} that does not name the rules it was decoded under", file.path),
            }),
        }
    }

    /// What a file was decoded to under those rules, if that was kept.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn decoded(&self, rules: &RulesHash, file: &DataFile) -> Result<Option<Vec<DataFile>>, StoreError> {
        self.table().beside(&Decoded::of(rules, file).list()).await
    }

    /// Writes rows of a day that belong to what a file was decoded to.
    ///
    /// # Errors
    /// If the rows cannot be encoded or written.
    pub async fn write_decoded(
        &self,
        decoded: &Decoded,
        day: &str,
        rows: DataFrame,
        ranged: &[&str],
    ) -> Result<DataFile, StoreError> {
        self.table().write_beside(&decoded.place, day, rows, ranged).await
    }

    /// Keeps what a file was decoded to, and returns its files.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub async fn keep_decoded(&self, decoded: Decoded) -> Result<Vec<DataFile>, StoreError> {
        self.table().put_beside(&decoded.list(), &decoded.files).await?;
        Ok(decoded.files)
    }

    /// Removes what was decoded of files that were taken out of the table longer than [`ORPHAN_AGE`] ago. Returns how many
    /// files there were.
    ///
    /// # Errors
    /// If the store cannot be listed or written.
    pub async fn remove_decoded(&self) -> Result<usize, StoreError> {
        let in_use = self.stems_in_use().await?;
        self.table().remove_beside(FOLDER, |path| is_over(path, &in_use), ORPHAN_AGE).await
    }

    /// Whether something is left that was decoded before that moment, by the store's clock, of files that this version does not have.
    pub(super) async fn has_decoded_of_before(&self, at_us: i64) -> Result<bool, StoreError> {
        let own: HashSet<String> = self.table().files().await?.iter().map(|file| stem(&file.path)).collect();
        let beside = self.table().files_beside(FOLDER).await?;
        Ok(beside.iter().any(|file| file.written_us < at_us && is_over(&file.path, &own)))
    }

    /// The files that [`Archive::remove_decoded`] would remove now.
    pub(super) async fn decoded_over(&self) -> Result<Vec<FileBeside>, StoreError> {
        let in_use = self.stems_in_use().await?;
        self.table().over_beside(FOLDER, |path| is_over(path, &in_use), ORPHAN_AGE).await
    }

    /// The names of the files that are in use.
    async fn stems_in_use(&self) -> Result<HashSet<String>, StoreError> {
        Ok(self.table().files_in_use(ORPHAN_AGE).await?.iter().map(|path| stem(path)).collect())
    }
}

/// Whether a path is of what was decoded of a file that is not in use.
fn is_over(path: &str, in_use: &HashSet<String>) -> bool {
    path.split('/').nth(2).is_none_or(|name| !in_use.contains(&stem(name)))
}

/// The name of a file, without its folder and ending.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').next().unwrap_or(name).to_owned()
}
