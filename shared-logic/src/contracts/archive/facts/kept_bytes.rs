//! Of which records only the columns are archived, and not the bytes (R11).
//!
//! They can be counted under the rules that they were decoded under. Under others they can be if they were archived before bytes were
//! kept, and the [`OlderLayout`] tells all that these rules read.

use serde::{Deserialize, Serialize};

use super::{Facts, OlderLayout, PartitionFacts};
use crate::catalog::{DecodingRules, RulesHash};
use crate::log::PartitionId;

/// Offsets of which only the columns are archived, `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ColumnsOnly {
    /// The rules that the columns were decoded under.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rules: RulesHash,
    /// The first offset.
    pub from: i64,
    /// The first offset after them.
    pub to: i64,
    /// Whether an operator accepted that metrics under other rules leave them out.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub accepted: bool,
    /// The version of the archive that holds them under these rules, if they were archived again, in place of columns of
    /// other rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_again: Option<u64>,
    /// Whether its events are of the older layout that the facts note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub older_layout: bool,
}

/// Which ranges of columns can be decoded under some rules.
#[derive(Debug, Clone, Copy)]
pub struct Decodable<'a> {
    rules: &'a RulesHash,
    /// Whether these rules read the older layout.
    reads_older_layout: bool,
}

impl Decodable<'_> {
    /// Whether that range can be.
    pub fn holds(&self, range: &ColumnsOnly) -> bool {
        range.rules == *self.rules || (range.older_layout && self.reads_older_layout)
    }
}

impl Facts {
    /// Notes that an archiver that keeps bytes has started. All that was archived before has columns only; it is taken
    /// to be decoded under the rules of that first archiver, and to have that layout, if it is known. Afterwards this changes nothing.
    pub fn keep_bytes(&mut self, rules: &RulesHash, layout: Option<OlderLayout>) {
        if std::mem::replace(&mut self.keeps_bytes, true) {
            return;
        }
        for partition in self.partitions_mut().filter(|partition| partition.begin < partition.next) {
            let range = ColumnsOnly::new(rules, partition.begin, partition.next);
            partition.add_columns_only(ColumnsOnly { older_layout: layout.is_some(), ..range });
        }
        if self.columns_only().next().is_some() {
            (self.unnamed_rules, self.older_layout) = (Some(rules.clone()), layout);
        }
    }

    /// Notes that only the columns of the offsets `[from, to)` are archived.
    pub fn note_columns_only(&mut self, id: &PartitionId, rules: &RulesHash, from: i64, to: i64) {
        if let Some(partition) = self.log_mut(&id.log).partitions.get_mut(&id.partition)
            && from < to
        {
            partition.add_columns_only(ColumnsOnly::new(rules, from, to));
        }
    }

    /// Every range of which only the columns are archived.
    pub fn columns_only(&self) -> impl Iterator<Item = (PartitionId, &ColumnsOnly)> {
        self.partitions()
            .flat_map(|(id, partition)| partition.columns_only.iter().map(move |range| (id.clone(), range)))
    }

    /// Says which of them can be decoded under those rules.
    pub fn decodable<'a>(&self, rules: &'a DecodingRules) -> Decodable<'a> {
        let layout = self.older_layout.as_ref().zip(rules.source());
        let reads_older_layout = layout.is_some_and(|(layout, source)| layout.is_read_by(source));
        Decodable { rules: rules.hash(), reads_older_layout }
    }

    /// The ranges that cannot be decoded under those rules, and that no operator has accepted.
    pub fn not_decodable<'a>(
        &'a self,
        rules: &'a DecodingRules,
    ) -> impl Iterator<Item = (PartitionId, &'a ColumnsOnly)> + 'a {
        let decodable = self.decodable(rules);
        self.columns_only().filter(move |(_, range)| !decodable.holds(range) && !range.accepted)
    }

    /// Accepts, as an operator asked for, that what cannot be decoded under those rules is left out of metrics under
    /// them; returns how many ranges there were.
    pub fn accept_not_decodable(&mut self, rules: &DecodingRules) -> usize {
        let decodable = self.decodable(rules);
        let ranges = self.partitions_mut().flat_map(|partition| &mut partition.columns_only);
        ranges.filter(|range| !decodable.holds(range) && !range.accepted).map(|range| range.accepted = true).count()
    }
}

impl ColumnsOnly {
    /// What was archived under those rules by an archiver that keeps few bytes.
    fn new(rules: &RulesHash, from: i64, to: i64) -> ColumnsOnly {
        ColumnsOnly { rules: rules.clone(), from, to, accepted: false, archived_again: None, older_layout: false }
    }

    /// Whether both are the same but for their offsets, and for when they were archived again.
    fn is_like(&self, other: &ColumnsOnly) -> bool {
        (&self.rules, self.accepted, self.older_layout) == (&other.rules, other.accepted, other.older_layout)
    }
}

impl PartitionFacts {
    /// Adds a range that follows all others. If it continues the last one, both become one.
    pub(super) fn add_columns_only(&mut self, range: ColumnsOnly) {
        match self.columns_only.last_mut() {
            Some(last) if last.to == range.from && last.is_like(&range) => {
                last.to = range.to;
                last.archived_again = last.archived_again.max(range.archived_again);
            }
            _ => self.columns_only.push(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{DataType, PlSmallStr, Schema};

    use super::*;
    use crate::catalog::{Catalog, Source};
    use crate::contracts::archive::EXTRA;

    fn range(rules: &str, from: i64, to: i64) -> ColumnsOnly {
        ColumnsOnly::new(&rules.into(), from, to)
    }

    #[test]
    fn what_was_archived_before_bytes_were_kept_counts_under_its_own_rules_only() {
        let (id, rules, other) = (PartitionId::new("log", 0), DecodingRules::from("a"), DecodingRules::from("b"));
        let mut facts = Facts::default();
        facts.begin(&id, 3);
        facts.begin(&PartitionId::new("log", 1), 0);
        assert!(facts.advance(&id, 3, 10));
        facts.keep_bytes(rules.hash(), None);
        facts.keep_bytes(other.hash(), None);
        assert_eq!(facts.unnamed_rules.as_ref(), Some(rules.hash()));
        assert_eq!(facts.not_decodable(&rules).count(), 0);
        assert_eq!(facts.not_decodable(&other).collect::<Vec<_>>(), [(id.clone(), &range("a", 3, 10))]);

        assert_eq!(facts.accept_not_decodable(&rules), 0);
        assert_eq!(facts.accept_not_decodable(&other), 1);
        assert_eq!(facts.not_decodable(&other).count(), 0);
    }

    #[test]
    fn a_new_archive_has_nothing_without_bytes() {
        let mut facts = Facts::default();
        facts.keep_bytes(&RulesHash::from("a"), Some(layout(&source("int"))));
        assert_eq!((facts.unnamed_rules.clone(), facts.columns_only().count()), (None, 0));
        assert_eq!(facts.older_layout, None);
    }

    /// A source whose field `k` has that type.
    fn source(k: &str) -> Source {
        let text = format!("[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\nk = {k:?}\n");
        Catalog::parse(&text).expect("a valid catalog").sources["s"].clone()
    }

    /// That of a table which was written under the rules of that source.
    fn layout(source: &Source) -> OlderLayout {
        let fields = source.fields.iter().map(|field| (PlSmallStr::from(field.name.as_str()), field.kind.table_type()));
        let declared: Schema = fields.chain([(PlSmallStr::from(EXTRA), DataType::String)]).collect();
        OlderLayout::of(source, &declared).expect("a known layout")
    }

    #[test]
    fn the_older_layout_is_no_gap_under_rules_that_read_it_and_other_columns_are() {
        let (id, own) = (PartitionId::new("log", 0), source("float"));
        let mut facts = Facts::default();
        facts.begin(&id, 0);
        assert!(facts.advance(&id, 0, 4));
        facts.keep_bytes(&own.rules(), Some(layout(&own)));
        // Of the same rules, by an archiver that keeps the bytes of invalid records only: what undeclared members held is lost.
        facts.note_columns_only(&id, &own.rules(), 4, 6);

        let gaps = |facts: &Facts, source: &Source| -> Vec<(i64, i64)> {
            facts.not_decodable(&source.decoding_rules()).map(|(_, range)| (range.from, range.to)).collect()
        };
        assert_eq!(gaps(&facts, &own), []);
        assert_eq!(gaps(&facts, &source("float?")), [(4, 6)]);
        assert_eq!(gaps(&facts, &source("int")), [(0, 4), (4, 6)], "a float does not tell whether it was an integer");
        let only_named: Vec<_> = facts.not_decodable(&"other".into()).map(|(_, range)| range.from).collect();
        assert_eq!(only_named, [0, 4], "of these rules nothing else is known");

        let text = serde_json::to_string(&facts).expect("written");
        assert_eq!(serde_json::from_str::<Facts>(&text).expect("read"), facts);
        assert!(text.starts_with("{\"format\":4,"), "{text}");
        assert_eq!(facts.accept_not_decodable(&source("float?").decoding_rules()), 1);
        assert_eq!(gaps(&facts, &source("int")), [(0, 4)]);
    }

    #[test]
    fn ranges_of_equal_rules_that_touch_are_one() {
        let id = PartitionId::new("log", 0);
        let mut facts = Facts::default();
        facts.begin(&id, 0);
        for (rules, from, to) in [("a", 0, 2), ("a", 2, 2), ("a", 2, 5), ("b", 5, 6), ("a", 6, 7), ("a", 9, 10)] {
            facts.note_columns_only(&id, &rules.into(), from, to);
        }
        let ranges = facts.columns_only().map(|(_, range)| range.clone()).collect::<Vec<_>>();
        assert_eq!(ranges, [range("a", 0, 5), range("b", 5, 6), range("a", 6, 7), range("a", 9, 10)]);
    }
}
