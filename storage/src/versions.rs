//! The versions of a deployment in the store: the pointer, and the catalogs of the versions that were created (K1, K3).
//!
//! A step is a conditional put of the next number. So of two that are taken at once one wins, and the other is taken anew on what that one
//! left. A file is durable before it has its name, as a commit of a table is.
//!
//! - `follow`: keeps up with the pointer.

mod follow;

use std::collections::BTreeMap;

use platform::settings::{self, Settings};
use platform::store::{Folder, Store, StoreError};
use serde_json::Value;
use shared_logic::catalog::{Catalog, Deployment};
use shared_logic::version::{
    CATALOGS, Change, DeployedVersions, FOLDER, Pointer, PointerError, StepError, Unresolved, catalog_file,
    catalog_path, file_name, number_of, report_path,
};
use uuid::Uuid;

pub use follow::{FollowedVersions, PointerRead};

/// How often a step is taken anew because another process was first.
const ATTEMPTS: u32 = 20;

/// The pointer and the catalogs of one deployment. A clone shares them.
#[derive(Debug, Clone)]
pub struct VersionStore {
    pointers: Folder,
    catalogs: Folder,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is the pointer of that number.
    Done(u64),
    /// There is a pointer of that number already.
    Overtaken,
}

/// Why the versions could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum VersionsError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pointer cannot be understood.
    #[error("cannot understand pointer {number} to versions")]
    Pointer {
        /// Its number.
        number: u64,
        /// Why.
        source: PointerError,
    },
    /// What the pointer says does not fit this process.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// The step is not allowed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Other processes changed the versions before every attempt.
    #[error("other processes changed the versions first {ATTEMPTS} times; try again")]
    Overtaken,
}

impl VersionStore {
    /// The versions of a deployment, whichever of them it is. Nothing is read yet.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`].
    pub fn new(settings: &settings::Store, deployment: &Deployment) -> Result<VersionStore, StoreError> {
        let store = Store::new(settings, &deployment.name)?;
        Ok(VersionStore { pointers: store.folder_of_files(FOLDER)?, catalogs: store.folder_of_files(CATALOGS)? })
    }

    /// The newest pointer and its number; `None` if there is none yet.
    ///
    /// # Errors
    /// [`VersionsError`].
    pub async fn newest(&self) -> Result<Option<(u64, Pointer)>, VersionsError> {
        let numbers = self.pointers.names().await?;
        let Some(number) = numbers.iter().filter_map(|name| number_of(name)).max() else { return Ok(None) };
        // Another process may have put more meanwhile, and none is ever removed.
        Ok(self.read(number).await?.map(|pointer| (number, pointer)))
    }

    /// The newest pointer, if it is newer than that of the number `known`. A process that knows none has 0.
    ///
    /// # Errors
    /// [`VersionsError`].
    pub async fn newer(&self, known: u64) -> Result<Option<(u64, Pointer)>, VersionsError> {
        let mut newest = None;
        let mut number = known + 1;
        while let Some(pointer) = self.read(number).await? {
            newest = Some((number, pointer));
            number += 1;
        }
        Ok(newest)
    }

    /// Whether the pointer of that number is the newest one, as none is ever removed. 0: there is none yet.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn is_newest(&self, number: u64) -> Result<bool, StoreError> {
        Ok(self.pointers.get(&file_name(number + 1)).await?.is_none())
    }

    /// K1: puts the pointer that follows the one of the number `known`, unless there is one.
    ///
    /// # Errors
    /// If the store cannot be written. The pointer may have been put all the same.
    pub async fn put_next(&self, known: u64, next: &Pointer) -> Result<Put, StoreError> {
        let number = known + 1;
        platform::failpoints::pass("versions::before_put");
        let is_put = self.pointers.put_if_absent(&file_name(number), next.to_bytes()).await?;
        platform::failpoints::pass("versions::after_put");
        Ok(if is_put { Put::Done(number) } else { Put::Overtaken })
    }

    /// Takes a step on the newest pointer, which `first` begins if there is none, and puts what it gives. After another process was faster it is taken
    /// anew. If it changes nothing, nothing is put. `by` says who takes it, and `what` what it is. Returns the pointer behind it, and its number.
    ///
    /// # Errors
    /// [`VersionsError::Step`] if it is not allowed.
    pub async fn step(
        &self,
        first: &str,
        by: &str,
        what: &str,
        mut step: impl FnMut(&Pointer, Change) -> Result<Pointer, StepError>,
    ) -> Result<(u64, Pointer), VersionsError> {
        let (id, at_us) = (Uuid::new_v4().to_string(), platform::clock::now_us());
        let change = Change { id, at_us, by: by.to_owned(), what: what.to_owned() };
        for _ in 0..ATTEMPTS {
            let begin = || (0, Pointer::begin(first, change.clone()));
            let (known, current) = self.newest().await?.unwrap_or_else(begin);
            let next = step(&current, change.clone())?;
            if next == current {
                return Ok((known, current));
            }
            match self.put_next(known, &next).await {
                Ok(Put::Done(number)) => return Ok((number, next)),
                Ok(Put::Overtaken) => {}
                // It may have been put, and only that was not heard.
                Err(error) => match self.read(known + 1).await {
                    Ok(there) if was_put(there.as_ref(), &change) => return Ok((known + 1, next)),
                    _ => return Err(error.into()),
                },
            }
        }
        Err(VersionsError::Overtaken)
    }

    /// Keeps the text of a version's catalog, and returns its hash. It counts once a pointer names it.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn put_catalog(&self, version: &str, text: &str) -> Result<String, VersionsError> {
        let (path, hash) = catalog_file(version, text);
        // One that is there already has the same content.
        self.catalogs.put_if_absent(&path, text.as_bytes().to_vec()).await?;
        Ok(hash)
    }

    /// The text of a version's catalog; `None` if it is not there.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn catalog(&self, version: &str, hash: &str) -> Result<Option<String>, VersionsError> {
        let bytes = self.catalogs.get(&catalog_path(version, hash)).await?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Keeps the report of a verification, as JSON and for a person, and returns where it lies, without the ending.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn put_report(
        &self,
        version: &str,
        at_us: i64,
        report: &Value,
        page: &str,
    ) -> Result<String, VersionsError> {
        let path = report_path(version, at_us);
        self.catalogs.put(&format!("{path}.txt"), page.as_bytes().to_vec()).await?;
        self.catalogs.put(&format!("{path}.json"), report.to_string().into_bytes()).await?;
        Ok(path)
    }

    /// A report of a verification, as JSON and for a person; `None` if there is none at that path.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn report(&self, path: &str) -> Result<Option<(Value, String)>, VersionsError> {
        let (json, page) = (format!("{path}.json"), format!("{path}.txt"));
        let Some(bytes) = self.catalogs.get(&json).await? else { return Ok(None) };
        let foreign = |error: serde_json::Error| StoreError::Foreign {
            table: CATALOGS.to_owned(),
            what: format!("a report {json} ({error})"),
        };
        let report = serde_json::from_slice(&bytes).map_err(foreign)?;
        let page = self.catalogs.get(&page).await?.unwrap_or_default();
        Ok(Some((report, String::from_utf8_lossy(&page).into_owned())))
    }

    /// The versions that there are now. `file` is the catalog file, which has to fit the others (K3).
    ///
    /// # Errors
    /// [`VersionsError`].
    pub async fn deployed(&self, file: &Catalog) -> Result<DeployedVersions, VersionsError> {
        let Some((number, pointer)) = self.newest().await? else { return Ok(DeployedVersions::alone(file.clone())) };
        let deployed = self.resolved(number, pointer, file).await?;
        deployed.allow_file(&self.retired(&deployed.pointer, file).await?)?;
        Ok(deployed)
    }

    /// The catalogs of the versions that do not live any more, as versions; without those that this build cannot use.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn retired(&self, pointer: &Pointer, file: &Catalog) -> Result<Vec<Catalog>, VersionsError> {
        let mut retired = Vec::new();
        for (name, recorded) in pointer.versions.iter().filter(|(_, recorded)| !recorded.stage.lives()) {
            let catalog = match &recorded.catalog {
                None => Some(file.clone()),
                Some(hash) => self.catalog(name, hash).await?.and_then(|text| Catalog::parse(&text).ok()),
            };
            retired.extend(catalog.map(|catalog| catalog.as_version(name, &pointer.first, &recorded.changed)));
        }
        Ok(retired)
    }

    /// The versions that a pointer names.
    async fn resolved(&self, number: u64, pointer: Pointer, file: &Catalog) -> Result<DeployedVersions, VersionsError> {
        let mut texts = BTreeMap::new();
        for (name, recorded) in pointer.versions.iter().filter(|(_, recorded)| recorded.stage.lives()) {
            let Some(hash) = &recorded.catalog else { continue };
            if let Some(text) = self.catalog(name, hash).await? {
                texts.insert(name.clone(), text);
            }
        }
        Ok(DeployedVersions::resolve(number, pointer, file, &texts)?)
    }

    async fn read(&self, number: u64) -> Result<Option<Pointer>, VersionsError> {
        let Some(bytes) = self.pointers.get(&file_name(number)).await? else { return Ok(None) };
        Pointer::read(&bytes).map(Some).map_err(|source| VersionsError::Pointer { number, source })
    }
}

/// K1: whether the pointer that is there is the one that a step was to put: then it was put, and only that was not heard.
fn was_put(there: Option<&Pointer>, change: &Change) -> bool {
    there.is_some_and(|there| there.change.id == change.id)
}

/// The catalog of the active version, for commands that are about one version. `file` is the catalog file.
///
/// # Errors
/// [`VersionsError`].
pub async fn active_version(settings: &Settings, file: Catalog) -> Result<Catalog, VersionsError> {
    let store = VersionStore::new(&settings.store, &file.deployment)?;
    let deployed = store.deployed(&file).await?;
    Ok(Catalog::clone(deployed.active()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_whose_reply_was_lost_is_known_again_and_no_other_is() {
        let change = |id: &str| Change { id: id.to_owned(), at_us: 7, by: "a".to_owned(), what: "begin".to_owned() };
        let there = Pointer::begin("v1", change("own"));
        assert!(was_put(Some(&there), &change("own")));
        assert!(!was_put(Some(&there), &change("other")), "another process has put it");
        assert!(!was_put(None, &change("own")), "nothing was put");
    }
}
