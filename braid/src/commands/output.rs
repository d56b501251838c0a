//! How commands print what they found, where that is a page or JSON.

use std::fmt::Display;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::terminal::{Screen, print};

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

/// Prints what a command did, in the form that was asked for or that its reader needs. Its text ends with the end of a line.
///
/// # Errors
/// If it cannot be written.
pub fn show(asked: Option<Output>, done: &(impl Display + Serialize)) -> Result<()> {
    match Output::for_reader(asked, Screen::behind(&std::io::stdout())) {
        Output::Table => print(&done.to_string()),
        Output::Json => print(&(serde_json::to_string_pretty(done).context("cannot print")? + "\n")),
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
