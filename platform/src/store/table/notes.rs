//! The notes that one log entry carries.
//!
//! The newest note of a domain is found by reading the log backwards, which takes the longer the more entries there are. Nearly always
//! it stands in the entry of the version itself, which is looked at anyway.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// How the line of a note begins, as Braid writes it. A note that another program writes otherwise is found in the log.
const LINE: &[u8] = br#"{"domainMetadata""#;

/// Notes by domain.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<BTreeMap<String, String>>);

impl Notes {
    /// Those of a log entry, as far as they can be read.
    pub(super) fn of(entry: &[u8]) -> Notes {
        let lines = entry.split(|byte| *byte == b'\n').filter(|line| line.starts_with(LINE));
        let note = |line: &[u8]| {
            let line: Value = serde_json::from_slice(line).ok()?;
            let note = &line["domainMetadata"];
            let text = |name: &str| note[name].as_str().map(str::to_owned);
            // One that is taken out is none, and the log says so.
            (note["removed"] == false).then(|| Some((text("domain")?, text("configuration")?)))?
        };
        Notes(Arc::new(lines.filter_map(note).collect()))
    }

    /// The note of that domain; `None`: the entry carries none that is known.
    pub(super) fn get(&self, domain: &str) -> Option<&String> {
        self.0.get(domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_notes_that_stand_in_whole_lines_and_are_not_taken_out() {
        let note = |domain: &str, removed: bool| {
            format!(r#"{{"domainMetadata":{{"configuration":"of {domain}","domain":"{domain}","removed":{removed}}}}}"#)
        };
        let torn = &note("d", false)[..40];
        let entry =
            [r#"{"add":{"path":"{\"domainMetadata\""}}"#, &note("a", false), &note("b", true), &note("c", false), torn];
        let notes = Notes::of(entry.join("\n").as_bytes());
        let found = ["a", "b", "c", "d"].map(|domain| notes.get(domain).map(String::as_str));
        assert_eq!(found, [Some("of a"), None, Some("of c"), None]);
    }
}
