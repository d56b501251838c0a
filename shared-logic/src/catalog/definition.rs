//! The hash that names what a metric counts.
//!
//! Counters in Redis and batch views carry the hash, so that no answer contains numbers of another definition. It covers
//! everything that can change a count: how the source's bytes become events, which events are duplicates or too old, `where`,
//! `by`, `grain`, the measures, and [`PLAN_VERSION`]. It leaves out what cannot change a count: where records lie (topic,
//! partitions, start, key), what is computed after merging (`derived`), and the layout of the catalog.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Metric, Source, rules};

/// Raise this when a change of this crate makes the same catalog count differently. Every view is rebuilt then.
pub const PLAN_VERSION: u32 = 2;

/// Names what a metric counts: 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DefinitionHash(String);

/// The text is not a [`DefinitionHash`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no definition hash of 16 lower-case hexadecimal digits")]
pub struct NotADefinitionHash(String);

impl DefinitionHash {
    /// The hash that no definition has: of a view whose rows say nothing. That a catalog's definition has it by accident is as
    /// unlikely as that two definitions have one hash.
    pub fn of_none() -> DefinitionHash {
        DefinitionHash("0".repeat(16))
    }

    /// The 16 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DefinitionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DefinitionHash {
    type Err = NotADefinitionHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DefinitionHash::try_from(text.to_owned())
    }
}

impl TryFrom<String> for DefinitionHash {
    type Error = NotADefinitionHash;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits && text.len() == 16 { Ok(DefinitionHash(text)) } else { Err(NotADefinitionHash(text)) }
    }
}

impl From<DefinitionHash> for String {
    fn from(hash: DefinitionHash) -> String {
        hash.0
    }
}

/// The hash of a metric over its source.
pub(super) fn hash(source: &Source, metric: &Metric) -> DefinitionHash {
    let text = canonical(source, metric, PLAN_VERSION);
    DefinitionHash(format!("{:016x}", xxh3_64(text.as_bytes())))
}

/// The text that is hashed, one fact a line. Names contain no spaces and expressions are quoted, so different definitions
/// have different texts.
fn canonical(source: &Source, metric: &Metric, plan_version: u32) -> String {
    let mut text = format!("plan {plan_version}\n{}", rules::decoding(source));
    writeln!(text, "dedup_window {}", source.dedup_window).expect("a String takes any text");
    let mut line = |fact: fmt::Arguments<'_>| writeln!(text, "{fact}").expect("a String takes any text");
    if let Some(filter) = &metric.filter {
        line(format_args!("where {:?}", filter.to_string()));
    }
    line(format_args!("by {}", metric.by.join(" ")));
    line(format_args!("grain_us {}", metric.grain_us));
    for measure in &metric.measures {
        let of = measure.of.as_ref().map(ToString::to_string).unwrap_or_default();
        line(format_args!("measure {} {:?} {of:?}", measure.name, measure.kind));
    }
    text
}

#[cfg(test)]
mod tests;
