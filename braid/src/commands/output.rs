//! How commands print what they found, where that is a page or JSON.

use crate::terminal::Screen;

/// For commands that print a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For a person
    Table,
    /// For a program
    Json,
}

impl Output {
    /// What was asked for; otherwise what the reader needs: a person at a terminal a page, and whatever else JSON.
    pub fn for_reader(asked: Option<Output>, screen: Screen) -> Output {
        asked.unwrap_or(if screen.is_terminal() { Output::Table } else { Output::Json })
    }
}

/// For commands that print a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ListOutput {
    /// A line for each
    Text,
    /// The same for a program
    Json,
}
