//! What is kept of each reconcile of a metric: what it moved from one view to the other, and the drift between the layers that it
//! measured; and of each check of a stream or a search index: what it compared, and what was not as it should be. In the Delta table
//! `<name>/reconciliations/<version>`.
//!
//! A row has the columns [`METRIC`] to [`UNEXPLAINED`], for programs that read the table, and everything as JSON in [`RECORD`]. The
//! table is partitioned by the source. A row is written after the commit of the view that it is about, and is named by the metric, the
//! view's version and the moment of that commit: so it is written once, or not at all if the process is killed in between.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::catalog::DefinitionHash;
use crate::contracts::index::IndexCheck;
use crate::log::OffsetRange;

/// The partition column: the source's name.
pub const SOURCE: &str = "_source";
/// The metric's name.
pub const METRIC: &str = "metric";
/// The version of the batch view's table.
pub const VIEW_VERSION: &str = "view_version";
/// When the view was committed, an instant.
pub const RECONCILED_AT: &str = "reconciled_at";
/// How long the reconcile took, in milliseconds.
pub const TOOK_MS: &str = "took_ms";
/// Archive rows and entries of the index that were read.
pub const ROWS_READ: &str = "rows_read";
/// New events that were added to the view.
pub const ROWS_ADDED: &str = "rows_added";
/// Hours that were recomputed.
pub const HOURS_RECOMPUTED: &str = "hours_recomputed";
/// Whether speed and batch could be compared.
pub const COMPARABLE: &str = "comparable";
/// Why not, as a word; null if they could.
pub const REASON: &str = "reason";
/// How many buckets were compared; null if none could be.
pub const BUCKETS: &str = "buckets";
/// In how many of them the layers differ.
pub const DIFFERING: &str = "differing";
/// How many events speed had counted too many.
pub const DUPLICATES: &str = "duplicates";
/// In how many buckets a difference has another cause than duplicates.
pub const UNEXPLAINED: &str = "unexplained";
/// All of it as JSON, a [`Reconciliation`].
pub const RECORD: &str = "record";

/// Of how many partitions a row names the offsets. Of more, it only says how many there are.
pub const PARTITIONS_MAX: usize = 64;

/// Where the table lies below the deployment's root, `<store.url>/<name>`.
pub fn path(version: &str) -> String {
    format!("reconciliations/{version}")
}

/// One reconcile of one metric, or one check of one stream or of one search index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reconciliation {
    /// The metric's name, the stream's or the index's.
    pub metric: String,
    /// The definition that the view counts, or that the stream or the index has in the catalog.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub definition: DefinitionHash,
    /// The version of the view's table after the commit; for a check, of the archive that the stream reads, or of the materialised table.
    pub view_version: u64,
    /// When the view was committed, or the stream or index was checked, microseconds since 1970 by that process's clock.
    #[serde(with = "instant", rename = "reconciled_at")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub reconciled_at_us: i64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How many offsets moved from the speed view to the batch view.
    pub offsets: u64,
    /// Of how many partitions.
    pub partitions: u64,
    /// Which ones, of at most [`PARTITIONS_MAX`] partitions.
    pub ranges: Vec<MovedRange>,
    /// Archive rows and entries of the index that were read.
    pub rows_read: u64,
    /// New events that were added to the view.
    pub rows_added: u64,
    /// Hours that were recomputed.
    pub hours_recomputed: u64,
    /// Whether speed and batch could be compared.
    pub comparable: bool,
    /// Why not, as a word.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub reason: Option<String>,
    /// Why not, as a sentence.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub detail: Option<String>,
    /// How they compare.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub drift: Option<Drift>,
    /// Of a check of a stream: what it found. Nothing of a reconcile of a metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_check: Option<StreamCheck>,
    /// Of a check of a search index: what it found. Nothing of a reconcile of a metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_check: Option<IndexCheck>,
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// A reconcile of a metric.
    Metric,
    /// A check of a stream.
    Stream,
    /// A check of a search index.
    Index,
}

/// What a stream's archive holds, compared with what its definition decides again of the same offsets. `missing`, `extra` and
/// `different` are zero as long as every output is written once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamCheck {
    /// How many outputs were decided again and found in the archive.
    pub outputs: u64,
    /// How many events were decided again to be late. Side outputs are not archived, so these are not compared.
    pub late: u64,
    /// How many outputs the archive lacks.
    pub missing: u64,
    /// How many it has that are not decided again, or that it has twice.
    pub extra: u64,
    /// How many of `outputs` have another key or another content.
    pub different: u64,
    /// The first of these, by partition and position.
    pub first: Vec<OutputDifference>,
    /// What was not compared.
    pub not_compared: Vec<NotCompared>,
    /// T12: how many keys were seen in several partitions: of the keys by which the source's records have to be divided.
    pub split_keys: u64,
    /// A record of one of them, `log/partition/offset`. The key itself may name a person.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub split_record: Option<String>,
}

/// An output that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputDifference {
    /// Its id.
    pub id: String,
    /// What is wrong.
    pub kind: DifferenceKind,
}

/// What is wrong with an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// It is not there.
    Missing,
    /// It should not be there, or not twice.
    Extra,
    /// It has another key or another content.
    Different,
}

/// Offsets whose outputs were not compared, `[from, to)`, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotCompared {
    /// The log that the stream reads.
    pub log: String,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
    /// Why, as a word.
    pub reason: String,
}

/// Offsets of a partition, `[from, to)`, that a reconcile moved: from the old cut to the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MovedRange {
    /// The log.
    pub log: String,
    /// The partition.
    pub partition: i32,
    /// The old cut.
    pub from: i64,
    /// The new cut.
    pub to: i64,
}

/// What speed had said of some offsets, compared with what batch found there, everything together per bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Drift {
    /// How many buckets were compared: all in which either layer has an event.
    pub buckets: u64,
    /// In how many of them any measure differs.
    pub differing: u64,
    /// How many events speed had counted too many: copies that lie beyond its window.
    pub duplicates: u64,
    /// In how many buckets a difference has another cause. It should be none.
    pub unexplained: u64,
    /// One for each measure, in the catalog's order.
    pub measures: Vec<MeasureDrift>,
}

/// The drift of one measure. Buckets with an overflow are counted and otherwise left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeasureDrift {
    /// The measure's name.
    pub name: String,
    /// What speed had counted.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub speed: Json,
    /// What batch found.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub batch: Json,
    /// The first less the second; null for a minimum or maximum.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub difference: Json,
    /// How much of the difference is copies beyond the window; null for a minimum or maximum.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub duplicates: Json,
    /// How much of it is neither; null for a minimum or maximum.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub unexplained: Json,
    /// How many buckets differ.
    pub differing_buckets: u64,
    /// In how many buckets a sum left its 64 bits where speed kept it.
    pub overflowed_buckets: u64,
    /// How many buckets differ for another reason than copies.
    pub unexplained_buckets: u64,
    /// The bucket that differs most.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub largest: Option<LargestDifference>,
}

/// A bucket, and both values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LargestDifference {
    /// Where it starts, RFC 3339.
    pub bucket: String,
    /// What speed had counted in it.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub speed: Json,
    /// What batch found.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub batch: Json,
}

impl Reconciliation {
    /// What tells it from any other.
    pub fn id(&self) -> (RowKind, &str, u64, i64) {
        (self.kind(), &self.metric, self.view_version, self.reconciled_at_us)
    }

    /// What it is about.
    pub fn kind(&self) -> RowKind {
        if self.stream_check.is_some() {
            RowKind::Stream
        } else if self.index_check.is_some() {
            RowKind::Index
        } else {
            RowKind::Metric
        }
    }
}

impl StreamCheck {
    /// How many outputs are not as they should be.
    pub fn differences(&self) -> u64 {
        self.missing + self.extra + self.different
    }
}

impl DifferenceKind {
    /// The kind as a word.
    pub fn name(self) -> &'static str {
        match self {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Extra => "extra",
            DifferenceKind::Different => "different",
        }
    }
}

impl From<&OffsetRange> for MovedRange {
    fn from(range: &OffsetRange) -> MovedRange {
        let OffsetRange { id, from, to } = range;
        MovedRange { log: id.log.clone(), partition: id.partition, from: *from, to: *to }
    }
}

/// Instants as texts.
mod instant {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::{format_rfc3339, parse_rfc3339};

    pub(super) fn serialize<S: Serializer>(instant_us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_rfc3339(*instant_us))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_rfc3339(text.as_bytes()).ok_or_else(|| D::Error::custom(format_args!("no instant: {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let row = Reconciliation {
            metric: "views".to_owned(),
            definition: "00000000000000aa".parse().expect("16 digits"),
            view_version: 17,
            reconciled_at_us: 1_777_023_012_345_678,
            took_ms: 812,
            offsets: 1_000,
            partitions: 1,
            ranges: vec![MovedRange { log: "log".to_owned(), partition: 0, from: 5, to: 1_005 }],
            rows_read: 1_000,
            rows_added: 964,
            hours_recomputed: 0,
            comparable: false,
            reason: Some("lost".to_owned()),
            detail: Some("offsets were lost".to_owned()),
            drift: None,
            stream_check: None,
            index_check: None,
        };
        let text = serde_json::to_string(&row).expect("written");
        assert!(text.contains(r#""reconciled_at":"2026-04-24T09:30:12.345678Z""#), "{text}");
        assert!(!text.contains("_check"), "rows of metrics look as they did before there were streams: {text}");
        assert_eq!(serde_json::from_str::<Reconciliation>(&text).expect("read"), row);
        let first = vec![OutputDifference { id: "w/v1/log/0/7/0".to_owned(), kind: DifferenceKind::Missing }];
        let check = StreamCheck { outputs: 5, missing: 1, first, ..StreamCheck::default() };
        let checked = Reconciliation { stream_check: Some(check), ..row.clone() };
        let text = serde_json::to_string(&checked).expect("written");
        assert!(text.contains(r#""first":[{"id":"w/v1/log/0/7/0","kind":"missing"}]"#), "{text}");
        assert_eq!(serde_json::from_str::<Reconciliation>(&text).expect("read"), checked);
        assert_ne!(row.id(), checked.id(), "a metric and a stream may have one name");
        let check = IndexCheck { rows: 7, ..IndexCheck::default() };
        let of_index = Reconciliation { index_check: Some(check), ..row.clone() };
        let text = serde_json::to_string(&of_index).expect("written");
        assert_eq!(serde_json::from_str::<Reconciliation>(&text).expect("read"), of_index);
        let kinds = [&row, &checked, &of_index].map(Reconciliation::kind);
        assert_eq!(kinds, [RowKind::Metric, RowKind::Stream, RowKind::Index]);
    }
}
