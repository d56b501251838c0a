//! What a commit says of the files that make up the table after it.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

/// The Delta metadata domain in which each commit notes the digest of the table's files.
pub(super) const DOMAIN: &str = "braid.files";

/// A digest of a set of files, whatever their order: their number, and the sum of the hashes of their paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FilesDigest {
    /// How many files there are.
    pub(super) files: u64,
    sum: u64,
}

impl FilesDigest {
    /// The digest with one more file.
    pub(super) fn with(self, path: &str) -> FilesDigest {
        FilesDigest { files: self.files.wrapping_add(1), sum: self.sum.wrapping_add(xxh3_64(path.as_bytes())) }
    }

    /// The digest without a file that it has.
    pub(super) fn without(self, path: &str) -> FilesDigest {
        FilesDigest { files: self.files.wrapping_sub(1), sum: self.sum.wrapping_sub(xxh3_64(path.as_bytes())) }
    }

    /// As a commit notes it.
    pub(super) fn to_note(self) -> String {
        json!({"files": self.files, "digest": format!("{:016x}", self.sum)}).to_string()
    }

    /// From what a commit has noted.
    pub(super) fn from_note(note: &str) -> Option<FilesDigest> {
        let note: Value = serde_json::from_str(note).ok()?;
        let sum = u64::from_str_radix(note["digest"].as_str()?, 16).ok()?;
        Some(FilesDigest { files: note["files"].as_u64()?, sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_files_does_not_matter_and_their_set_does() {
        let none = FilesDigest::default();
        let both = none.with("a").with("b");
        assert_eq!(both, none.with("b").with("a"));
        assert_eq!(both.without("a"), none.with("b"));
        assert_ne!(none.with("a"), none.with("b"));
        assert_eq!(FilesDigest::from_note(&both.to_note()), Some(both));
        assert_eq!(FilesDigest::from_note("{\"files\": 2}"), None);
    }
}
