//! Texts in lower case, one by one.

use polars::prelude::{StringChunked, StringNameSpaceImpl};

/// The text in lower case, as Polars has it.
///
/// How `Σ` is lowered depends on the letters around it, and Polars (0.55, `strings/case.rs`) does not look at all of them.
/// Every other letter is lowered by itself.
pub(super) fn lower(text: &str) -> String {
    if text.contains('Σ') {
        let lowered = StringChunked::from_iter([text]).to_lowercase();
        return lowered.get(0).unwrap_or_default().to_owned();
    }
    text.to_lowercase()
}
