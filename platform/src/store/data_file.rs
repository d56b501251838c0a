//! A data file of a table, as the table's log describes it.

use std::collections::{BTreeMap, HashMap};

use deltalake::kernel::Remove;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}

impl DataFile {
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

    /// Its rows and ranges as Delta statistics.
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
        json!({"numRecords": self.rows, "minValues": min, "maxValues": max, "nullCount": {}})
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

type Stats = (u64, HashMap<String, (i64, i64)>, HashMap<String, (String, String)>);

/// The number of rows and the ranges from a file's Delta statistics, as far as these contain them.
pub(super) fn parse_stats(stats: &str) -> Stats {
    let stats: Value = serde_json::from_str(stats).unwrap_or_default();
    let rows = stats["numRecords"].as_u64().unwrap_or_default();
    let (mut ranges, mut text_ranges) = (HashMap::new(), HashMap::new());
    for (name, low) in stats["minValues"].as_object().into_iter().flatten() {
        let high = &stats["maxValues"][name];
        if let (Some(low), Some(high)) = (low.as_i64(), high.as_i64()) {
            ranges.insert(name.clone(), (low, high));
        } else if let (Some(low), Some(high)) = (low.as_str(), high.as_str()) {
            text_ranges.insert(name.clone(), (low.to_owned(), high.to_owned()));
        }
    }
    (rows, ranges, text_ranges)
}
