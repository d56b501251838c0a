//! How commands print.

use clap::ValueEnum;

/// How a command says what it did or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text for a person
    Text,
    /// JSON for a program
    Json,
}
