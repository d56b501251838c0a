//! Whether an index has to be looked after now, and not at the next tick of its source's schedule (I4).

use std::time::{Duration, Instant};

use platform::store::StoreError;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::index::{Needed, needed};
use shared_logic::contracts::table::Note;
use shared_logic::version::IndexUnit;
use storage::{Followed, SearchClient, SearchError, Storage};

use super::live;
use crate::table::Subject;

/// How soon it is asked for again, at first. A run that waits costs little; one that fails over and over is asked for less and less.
const AGAIN: Duration = Duration::from_secs(5);
/// How soon at last.
const AGAIN_MAX: Duration = Duration::from_secs(300);

/// An index, followed.
pub(crate) struct WantedIndex {
    pub(crate) unit: IndexUnit,
    subject: Subject,
    client: SearchClient,
    archive: Followed<Facts>,
    materialised: Followed<Note>,
    again: Again,
}

/// When something that was asked for is asked for again.
#[derive(Debug, Clone, Copy, Default)]
struct Again(Option<(Instant, Duration)>);

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKnown {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The search server could not be asked.
    #[error(transparent)]
    Search(#[from] SearchError),
}

impl WantedIndex {
    /// Nothing is read yet.
    pub(crate) fn new(storage: &Storage, client: &SearchClient, unit: IndexUnit) -> WantedIndex {
        let subject = Subject::of_index(&unit.catalog, &unit.catalog.indexes[&unit.index]);
        WantedIndex {
            archive: storage.follow_archive(&subject.archived.name),
            materialised: storage.follow_table(&subject.name),
            client: client.clone(),
            again: Again::default(),
            subject,
            unit,
        }
    }

    /// Whether it has to be looked after now: it is built or compared for the first time, or its rows are missing for that, or the alias is
    /// another build's.
    ///
    /// # Errors
    /// If the store or the search server cannot be read.
    pub(crate) async fn is_now(&mut self) -> Result<bool, NotKnown> {
        let note = self.materialised.newest().await?.and_then(|table| table.note().cloned());
        // After the table, so that it is never older than the archive from which the table was made.
        let facts = self.archive.newest().await?.and_then(|archive| archive.note().cloned());
        let Some(facts) = facts.filter(|facts| facts.partitions().next().is_some()) else { return Ok(false) };
        let state = self.client.state(&self.unit.index).await?.state;
        let IndexUnit { definition, is_active, .. } = &self.unit;
        let has_rows = note.is_some_and(|note| note.definition == self.subject.definition);
        let is_aligned = || state.serving(definition).is_none_or(|(number, _)| state.aliased == Some(number));
        let is_needed = !has_rows
            || needed(&state, definition, &live(&facts), facts.erased_parts()) != Needed::Nothing
            || (*is_active && !is_aligned());
        Ok(self.again.is_due(is_needed, Instant::now()))
    }
}

impl Again {
    fn is_due(&mut self, is_needed: bool, now: Instant) -> bool {
        let next = match self.0 {
            _ if !is_needed => {
                self.0 = None;
                return false;
            }
            Some((at, _)) if now < at => return false,
            Some((_, wait)) => (wait * 2).min(AGAIN_MAX),
            None => AGAIN,
        };
        self.0 = Some((now + next, next));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_asked_for_less_and_less_until_it_is_not_needed_any_more() {
        let (mut again, begin) = (Again::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let due: Vec<u64> = (0..1_000).filter(|second| again.is_due(true, at(*second))).collect();
        assert_eq!(due, [0, 5, 15, 35, 75, 155, 315, 615, 915]);
        assert!(!again.is_due(false, at(1_000)));
        assert!(again.is_due(true, at(1_001)), "at once");
    }
}
