//! Whether a table should be materialised now, and not at the next tick of its schedule: rows in Redis wait for it.

use platform::store::StoreError;
use shared_logic::catalog::{Catalog, DefinitionHash, Table};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::table::Note;
use storage::{Followed, Storage};

/// What the archive of a table holds that the table lacks: how many partitions, and what was erased in how many commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lacking {
    partitions: usize,
    erasures: usize,
}

/// A table, followed.
pub(crate) struct Wanted {
    /// Its name, which is that of its source.
    pub(crate) table: String,
    definition: DefinitionHash,
    archive: Followed<Facts>,
    materialised: Followed<Note>,
    /// What it lacked when it was wanted last.
    last: Option<Lacking>,
}

impl Wanted {
    /// Nothing is read yet.
    pub(crate) fn new(storage: &Storage, catalog: &Catalog, table: &Table) -> Wanted {
        Wanted {
            table: table.name.clone(),
            definition: catalog.table_definition(table),
            archive: storage.follow_archive(&table.name),
            materialised: storage.follow_table(&table.name),
            last: None,
        }
    }

    /// Whether it should be materialised now. Said once of what it lacks: where that does not help, the schedule goes on trying.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn is_now(&mut self) -> Result<bool, StoreError> {
        let note = self.materialised.newest().await?.and_then(|table| table.note().cloned());
        // After the table, so that it is never older than the archive from which the table was made.
        let facts = self.archive.newest().await?.and_then(|archive| archive.note().cloned());
        let Some(facts) = facts else { return Ok(false) };
        let lacking = lacking(note.as_deref(), &facts, &self.definition);
        let is_now = lacking.is_some() && lacking != self.last;
        self.last = lacking;
        Ok(is_now)
    }
}

/// What rows in Redis wait for (B3): a table that was never materialised, one that was before changes were erased, and one that does not
/// know a partition. A table of another definition is that of another version of the deployment, which may want it as it is.
fn lacking(note: Option<&Note>, facts: &Facts, definition: &DefinitionHash) -> Option<Lacking> {
    let lacks = match note {
        None => facts.partitions().next().is_some(),
        Some(note) => {
            let was_erased = facts.erased_since(note.archive_version).next().is_some();
            note.definition == *definition
                && (was_erased || facts.partitions().any(|(id, _)| note.next.get(&id).is_none()))
        }
    };
    lacks.then(|| Lacking { partitions: facts.partitions().count(), erasures: facts.erased_parts() })
}
