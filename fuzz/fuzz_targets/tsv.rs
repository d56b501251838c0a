//! TSV records: what every decoder owes, and what a line's columns are by plain splitting.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shared_logic::catalog::Source;
use shared_logic::rejection::Reason;

static SOURCE: LazyLock<Source> = LazyLock::new(|| fuzz::source("tsv"));

fuzz_target!(|batch: &[u8]| {
    for (payload, said) in fuzz::judged(&SOURCE, batch) {
        let reason = said.as_ref().err().map(|rejected| rejected.reason);
        let Ok(text) = std::str::from_utf8(payload) else { continue };
        if text.is_empty() {
            continue;
        }
        let fits = columns(text).is_some_and(|columns| columns.len() == SOURCE.fields.len());
        assert_eq!(reason != Some(Reason::WrongColumns), fits, "{text:?}");
        if let Some(columns) = columns(text).filter(|_| fits) {
            let lacks = SOURCE.fields.iter().zip(columns).find(|(field, column)| !field.optional && column.is_empty());
            // A field before it may have been refused first.
            if lacks.is_some() {
                assert!(reason.is_some(), "{text:?} lacks a field");
            } else {
                assert_ne!(reason, Some(Reason::MissingField), "{text:?}");
            }
        }
        assert!(said.is_err() || said.is_ok_and(|said| said.extra.is_none()), "a line holds nothing undeclared");
    }
});

/// The columns of a line with at most one line end; `None` for several lines.
fn columns(text: &str) -> Option<Vec<&str>> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    (!line.contains('\n')).then(|| line.split('\t').collect())
}
