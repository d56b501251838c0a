//! What a file or a pipe gives to a command: bytes → records, and what a catalog says of them.
//!
//! - `plain`: bytes of an input → bytes of lines, unpacked;
//! - `rows`: which lines are one record, which none, and in which order their columns stand;
//! - `verdicts`: which records a catalog rejects, and why.

pub(crate) mod plain;
pub(crate) mod rows;
pub(crate) mod verdicts;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

/// A file, or standard input for `-`, and its name in messages.
///
/// # Errors
/// If the file cannot be opened.
pub(crate) fn open(path: &Path) -> Result<(String, Box<dyn Read + Send>)> {
    if path == Path::new("-") {
        return Ok(("standard input".to_owned(), Box::new(std::io::stdin())));
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    Ok((name, Box::new(file)))
}
