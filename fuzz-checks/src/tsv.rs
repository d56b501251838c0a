//! Any bytes as TSV records: what every decoder promises, and the columns that plain splitting finds.

use std::sync::LazyLock;

use shared_logic::catalog::Source;
use shared_logic::rejection::Reason;

use crate::decoder;

static SOURCE: LazyLock<Source> = LazyLock::new(|| decoder::source("tsv"));

/// Decodes a batch of TSV records and checks the results.
///
/// # Panics
/// If the decoder breaks a promise.
pub fn tsv(batch: &[u8]) {
    for (_, text, reason) in decoder::texts(&SOURCE, batch) {
        let fits = columns(text).is_some_and(|columns| columns.len() == SOURCE.fields.len());
        assert_eq!(reason != Some(Reason::WrongColumns), fits, "{text:?}");
        if let Some(columns) = columns(text).filter(|_| fits) {
            let lacks = SOURCE.fields.iter().zip(columns).find(|(field, column)| !field.optional && column.is_empty());
            // An earlier field may be the reason of the rejection.
            if lacks.is_some() {
                assert!(reason.is_some(), "{text:?} lacks a field");
            } else {
                assert_ne!(reason, Some(Reason::MissingField), "{text:?}");
            }
        }
    }
}

/// The columns of a line with at most one line end; `None` for several lines.
fn columns(text: &str) -> Option<Vec<&str>> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    (!line.contains('\n')).then(|| line.split('\t').collect())
}
