//! Whether an answer may still count events that were erased from the archive.
//!
//! A view leaves them out once it was counted from a version of the archive without them. Slices hold them below the offset that the
//! archive had reached when it erased them, so no slice with them is added once the cut has passed that. A deployment whose version has
//! no view yet counts everything that the log still holds, whenever that was erased.

use crate::contracts::archive::Facts;
use crate::contracts::batch_view::Note;

/// Whether that view, or slices from its cut on, may count events that these facts say were erased. `view` is one that can be used.
pub(super) fn may_be_counted(facts: &Facts, view: Option<&Note>) -> bool {
    let counted_from = view.map_or(0, |note| note.archive_version);
    let mut erased = facts.partitions().filter_map(|(id, known)| Some((id, known.begin, known.erased_below?)));
    facts.erased_since(counted_from).next().is_some()
        || erased.any(|(id, begin, below)| view.and_then(|note| note.cut.get(&id)).unwrap_or(begin) < below)
}
