//! What follows of documents that the server refuses for good (I3).
//!
//! They are kept beside the progress with the server's reason, before the cursor moves past their changes. What was kept of an id is
//! forgotten once a later change of it is taken. Changes may be written again after a restart, and in other micro-batches than before, so
//! versions decide what is later.

use std::collections::HashMap;

use shared_logic::contracts::index::Refused;
use shared_logic::log::PartitionId;
use storage::BulkItem;

/// The longest id of which a server can hold a document, in bytes.
const ID_MAX: usize = 512;

/// The ids of refused documents that a lane knows of, with the greatest version that was refused.
#[derive(Debug, Default)]
pub(super) struct RefusedIds(HashMap<String, u64>);

/// What is to be noted of refused documents after a bulk.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Notes {
    /// What is to be kept.
    pub(super) keep: Vec<Refused>,
    /// Up to which versions what was kept of ids is to be forgotten.
    pub(super) forget: Vec<(String, u64)>,
}

impl RefusedIds {
    /// Those of documents that were refused before, with their versions.
    pub(super) fn new(known: Vec<(String, u64)>) -> RefusedIds {
        let mut ids = RefusedIds::default();
        known.iter().for_each(|(id, version)| ids.note(id, *version));
        ids
    }

    fn note(&mut self, id: &str, version: u64) {
        match self.0.get_mut(id) {
            Some(known) => *known = version.max(*known),
            None => drop(self.0.insert(id.to_owned(), version)),
        }
    }

    /// What is to be noted after items were written, some of which the server has `refused`: by their places, with its words.
    pub(super) fn after(
        &self,
        id: &PartitionId,
        items: &[BulkItem],
        refused: &[(usize, String)],
        now_us: i64,
    ) -> Notes {
        let mut notes = Notes::default();
        let mut is_taken = vec![true; items.len()];
        for (at, reason) in refused {
            let item = &items[*at];
            // There never was a document to delete.
            is_taken[*at] = item.document.is_none() && !can_be_held(&item.id);
            if !is_taken[*at] {
                notes.keep.push(refused_of(id, item, reason, now_us));
            }
        }
        if !self.0.is_empty() {
            for (item, _) in items.iter().zip(is_taken).filter(|(_, is_taken)| *is_taken) {
                if self.0.get(&item.id).is_some_and(|refused| *refused <= item.version) {
                    notes.forget.push((item.id.clone(), item.version));
                }
            }
        }
        notes
    }

    /// Notes that the server has noted it.
    pub(super) fn noted(&mut self, notes: &Notes) {
        notes.keep.iter().for_each(|kept| self.note(&kept.id, kept.version));
        for (id, _) in &notes.forget {
            self.0.remove(id);
        }
    }
}

fn can_be_held(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.len())
}

/// The document is empty where a delete was refused.
fn refused_of(id: &PartitionId, item: &BulkItem, reason: &str, at_us: i64) -> Refused {
    let document = item.document.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    Refused {
        id: item.id.clone(),
        log: id.log.clone(),
        partition: id.partition,
        offset: i64::try_from(item.version).unwrap_or(i64::MAX) - 1,
        version: item.version,
        document: document.into_owned(),
        reason: reason.to_owned(),
        at_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, version: u64) -> BulkItem {
        BulkItem { id: id.to_owned(), version, document: Some(b"{}".to_vec()) }
    }

    fn delete(id: &str, version: u64) -> BulkItem {
        BulkItem { document: None, ..item(id, version) }
    }

    fn after(ids: &mut RefusedIds, items: &[BulkItem], refused: &[usize]) -> Notes {
        let refused: Vec<_> = refused.iter().map(|at| (*at, "no".to_owned())).collect();
        let notes = ids.after(&PartitionId::new("log", 3), items, &refused, 9);
        ids.noted(&notes);
        notes
    }

    #[test]
    fn a_refused_document_is_kept_until_a_later_one_of_its_id_is_taken() {
        let mut ids = RefusedIds::default();
        let notes = after(&mut ids, &[item("a", 5), item("b", 6)], &[1]);
        assert!(notes.forget.is_empty());
        let kept = Refused {
            id: "b".to_owned(),
            log: "log".to_owned(),
            partition: 3,
            offset: 5,
            version: 6,
            document: "{}".to_owned(),
            reason: "no".to_owned(),
            at_us: 9,
        };
        assert_eq!(notes.keep, [kept]);
        assert_eq!(after(&mut ids, &[item("a", 8)], &[]), Notes::default());
        assert!(after(&mut ids, &[item("b", 9)], &[0]).forget.is_empty(), "refused again");
        assert_eq!(after(&mut ids, &[delete("b", 12), item("a", 13)], &[]).forget, [("b".to_owned(), 12)]);
        assert!(after(&mut ids, &[item("b", 14)], &[]).forget.is_empty(), "nothing is kept any more");
    }

    #[test]
    fn an_earlier_document_that_is_written_again_does_not_take_a_refused_one_away() {
        let mut ids = RefusedIds::default();
        after(&mut ids, &[item("a", 7)], &[0]);
        for mut ids in [ids, RefusedIds::new(vec![("a".to_owned(), 7)])] {
            assert!(after(&mut ids, &[item("a", 5)], &[]).forget.is_empty(), "by a lane that begins again behind it");
            assert_eq!(after(&mut ids, &[item("a", 8)], &[]).forget, [("a".to_owned(), 8)]);
        }
    }

    #[test]
    fn of_an_id_that_no_server_takes_a_delete_leaves_nothing_to_mend() {
        let long = "x".repeat(513);
        let mut ids = RefusedIds::default();
        assert_eq!(after(&mut ids, &[item(&long, 1)], &[0]).keep.len(), 1);
        let notes = after(&mut ids, &[delete(&long, 2)], &[0]);
        assert_eq!((notes.keep, notes.forget), (Vec::new(), vec![(long, 2)]));
        assert_eq!(after(&mut ids, &[delete("a", 3)], &[0]).keep.len(), 1, "its document may be there");
    }
}
