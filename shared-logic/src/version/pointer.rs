//! The pointer: which version answers, and all that is known of the others (K1).
//!
//! It is JSON in `<name>/active/<number>.json`. The greatest number counts. Numbers have no holes and none is removed, so a process that
//! knows one finds newer ones by asking for the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::{Changed, DefinitionHash};
use crate::log::Offsets;

/// The layout that this code reads and writes.
pub const FORMAT: u32 = 1;
/// The folder of pointers, below the deployment's root.
pub const FOLDER: &str = "active";
/// The folder of the versions' catalogs and reports, below the deployment's root.
pub const CATALOGS: &str = "versions";

/// What is decided about the versions of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// [`FORMAT`].
    pub format: u32,
    /// The step that made it.
    pub change: Change,
    /// The first version, which is that of the catalog file.
    pub first: String,
    /// The version that answers a request which names none.
    pub active: String,
    /// The one that was active before; `None` if there was none, or it is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Every version that there ever was, by name. A name is never used again.
    pub versions: BTreeMap<String, Recorded>,
    /// The newest promotions, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promotions: Vec<Promotion>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// A random name, by which a process knows its own step again if the reply was lost.
    pub id: String,
    /// When it was taken, microseconds since 1970. For information only.
    pub at_us: i64,
    /// Who took it.
    pub by: String,
    /// What it was, for example `promote v2`.
    pub what: String,
}

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its place in the order in which versions were created; that of the first is 0.
    pub number: u32,
    /// When it was created, microseconds since 1970.
    pub created_at_us: i64,
    /// The hash of its catalog's text; `None`: its catalog is the file that processes are started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
    /// The generations of what it does not share with the first version.
    #[serde(default)]
    pub changed: Changed,
    /// How far it has come.
    pub stage: Stage,
    /// How it was computed; `None` for the first version, and before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayRecord>,
    /// The newest verification that found no difference (K6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// When it stopped being the active version, microseconds since 1970; `None` if it never was, or is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_active_us: Option<i64>,
}

/// How far a version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It has a catalog, and nothing is counted.
    Created,
    /// The batch layer counts the archive for it; its shards must not be opened yet.
    Counting,
    /// The speed layer counts it, from the begin or from where the archive was counted to, and from then on.
    Following,
    /// It was following or counting, and is to go on later.
    Stopped,
    /// It is being removed. No process counts or answers for it.
    Retiring,
    /// It is removed.
    Retired,
}

/// What a replay reads (K5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayFrom {
    /// The log, from its begin; the archive only of logs that have ended.
    Log,
    /// The archive up to a cut, and the log from there.
    Archive,
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRecord {
    /// What it reads.
    pub from: ReplayFrom,
    /// When it was started, microseconds since 1970.
    pub started_at_us: i64,
}

/// A verification that found no difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When it was done, microseconds since 1970.
    pub at_us: i64,
    /// By source, the offsets below which everything was compared.
    pub offsets: BTreeMap<String, Offsets>,
    /// By metric, the definition that was compared.
    pub definitions: BTreeMap<String, DefinitionHash>,
    /// The code that counted and compared, see [`code`](super::code).
    pub code: String,
    /// Where its report lies, without the ending, see [`report_path`].
    pub report: String,
}

/// Another version became the active one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// When, microseconds since 1970.
    pub at_us: i64,
    /// Who did it.
    pub by: String,
    /// The version that was active.
    pub from: String,
    /// The version that is.
    pub to: String,
    /// What had been verified of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// How far its answers were behind, milliseconds; `None` if that was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// What was overridden, see [`Obstacle::word`](super::Obstacle::word).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<String>,
    /// Whether it went back to the version before.
    #[serde(default)]
    pub rolled_back: bool,
}

/// Why a text is no pointer that this code understands.
#[derive(Debug, thiserror::Error)]
pub enum PointerError {
    /// It is not what Braid writes.
    #[error("it is no pointer to versions that Braid wrote")]
    NotAPointer(#[from] serde_json::Error),
    /// A newer version of Braid wrote it.
    #[error("it has format {0}, and this build reads format {FORMAT}: run the build that wrote it, or a newer one")]
    OtherFormat(u64),
    /// It names a version that it says nothing about.
    #[error("it names version {0}, and says nothing about it")]
    NoSuchVersion(String),
}

impl Stage {
    /// Whether processes answer for it, and keep what it needs.
    pub fn lives(self) -> bool {
        !matches!(self, Stage::Retiring | Stage::Retired)
    }

    /// Whether the speed layer counts it.
    pub fn is_counted(self) -> bool {
        self == Stage::Following
    }

    /// The word for it, as in the pointer.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Created => "created",
            Stage::Counting => "counting",
            Stage::Following => "following",
            Stage::Stopped => "stopped",
            Stage::Retiring => "retiring",
            Stage::Retired => "retired",
        }
    }
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// [`PointerError`].
    pub fn read(bytes: &[u8]) -> Result<Pointer, PointerError> {
        let value: serde_json::Value = serde_json::from_slice(bytes)?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        if let Some(other) = format.filter(|format| *format != u64::from(FORMAT)) {
            return Err(PointerError::OtherFormat(other));
        }
        let pointer: Pointer = serde_json::from_value(value)?;
        let named = [Some(&pointer.first), Some(&pointer.active), pointer.before.as_ref()];
        let unknown = named.into_iter().flatten().find(|name| !pointer.versions.contains_key(*name));
        match unknown {
            Some(unknown) => Err(PointerError::NoSuchVersion(unknown.clone())),
            None => Ok(pointer),
        }
    }

    /// The bytes that it is written as.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a pointer is plain data")
    }

    /// The versions in the order of their creation, those that are retired too.
    pub fn in_order(&self) -> Vec<(&str, &Recorded)> {
        let mut versions: Vec<_> = self.versions.iter().map(|(name, recorded)| (name.as_str(), recorded)).collect();
        versions.sort_by_key(|(_, recorded)| recorded.number);
        versions
    }

    /// K9: whether the schedule reconciles a version. Its first reconcile may drop slices that its first verification needs, so it comes after
    /// that. The first version of a deployment was never replayed. One that is active, or was, is reconciled whatever its promotion has
    /// overridden: its answers become those of the archive, and what it counts does not grow for ever. All that is lost is a verification of
    /// what its replay itself had counted.
    pub fn is_reconciled(&self, name: &str) -> bool {
        let is_proven = |recorded: &Recorded| recorded.catalog.is_none() || recorded.verified.is_some();
        let has_answered = |recorded: &Recorded| name == self.active || recorded.last_active_us.is_some();
        let recorded = self.versions.get(name).filter(|recorded| recorded.stage.is_counted());
        recorded.is_some_and(|recorded| is_proven(recorded) || has_answered(recorded))
    }

    /// K9: the versions that were active, and stopped being so at least `keep_us` ago.
    pub fn due_to_retire(&self, now_us: i64, keep_us: i64) -> Vec<&str> {
        let is_due = |name: &str, recorded: &Recorded| {
            let has_passed = recorded.last_active_us.is_some_and(|last| now_us.saturating_sub(last) >= keep_us);
            name != self.active && recorded.stage != Stage::Retired && (has_passed || recorded.stage == Stage::Retiring)
        };
        self.in_order().into_iter().filter(|&(name, recorded)| is_due(name, recorded)).map(|(name, _)| name).collect()
    }
}

/// The name of the file of a pointer's number. Sorted by name, they are sorted by number.
pub fn file_name(number: u64) -> String {
    format!("{number:020}.json")
}

/// The number of the pointer in the file of that name; `None` if no pointer lies there.
pub fn number_of(file_name: &str) -> Option<u64> {
    file_name.strip_suffix(".json").filter(|digits| digits.len() == 20)?.parse().ok()
}

/// Where the text of a version's catalog lies, below [`CATALOGS`], and its hash. It is named after its content: a text that no pointer names, as the
/// process ended before, is in nobody's way.
pub fn catalog_file(version: &str, text: &str) -> (String, String) {
    let hash = format!("{:016x}", xxh3_64(text.as_bytes()));
    (catalog_path(version, &hash), hash)
}

/// Where the text of a version's catalog that has this hash lies, below [`CATALOGS`].
pub fn catalog_path(version: &str, hash: &str) -> String {
    format!("{version}/catalog-{hash}.toml")
}

/// Where the report of a verification lies below [`CATALOGS`], without its ending.
pub fn report_path(version: &str, at_us: i64) -> String {
    format!("{version}/verified/{at_us:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(what: &str) -> Change {
        Change { id: "6f".to_owned(), at_us: 7, by: "alice@host".to_owned(), what: what.to_owned() }
    }

    #[test]
    fn a_pointer_is_written_so() {
        let pointer = Pointer::begin("v1", change("begin"));
        let text = r#"{"format":1,"change":{"id":"6f","at_us":7,"by":"alice@host","what":"begin"},"first":"v1","active":"v1","versions":{"v1":{"number":0,"created_at_us":7,"changed":{"streams":{},"tables":{}},"stage":"following"}}}"#;
        assert_eq!(String::from_utf8(pointer.to_bytes()).expect("a text"), text);
        assert_eq!(Pointer::read(text.as_bytes()).expect("read"), pointer);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let pointer = String::from_utf8(Pointer::begin("v1", change("begin")).to_bytes()).expect("a text");
        for (from, to, why) in [
            ("\"format\":1", "\"format\":2", "it has format 2, and this build reads format 1"),
            ("\"active\":\"v1\"", "\"active\":\"v2\"", "it names version v2"),
            ("\"following\"", "\"resting\"", "it is no pointer"),
        ] {
            let error = Pointer::read(pointer.replace(from, to).as_bytes()).expect_err(why).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn files_are_named_by_numbers_and_contents() {
        assert_eq!(file_name(7), "00000000000000000007.json");
        assert_eq!(number_of(&file_name(u64::MAX)), Some(u64::MAX));
        for other in ["7.json", "00000000000000000007.txt", ".staged-7", "0000000000000000000x.json"] {
            assert_eq!(number_of(other), None, "{other}");
        }
        let (path, hash) = catalog_file("v2", "[pipeline]");
        assert_eq!((path, hash.len()), (format!("v2/catalog-{hash}.toml"), 16));
        assert_ne!(hash, catalog_file("v2", "[pipeline]\n").1);
    }
}
