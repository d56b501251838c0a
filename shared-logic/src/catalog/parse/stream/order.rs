//! Which stream reads which.

use crate::catalog::parse::document::{Table, Text};

/// The table of a stream.
pub(super) struct Entry<'t> {
    pub(super) name: Text<'t>,
    /// What it reads.
    pub(super) from: Option<Text<'t>>,
    pub(super) table: Table<'t>,
}

impl Entry<'_> {
    fn reads(&self, other: &Entry<'_>) -> bool {
        self.from.is_some_and(|from| from.value == other.name.value)
    }
}

/// Each stream behind the one that it reads. Streams that read themselves in the end are reported, and come last.
pub(super) fn in_order(mut waiting: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    let mut ordered = Vec::with_capacity(waiting.len());
    while let Some(next) = waiting.iter().position(|entry| !waiting.iter().any(|other| entry.reads(other))) {
        ordered.push(waiting.remove(next));
    }
    for entry in &waiting {
        if let Some(way) = circle(entry, &waiting) {
            let by_way = if way.is_empty() { String::new() } else { format!(", by way of `{}`", way.join("` and `")) };
            let at = entry.from.map_or(entry.name.at, |from| from.at);
            let what = format!("stream `{}` reads itself{by_way}", entry.name.value);
            entry.table.mistakes.report(at, what, "let one of them read a source");
        }
    }
    ordered.extend(waiting);
    ordered
}

/// The streams between one and itself, if it reads itself.
fn circle<'a, 't>(start: &'a Entry<'t>, all: &'a [Entry<'t>]) -> Option<Vec<&'a str>> {
    let (mut way, mut at) = (Vec::new(), start);
    while way.len() < all.len() {
        at = all.iter().find(|other| at.reads(other))?;
        if at.name.value == start.name.value {
            return Some(way);
        }
        way.push(at.name.value);
    }
    None
}
