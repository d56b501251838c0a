//! Errors in the settings. Each says where the mistake is.

use std::path::PathBuf;

/// Why settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("cannot read settings file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds an unknown key or a value of the wrong type; the reason shows the line, unless it may hold an API key.
    #[error("settings file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{origin}: there is no setting {key:?}; known here: {known}")]
    Unknown {
        /// The variable or flag with the key.
        origin: String,
        /// The key as understood.
        key: String,
        /// The names that exist there.
        known: String,
    },
    /// A flag or variable that does not have the form `section.key=value`.
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
