//! What can be wrong with a setting, always with the place where it was written.

use std::path::PathBuf;

/// Why settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("cannot read settings file {}", path.display())]
    Read {
        /// The file that was named.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds an unknown key or a value of the wrong type; the reason shows the line.
    #[error("settings file {}: {reason}", path.display())]
    File {
        /// The file that was read.
        path: PathBuf,
        /// Line, column and what was expected there.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{origin}: there is no setting {key:?}; known here: {known}")]
    Unknown {
        /// The variable or flag that named it.
        origin: String,
        /// The key as understood.
        key: String,
        /// The names that exist at that place.
        known: String,
    },
    /// A flag or variable that is not `section.key=value`.
    #[error("{origin}: expected {expected}")]
    Malformed {
        /// The variable or flag.
        origin: String,
        /// The form that it should have.
        expected: &'static str,
    },
    /// A value of the wrong type from a variable or a flag.
    #[error("{origin}: {reason}")]
    Value {
        /// The variable or flag.
        origin: String,
        /// What was expected.
        reason: String,
    },
    /// A value that is well formed but makes no sense.
    #[error("setting {key} {reason}")]
    Invalid {
        /// The key, `section.name`.
        key: &'static str,
        /// What it must be.
        reason: &'static str,
    },
}

impl SettingsError {
    pub(super) fn invalid(key: &'static str, reason: &'static str) -> SettingsError {
        SettingsError::Invalid { key, reason }
    }
}
