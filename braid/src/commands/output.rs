//! How commands print what they found, where that is a page or JSON.

/// For commands that print a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For a person
    Table,
    /// For a program
    Json,
}

/// For commands that print a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ListOutput {
    /// A line for each
    Text,
    /// The same for a program
    Json,
}
