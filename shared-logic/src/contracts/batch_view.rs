//! The Delta batch view of one metric: exact partials of every event below the cut, in
//! `<name>/views/<version>/<metric>`.
//!
//! Its rows are `bucket`, the `by` columns (null where events lack one) and a column per measure, partitioned by the bucket's
//! day. They are *partials*: a commit adds rows for events that are new, so several rows may have the same key and bucket, in
//! several files or in one. Whoever reads them merges them by the law of each measure: counts and sums add up, of minima the
//! smallest counts and of maxima the largest; a null minimum or maximum says nothing. A sum that leaves 64 bits stands in several
//! rows, whose other measures are those of no event (0, or null for minima and maxima). A null sum is an overflow that an older
//! build has written.
//!
//! The rows of each file are sorted by the `by` columns in the metric's order, null first and texts by their bytes, and then by
//! bucket. Small files of a day are merged while others are added.
//!
//! Each commit carries a [`Note`] in the same write as the rows: the cut, whose definition it counts, and which archive it read.

use serde::{Deserialize, Serialize};

use crate::catalog::DefinitionHash;
use crate::log::Offsets;

/// The Delta metadata domain that holds the [`Note`].
pub const NOTE_DOMAIN: &str = "braid.view";
/// Where the note's JSON has an entry for each log: most of these are over and do not change any more.
pub const NOTE_LOGS: &str = "/cut";

/// The column of a row's bucket: its start, an instant.
pub const BUCKET: &str = "bucket";
/// The partition column: the bucket's day, `YYYY-MM-DD`.
pub const DAY: &str = "_day";

/// Where a metric's view lies below the deployment's root, `<store.url>/<name>`.
pub fn path(version: &str, metric: &str) -> String {
    format!("views/{version}/{metric}")
}

/// What a commit of a batch view says of its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The definition by which every row was counted.
    pub definition: DefinitionHash,
    /// Per partition, the first offset that the view does not hold.
    pub cut: Offsets,
    /// The version of the archive that was read.
    pub archive_version: u64,
    /// The first day, in days since 1970, that the view holds; `None`: it holds every day. Events of earlier days are in no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_before: Option<i64>,
    /// When it was committed, microseconds since 1970 by the committer's clock; for information only.
    pub committed_at_us: i64,
}

impl Note {
    /// Whether the view holds no rows of that day, in days since 1970, because they were taken out or could not be counted any more.
    pub fn is_retired(&self, day: i64) -> bool {
        self.retired_before.is_some_and(|before| day < before)
    }
}
