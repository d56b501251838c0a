//! What all tasks of one table share.

use std::sync::Arc;

use platform::kafka::{KafkaError, Topics};
use platform::settings::Speed;
use platform::store::StoreError;
use shared_logic::catalog::{DefinitionHash, Deployment, Source};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::table::Note;
use shared_logic::contracts::table_rows::{Basis, RowsKey};
use shared_logic::log::PartitionId;
use storage::{Followed, MaterialisedTable, TableRowsClient};
use tokio::sync::{Mutex, watch};

use crate::log::identity::LogIdentity;

/// What all tasks of one table share.
pub struct Shared {
    /// The deployment.
    pub deployment: Deployment,
    /// The table, as what is read.
    pub source: Source,
    /// What decides what a change is, and what a row.
    pub definition: DefinitionHash,
    /// The speed layer's settings.
    pub settings: Speed,
    /// Asks for the id of the topic (R7).
    pub identity: LogIdentity,
    /// Asks Kafka about topics.
    pub topics: Topics,
    /// Reads and changes rows.
    pub rows: TableRowsClient,
    /// The archive of the table's changes.
    pub archive: Mutex<Followed<Facts>>,
    /// The materialised table.
    pub materialised: Mutex<Followed<Note>>,
    /// The newest facts that were read, so that tasks see which incarnation of their partition goes on (R12).
    pub facts: watch::Sender<Arc<Facts>>,
}

impl Shared {
    /// The key of a partition's rows.
    pub fn key(&self, id: &PartitionId) -> RowsKey {
        RowsKey::new(&self.deployment, &self.source.name, id)
    }

    /// The archive's newest facts, told to all tasks of the table; none before the archiver's first commit.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub async fn newest_facts(&self) -> Result<Arc<Facts>, StoreError> {
        let facts = self.archive.lock().await.newest().await?.and_then(|archive| archive.note().cloned());
        let facts = facts.unwrap_or_default();
        self.facts.send_replace(Arc::clone(&facts));
        Ok(facts)
    }

    /// The newest materialised table, if it was made by this definition, and nothing was erased since.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn materialised(&self, facts: &Facts) -> Result<Option<MaterialisedTable>, StoreError> {
        let newest = self.materialised.lock().await.newest().await?.cloned();
        // After the table, so that it is older than that only if the archive went back.
        let archive_version = self.archive.lock().await.newest().await?.map(|archive| archive.version());
        let is_own = |note: &Note| note.definition == self.definition && is_whole(note, facts, archive_version);
        Ok(newest.filter(|table| table.note().is_some_and(|note| is_own(note.as_ref()))))
    }

    /// What rows are made by, as the archive is.
    pub fn basis(&self, facts: &Facts) -> Basis {
        Basis { definition: self.definition.clone(), erasures: facts.erased_parts() }
    }

    /// R12: whether the archive has begun another incarnation of that partition.
    pub fn goes_on_elsewhere(&self, id: &PartitionId) -> bool {
        self.facts.borrow().current(id.topic(), id.partition).incarnation() > id.incarnation()
    }

    /// Whether records may vanish from the middle of the topic. Asked each time: a topic that has been compacted since has forgotten deletes.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub async fn is_compacted(&self) -> Result<bool, KafkaError> {
        self.topics.is_compacted(&self.source.topic).await
    }
}

/// Whether nothing of a table was erased since it was made. Of one that is newer than the archive, which was restored from a backup, nobody
/// knows.
fn is_whole(note: &Note, facts: &Facts, archive_version: Option<u64>) -> bool {
    Some(note.archive_version) <= archive_version && facts.erased_since(note.archive_version).next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared_logic::contracts::archive::ErasedPart;
    use shared_logic::log::Offsets;

    use super::*;

    #[test]
    fn a_table_of_before_an_erasure_or_of_an_archive_that_is_gone_is_not_whole() {
        let note = Note {
            definition: "00000000000000aa".parse().expect("a hash"),
            rules: "r".into(),
            next: Offsets::default(),
            archive_version: 7,
            rows: 0,
            shares: 1,
            others: BTreeMap::new(),
            superseded: BTreeMap::new(),
            committed_at_us: 0,
        };
        let erased_at = |version| {
            let part = ErasedPart { version, rules: "r".into(), list: String::new(), events: 1, at_us: None };
            let mut facts = Facts::default();
            facts.erase("x", Some(part), Some(0));
            facts
        };
        assert!(is_whole(&note, &Facts::default(), Some(7)) && is_whole(&note, &erased_at(7), Some(9)));
        assert!(!is_whole(&note, &erased_at(8), Some(9)));
        assert!(!is_whole(&note, &erased_at(5), Some(6)), "what was erased since the archive was restored");
        assert!(!is_whole(&note, &Facts::default(), None));
    }
}
