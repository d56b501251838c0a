//! What a segment was made from. Equal origins have equal rows, so a segment may be used again, by another process as well.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use shared_logic::catalog::DefinitionHash;
use shared_logic::time::format_day;
use xxhash_rust::xxh3::xxh3_128;

/// The days that a segment covers. A day is its number since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Period {
    /// One day.
    Day(i64),
    /// The calendar month that begins with this day.
    Month(i64),
}

/// What a segment was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The path of the view's table below the deployment's folder.
    pub(crate) table: String,
    /// What the view counts.
    pub(crate) definition: DefinitionHash,
    pub(crate) period: Period,
    /// Of a day: the paths of its files in the table. Of a month: the digests of its days' origins.
    pub(crate) sources: BTreeSet<String>,
}

impl Origin {
    /// Names the origin in 128 bits.
    pub(crate) fn digest(&self) -> String {
        let text = serde_json::to_vec(self).expect("an origin is plain data");
        format!("{:032x}", xxh3_128(&text))
    }

    /// Whether all that `other` was made from is part of what this is made from, so that only the rest has to be added.
    pub(crate) fn includes(&self, other: &Origin) -> bool {
        self.is_like(other) && other.sources.is_subset(&self.sources)
    }

    /// Whether the other is of the same period, table and definition.
    pub(crate) fn is_like(&self, other: &Origin) -> bool {
        (self.period, &self.table, &self.definition) == (other.period, &other.table, &other.definition)
    }
}

/// `2026-04-23` for a day, `2026-04` for a month.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Day(day) => f.write_str(&format_day(*day)),
            Period::Month(day) => {
                let day = format_day(*day);
                f.write_str(day.rsplit_once('-').map_or(day.as_str(), |(month, _)| month))
            }
        }
    }
}
