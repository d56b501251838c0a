//! What is wrong with a catalog file, where, and what to write instead.

use std::path::PathBuf;

/// One mistake in a catalog file, with where it is and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}; {fix}")]
pub struct Mistake {
    /// The line in the file, from 1.
    pub line: usize,
    /// What is wrong, naming the key or value.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// All mistakes of a catalog file, printed for an operator: `file:line: what; fix`, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .mistakes.iter().map(|m| format!("{}:{}: {}; {}", .path.display(), m.line, m.what, m.fix)).collect::<Vec<_>>().join("\n"))]
pub struct RefusedCatalog {
    /// The file.
    pub path: PathBuf,
    /// Every mistake in it.
    pub mistakes: Vec<Mistake>,
}
