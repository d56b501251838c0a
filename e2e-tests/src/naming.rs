//! Which files hold a text: what was erased must be in none.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polars::prelude::{DataType, LazyFrame, PlRefPath, ScanArgsParquet};

/// The files below a folder that hold the text, as they are or, in Parquet files, in a column of texts or bytes.
///
/// # Errors
/// If a file cannot be read.
pub fn files_naming(folder: &Path, text: &str) -> Result<Vec<PathBuf>> {
    let (folder, text) = (folder.to_owned(), text.to_owned());
    // Polars brings a runtime of its own, which must not be entered from a test's.
    std::thread::spawn(move || below(&folder, &text)).join().expect("reading files does not panic")
}

fn below(folder: &Path, text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(below(&path, text)?);
        } else if path.is_file() && names(&path, text)? {
            found.push(path);
        }
    }
    Ok(found)
}

fn names(path: &Path, text: &str) -> Result<bool> {
    let bytes = match std::fs::read(path) {
        // Processes that run remove files.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        read => read?,
    };
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    if holds(&bytes) || path.extension().is_none_or(|extension| extension != "parquet") {
        return Ok(holds(&bytes));
    }
    if path.components().any(|part| part.as_os_str() == "_delta_log") {
        // Checkpoints have columns of columns; what they say of files is in the log's entries as well.
        return Ok(false);
    }
    let path = PlRefPath::try_from_path(path)?;
    let mut read = ScanArgsParquet::default();
    // What the names of folders say is not in the file.
    read.hive_options.enabled = Some(false);
    let frame = LazyFrame::scan_parquet(path, read)?.collect()?;
    for column in frame.columns() {
        let is_named = match column.dtype() {
            DataType::String => column.str()?.iter().flatten().any(|value| holds(value.as_bytes())),
            DataType::Binary => column.binary()?.iter().flatten().any(holds),
            _ => false,
        };
        if is_named {
            return Ok(true);
        }
    }
    Ok(false)
}
