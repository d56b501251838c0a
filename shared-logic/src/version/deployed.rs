//! The versions of a deployment with their catalogs, and which duties follow for processes.
//!
//! Every process hosts all versions that live. Which of them counts what, and who writes what versions share, follows from the pointer and
//! from the catalogs alone, so processes that have read the same pointer agree without a word. Each duty is a *unit*: what a process runs
//! for it, and begins anew when it is another one.
//!
//! What versions share has one *host*, by whose catalog it is written: the version after which the generation is called, as long as it
//! lives, and then the oldest one that shares it.

mod units;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pointer::{Change, Pointer, Stage};
use super::sharing::{Conflict, archived_otherwise, changed_in_place};
use crate::catalog::{Catalog, Mistake, Stream};

pub use units::{ArchiveUnit, CountUnit, IndexUnit, LaneUnit, RowsUnit};

/// All versions of a deployment, as one pointer says it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployedVersions {
    /// The pointer's number; 0 if there is none yet.
    pub number: u64,
    /// The pointer.
    pub pointer: Pointer,
    /// The catalogs of the versions that live, in the order of their creation.
    living: Vec<(String, Arc<Catalog>)>,
    /// Where the active one is among them.
    active: usize,
    unreadable: BTreeMap<String, String>,
}

/// Why a process cannot tell which versions there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The catalog file is not that of the first version.
    #[error(
        "the catalog file says version {file}, and the first version of deployment {deployment} is {first}: it is the only one that a catalog file \
         can change; set [pipeline] version = \"{first}\", and create others by `braid version create`"
    )]
    AnotherFirst {
        /// The version in the file.
        file: String,
        /// The deployment's name.
        deployment: String,
        /// Its first version.
        first: String,
    },
    /// The catalog file was changed in place to what versions beside it do not allow.
    #[error(
        "the catalog file, which is that of version {first}, was changed, and other versions share its archives and topics: {}; change it back, or \
         retire what is in its way before that",
        .conflicts.iter().map(Conflict::to_string).collect::<Vec<_>>().join("; ")
    )]
    File {
        /// The version that the file is of.
        first: String,
        /// All that is in its way.
        conflicts: Vec<Conflict>,
    },
    /// The catalog of the active version cannot be used.
    #[error("the catalog of version {version}, which is the active one, cannot be used: {why}")]
    Active {
        /// The version.
        version: String,
        /// What is wrong with it.
        why: String,
    },
}

impl DeployedVersions {
    /// The version of a catalog file, if there is no pointer yet: it is the only one, and the active one.
    pub fn alone(file: Catalog) -> DeployedVersions {
        let change = Change { id: String::new(), at_us: 0, by: String::new(), what: "begin".to_owned() };
        let version = file.deployment.version.clone();
        DeployedVersions {
            number: 0,
            pointer: Pointer::begin(&version, change),
            living: vec![(version, Arc::new(file))],
            active: 0,
            unreadable: BTreeMap::new(),
        }
    }

    /// The versions that a pointer names. `file` is the catalog file, and `texts` are those of the catalogs that were created, by version. A
    /// catalog that cannot be used is left out, see [`DeployedVersions::unreadable`].
    ///
    /// # Errors
    /// [`Unresolved`].
    pub fn resolve(
        number: u64,
        pointer: Pointer,
        file: &Catalog,
        texts: &BTreeMap<String, String>,
    ) -> Result<DeployedVersions, Unresolved> {
        let deployment = &file.deployment;
        if deployment.version != pointer.first {
            let (file, first) = (deployment.version.clone(), pointer.first);
            return Err(Unresolved::AnotherFirst { file, deployment: deployment.name.clone(), first });
        }
        let (mut living, mut unreadable) = (Vec::new(), BTreeMap::new());
        for (name, recorded) in pointer.in_order().into_iter().filter(|(_, recorded)| recorded.stage.lives()) {
            let catalog = match &recorded.catalog {
                None => Ok(file.clone()),
                Some(_) => created(texts.get(name), &deployment.name),
            };
            match catalog {
                Ok(catalog) => {
                    let catalog = catalog.as_version(name, &pointer.first, &recorded.changed);
                    living.push((name.to_owned(), Arc::new(catalog)));
                }
                Err(why) => drop(unreadable.insert(name.to_owned(), why)),
            }
        }
        match living.iter().position(|(name, _)| *name == pointer.active) {
            Some(active) => Ok(DeployedVersions { number, living, active, unreadable, pointer }),
            None => {
                let gone = || "it is not there any more".to_owned();
                let why = unreadable.remove(&pointer.active).unwrap_or_else(gone);
                Err(Unresolved::Active { version: pointer.active, why })
            }
        }
    }

    /// K3, K10: whether the other versions allow what the catalog file says by now. A process asks this when it starts. `retired` are the
    /// catalogs of the versions that are retired, as versions.
    ///
    /// # Errors
    /// [`Unresolved::File`].
    pub fn allow_file(&self, retired: &[Catalog]) -> Result<(), Unresolved> {
        let first = self.pointer.first.as_str();
        let Some(file) = self.version(first) else { return Ok(()) };
        let others: Vec<&Catalog> =
            self.living().filter(|(name, _)| *name != first).map(|(_, catalog)| catalog.as_ref()).collect();
        let mut conflicts = changed_in_place(file, &others);
        conflicts.extend(archived_otherwise(file, &others, retired));
        if conflicts.is_empty() {
            return Ok(());
        }
        Err(Unresolved::File { first: first.to_owned(), conflicts })
    }

    /// The catalog of the version that answers a request which names none.
    pub fn active(&self) -> &Arc<Catalog> {
        &self.living[self.active].1
    }

    /// That version.
    pub fn active_name(&self) -> &str {
        &self.living[self.active].0
    }

    /// The catalog of a version that lives; `None` if there is none of that name.
    pub fn version(&self, name: &str) -> Option<&Arc<Catalog>> {
        self.living.iter().find(|(living, _)| living == name).map(|(_, catalog)| catalog)
    }

    /// The versions that live, in the order of their creation.
    pub fn living(&self) -> impl Iterator<Item = (&str, &Arc<Catalog>)> {
        self.living.iter().map(|(name, catalog)| (name.as_str(), catalog))
    }

    /// How far a version has come; `None` if there never was one of that name.
    pub fn stage(&self, name: &str) -> Option<Stage> {
        Some(self.pointer.versions.get(name)?.stage)
    }

    /// The versions that live and whose catalog cannot be used, with what is wrong with it. They are not hosted.
    pub fn unreadable(&self) -> &BTreeMap<String, String> {
        &self.unreadable
    }

    /// The versions that the schedule reconciles (K9).
    pub fn reconciled(&self) -> Vec<&str> {
        self.living().map(|(name, _)| name).filter(|name| self.pointer.is_reconciled(name)).collect()
    }

    /// The same versions with their catalogs altered, which is for processes that lay something over all of them.
    #[must_use]
    pub fn altered(mut self, alter: impl Fn(&mut Catalog)) -> DeployedVersions {
        for (_, catalog) in &mut self.living {
            alter(Arc::make_mut(catalog));
        }
        self
    }

    /// K7: the streams of a version that are not those of the active one, by their generations: nobody has relied on them so far. They may be
    /// shared with another version.
    pub fn own_streams(&self, version: &str) -> Vec<&str> {
        let (Some(catalog), active) = (self.version(version), self.active()) else { return Vec::new() };
        let generation = |catalog: &Catalog, stream: &str| catalog.deployment.generation(stream).to_owned();
        let is_shared = |stream: &str| {
            active.streams.contains_key(stream) && generation(active, stream) == generation(catalog, stream)
        };
        catalog.streams.keys().map(String::as_str).filter(|stream| !is_shared(stream)).collect()
    }

    /// K7: the streams and tables that a version shares, and that their host has changed in place since (K10).
    pub fn changed_in_place(&self, version: &str) -> Vec<String> {
        let Some(catalog) = self.version(version) else { return Vec::new() };
        let mut names = Vec::new();
        for unit in self.lanes() {
            let of_source = catalog.streams_of(&unit.source);
            let shared = of_source.filter(|stream| catalog.deployment.generation(&stream.name) == unit.generation);
            let is_other = |stream: &&Stream| {
                let written = unit.catalog.streams.get(&stream.name);
                written.map(|written| unit.catalog.stream_definition(written))
                    != Some(catalog.stream_definition(stream))
            };
            names.extend(shared.filter(is_other).map(|stream| stream.name.clone()));
        }
        for unit in self.rows() {
            let is_shared = catalog.deployment.table_generation(&unit.table) == unit.generation;
            let own =
                catalog.tables.get(&unit.table).filter(|_| is_shared).map(|table| catalog.table_definition(table));
            if own.is_some_and(|own| own != unit.catalog.table_definition(&unit.catalog.tables[&unit.table])) {
                names.push(unit.table);
            }
        }
        names
    }
}

/// The catalog of a version that was created.
fn created(text: Option<&String>, deployment: &str) -> Result<Catalog, String> {
    let text = text.ok_or("its text is not in the store")?;
    let said = |mistakes: Vec<Mistake>| mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; ");
    let catalog = Catalog::parse(text).map_err(said)?;
    if catalog.deployment.name == deployment {
        Ok(catalog)
    } else {
        Err(format!("it is of the deployment {}", catalog.deployment.name))
    }
}

#[cfg(test)]
mod tests;
