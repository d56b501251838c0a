//! The name of a definition.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Names what a metric counts, or what a stream writes: 16 lower-case hexadecimal digits.
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

    /// The hash of a definition, written as a text.
    pub(super) fn of_text(text: &str) -> DefinitionHash {
        DefinitionHash(format!("{:016x}", xxh3_64(text.as_bytes())))
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
