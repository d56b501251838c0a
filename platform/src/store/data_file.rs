//! A data file of a table, as the table's log describes it.

use std::collections::{BTreeMap, HashMap};

use deltalake::kernel::Remove;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ranges::Ranges;

/// A data file of a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its path relative to the table.
    pub path: String,
    /// The value of the table's partition column.
    pub partition: String,
    /// Bytes.
    pub size: i64,
    /// Rows.
    pub rows: u64,
    /// The smallest and largest value of the integer columns for which the writer recorded them.
    pub ranges: HashMap<String, (i64, i64)>,
    /// The smallest and largest value of the text columns for which the writer recorded them.
    pub text_ranges: HashMap<String, (String, String)>,
    /// The smallest and largest value of an integer column within each group of rows, by the columns' and the group's names: see
    /// [`Table::write`](super::Table::write). It tells more than `ranges`, where groups' values lie far from each other.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub group_ranges: HashMap<String, BTreeMap<String, (i64, i64)>>,
}

/// A file with more groups than this records none of them, so that its entry in the log, and the file in memory, stay small.
const GROUPS_MAX: usize = 64;

impl DataFile {
    /// A file of so many bytes and rows.
    pub(super) fn new(path: String, partition: String, (size, rows): (i64, u64), ranges: Ranges) -> DataFile {
        let Ranges { numbers: ranges, texts: text_ranges, groups: mut group_ranges } = ranges;
        group_ranges.retain(|_, groups| groups.len() <= GROUPS_MAX);
        DataFile { path, partition, size, rows, ranges, text_ranges, group_ranges }
    }

    /// Groups files by the value of the partition column.
    pub fn by_partition(files: impl IntoIterator<Item = DataFile>) -> BTreeMap<String, Vec<DataFile>> {
        let mut partitions: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
        for file in files {
            partitions.entry(file.partition.clone()).or_default().push(file);
        }
        partitions
    }

    /// Whether the file may hold rows whose value in that column lies in `[from, to]`.
    pub fn may_hold(&self, column: &str, from: i64, to: i64) -> bool {
        self.ranges.get(column).is_none_or(|(low, high)| *low <= to && from <= *high)
    }

    /// Whether the file may hold rows with that text in that column.
    pub fn may_hold_text(&self, column: &str, text: &str) -> bool {
        self.text_ranges.get(column).is_none_or(|(low, high)| low.as_str() <= text && text <= high.as_str())
    }

    /// Whether the file may hold rows of that group whose value lies in `[from, to]`; `columns` are as the writer has named them.
    pub fn may_hold_in_group(&self, columns: &str, group: &str, from: i64, to: i64) -> bool {
        let lies_in = |(low, high): &(i64, i64)| *low <= to && from <= *high;
        self.group_ranges.get(columns).is_none_or(|groups| groups.get(group).is_some_and(lies_in))
    }

    /// Its rows and ranges as Delta statistics. Those of groups are besides, where readers that do not know them look for nothing.
    pub(super) fn stats(&self) -> Value {
        let mut min = serde_json::Map::new();
        let mut max = serde_json::Map::new();
        for (name, (low, high)) in &self.ranges {
            min.insert(name.clone(), (*low).into());
            max.insert(name.clone(), (*high).into());
        }
        for (name, (low, high)) in &self.text_ranges {
            min.insert(name.clone(), low.as_str().into());
            max.insert(name.clone(), high.as_str().into());
        }
        let mut stats = json!({"numRecords": self.rows, "minValues": min, "maxValues": max, "nullCount": {}});
        if !self.group_ranges.is_empty() {
            stats[GROUP_RANGES] = json!(self.group_ranges);
        }
        stats
    }

    /// The action that removes it.
    pub(super) fn remove_action(&self, deletion_ms: i64, partition_column: &str) -> Remove {
        Remove {
            path: self.path.clone(),
            data_change: true,
            deletion_timestamp: Some(deletion_ms),
            extended_file_metadata: Some(true),
            partition_values: Some(HashMap::from([(partition_column.to_owned(), Some(self.partition.clone()))])),
            size: Some(self.size),
            ..Remove::default()
        }
    }
}

/// The member of Delta statistics that holds the ranges of groups.
const GROUP_RANGES: &str = "braidGroupRanges";

/// The number of rows and the ranges from a file's Delta statistics, as far as these contain them.
pub(super) fn parse_stats(stats: &str) -> (u64, Ranges) {
    let stats: Value = serde_json::from_str(stats).unwrap_or_default();
    let rows = stats["numRecords"].as_u64().unwrap_or_default();
    let groups = serde_json::from_value(stats[GROUP_RANGES].clone()).unwrap_or_default();
    let mut ranges = Ranges { groups, ..Ranges::default() };
    for (name, low) in stats["minValues"].as_object().into_iter().flatten() {
        let high = &stats["maxValues"][name];
        if let (Some(low), Some(high)) = (low.as_i64(), high.as_i64()) {
            ranges.numbers.insert(name.clone(), (low, high));
        } else if let (Some(low), Some(high)) = (low.as_str(), high.as_str()) {
            ranges.texts.insert(name.clone(), (low.to_owned(), high.to_owned()));
        }
    }
    (rows, ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &str = "log/partition/offset";

    fn file(groups: impl IntoIterator<Item = (String, (i64, i64))>) -> DataFile {
        let groups = HashMap::from([(COLUMNS.to_owned(), groups.into_iter().collect())]);
        DataFile::new("f".to_owned(), "d".to_owned(), (1, 7), Ranges { groups, ..Ranges::default() })
    }

    #[test]
    fn a_file_says_what_it_holds_of_each_group_and_its_statistics_do_too() {
        let file = file([("a/0", (3, 9)), ("a/1", (100, 101))].map(|(group, range)| (group.to_owned(), range)));
        let holds = |group: &str, from, to| file.may_hold_in_group(COLUMNS, group, from, to);
        assert!(holds("a/0", 9, 20) && holds("a/0", 0, 3) && holds("a/1", 50, 100));
        assert!(!holds("a/0", 10, 99) && !holds("a/1", 0, 99) && !holds("a/2", 0, 1_000));
        assert!(file.may_hold_in_group("of another build", "a/0", 10, 99), "nothing is known");
        let (rows, ranges) = parse_stats(&file.stats().to_string());
        assert_eq!((rows, ranges.groups), (7, file.group_ranges));
    }

    #[test]
    fn a_file_of_very_many_groups_records_none() {
        let groups = |count: usize| (0..count).map(|group| (format!("a/{group}"), (0, 1)));
        assert_eq!(file(groups(GROUPS_MAX)).group_ranges[COLUMNS].len(), GROUPS_MAX);
        assert!(file(groups(GROUPS_MAX + 1)).group_ranges.is_empty());
    }
}
