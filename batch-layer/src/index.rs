//! Search indexes: rows of a materialised table → a build of an index, and whether it is what the table says (I4, I5).
//!
//! Every reconcile of a source looks after the indexes that follow it, behind the materialisation of their rows. It begins a build where
//! one is needed, and writes the rows to it; lanes of the speed layer go on from the offsets that these stand for. It compares builds with
//! the table: one that is equal serves, and one that is not is built anew. All that is known of builds is the state in the search server,
//! of which every step is taken on top of what was read: several processes may do this at once, and each may be killed anywhere.
//!
//! - `keep`: what is needed, and what follows of a check;
//! - `load`: a build is begun, and the rows are written (I4);
//! - `loads`: which loads of other processes are dead;
//! - `check`: the index and its table at one vector of offsets (I5);
//! - `compare`: a slice of both;
//! - `left`: what of erased events is still there;
//! - `tidy`: builds that ended are deleted, and the alias is moved;
//! - `wanted`: whether that has to be done at once;
//! - `error`: why it was not done.

mod check;
mod compare;
mod error;
mod keep;
mod left;
mod load;
mod loads;
mod tidy;
mod wanted;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shared_logic::catalog::{DefinitionHash, Index};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::index::{IndexState, build_name};
use shared_logic::contracts::table::Note;
use shared_logic::index::Documents;
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::version::{DeployedVersions, IndexUnit};
use storage::{MaterialisedTable, SearchClient, Storage, VersionStore};

use crate::log_ends::KafkaEnds;
use crate::table::Subject;

pub use self::error::IndexError;
pub(crate) use self::left::{Erased, LeftInIndex};
pub(crate) use self::loads::Loads;
pub(crate) use self::wanted::WantedIndex;

/// What looks after one index of one definition.
pub(crate) struct Keeper<'a> {
    pub(crate) unit: &'a IndexUnit,
    /// Of the version that hosts it.
    pub(crate) storage: &'a Storage,
    pub(crate) client: &'a SearchClient,
    /// As the run has read them when it began.
    pub(crate) versions: &'a DeployedVersions,
    /// Whether there are others by now.
    pub(crate) pointer: &'a VersionStore,
    pub(crate) ends: KafkaEnds,
    pub(crate) loads: &'a Loads,
    /// The setting `reconcile.poll`.
    pub(crate) poll: Duration,
    pub(crate) subject: Subject,
}

/// The materialised rows, and the archive that they are of.
struct Basis {
    table: MaterialisedTable,
    note: Arc<Note>,
    facts: Facts,
    /// The partitions that the topic has now, as far as the archive knows.
    live: Vec<PartitionId>,
    /// How many commits have taken erased changes out of the archive.
    erasures: usize,
}

impl Keeper<'_> {
    fn index(&self) -> &Index {
        &self.unit.catalog.indexes[&self.unit.index]
    }

    fn documents(&self) -> Documents {
        Documents::new(self.index(), &self.subject.rows)
    }

    /// The name of a build in the server.
    fn build_name(&self, number: u64) -> String {
        build_name(self.client.deployment(), &self.unit.index, number)
    }

    /// The definitions of the index that any version has.
    fn definitions(&self) -> Vec<DefinitionHash> {
        let units = self.versions.indexes().into_iter().filter(|unit| unit.index == self.unit.index);
        units.map(|unit| unit.definition).collect()
    }

    /// Takes a step, on whatever the state is by then.
    async fn step(
        &self,
        step: impl Fn(&IndexState) -> Result<IndexState, IndexError>,
    ) -> Result<IndexState, IndexError> {
        self.client.step(&self.unit.index, step).await
    }
}

impl Basis {
    /// Whether the rows stand for something of every partition that there is, and hold nothing that was erased.
    fn is_whole(&self) -> bool {
        let is_known = |id: &PartitionId| self.note.next.get(id).is_some();
        self.live.iter().all(is_known) && self.facts.erased_since(self.note.archive_version).next().is_none()
    }

    /// Of those partitions that a build has, up to where the rows stand.
    fn reached(&self, base: &Offsets) -> Offsets {
        let known = self.note.next.iter().filter(|(id, _)| base.get(id).is_some());
        known.map(|(id, next)| (id.clone(), next)).collect()
    }
}

/// The partitions of an archive that have not ended.
fn live(facts: &Facts) -> Vec<PartitionId> {
    facts.partitions().map(|(id, _)| id).filter(|id| !facts.is_ended(id)).collect()
}

/// What these indexes follow, by the name of its table: several may follow the same.
pub(crate) fn subjects(units: &[IndexUnit]) -> HashMap<String, Subject> {
    let subject = |unit: &IndexUnit| Subject::of_index(&unit.catalog, &unit.catalog.indexes[&unit.index]);
    units.iter().map(subject).map(|subject| (subject.name.clone(), subject)).collect()
}
