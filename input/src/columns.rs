//! The names of a file's columns.

use std::collections::HashSet;

/// The first name that comes a second time; `None` if each comes once. Which of two columns with one name is meant would be a guess.
pub(crate) fn twice<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
