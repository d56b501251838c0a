//! A slice of a table, compared with the same slice of an index (I5).

use std::collections::HashMap;

use shared_logic::contracts::index::{IndexCheck, IndexDifference, IndexDifferenceKind, NAMED_MAX};
use shared_logic::index::{DocumentHash, SliceDigest};

/// Ids, and the hashes of their documents.
pub(super) type Hashes = Vec<(String, DocumentHash)>;

/// Compares what the rows of a slice are as documents with what the index has of it, and adds what differs to a check. Ids are looked at only
/// where the digests differ.
pub(super) fn compare(slice: u32, rows: Hashes, documents: Hashes, check: &mut IndexCheck) {
    check.rows += rows.len() as u64;
    check.documents += documents.len() as u64;
    if digest(&rows) == digest(&documents) {
        return;
    }
    let mut differ: Vec<(String, IndexDifferenceKind)> = Vec::new();
    let mut wanted: HashMap<String, DocumentHash> = rows.into_iter().collect();
    for (id, hash) in documents {
        match wanted.remove(&id) {
            Some(wanted) if wanted == hash => {}
            Some(_) => differ.push((id, IndexDifferenceKind::Different)),
            None => differ.push((id, IndexDifferenceKind::Extra)),
        }
    }
    differ.extend(wanted.into_keys().map(|id| (id, IndexDifferenceKind::Missing)));
    differ.sort_unstable();
    for (_, kind) in &differ {
        match kind {
            IndexDifferenceKind::Missing => check.missing += 1,
            IndexDifferenceKind::Extra => check.extra += 1,
            IndexDifferenceKind::Different => check.different += 1,
        }
    }
    check.slices.push(slice);
    let room = NAMED_MAX.saturating_sub(check.first.len());
    check.first.extend(differ.into_iter().take(room).map(|(id, kind)| IndexDifference { id, kind }));
}

fn digest(hashes: &Hashes) -> SliceDigest {
    let mut digest = SliceDigest::default();
    hashes.iter().for_each(|(_, hash)| digest.add(*hash));
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(documents: &[(&str, &str)]) -> Hashes {
        documents.iter().map(|(id, text)| ((*id).to_owned(), DocumentHash::of(id, text.as_bytes()))).collect()
    }

    fn compared(rows: &[(&str, &str)], documents: &[(&str, &str)]) -> IndexCheck {
        let mut check = IndexCheck::default();
        compare(3, hashes(rows), hashes(documents), &mut check);
        check
    }

    #[test]
    fn equal_slices_differ_in_nothing_whatever_their_order() {
        let check = compared(&[("a", "1"), ("b", "2")], &[("b", "2"), ("a", "1")]);
        assert!(check.is_equal() && check.slices.is_empty());
        assert_eq!((check.rows, check.documents), (2, 2));
    }

    #[test]
    fn what_is_missing_too_many_or_different_is_counted_and_named() {
        let check = compared(&[("a", "1"), ("b", "2"), ("c", "3")], &[("b", "9"), ("c", "3"), ("d", "4")]);
        assert_eq!((check.missing, check.extra, check.different), (1, 1, 1));
        assert_eq!(check.slices, [3]);
        let named: Vec<(&str, IndexDifferenceKind)> =
            check.first.iter().map(|one| (one.id.as_str(), one.kind)).collect();
        let wanted = [
            ("a", IndexDifferenceKind::Missing),
            ("b", IndexDifferenceKind::Different),
            ("d", IndexDifferenceKind::Extra),
        ];
        assert_eq!(named, wanted);
    }

    #[test]
    fn only_the_first_ids_are_named() {
        let rows: Vec<(String, String)> = (0..50).map(|n| (format!("u-{n}"), String::new())).collect();
        let rows: Vec<(&str, &str)> = rows.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
        let check = compared(&rows, &[]);
        assert_eq!((check.missing, check.first.len()), (50, NAMED_MAX));
    }
}
