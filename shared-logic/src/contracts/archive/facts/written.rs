//! How facts are written down.
//!
//! Since bytes are kept, facts are wrapped in an object that names its format. A program that was built before then
//! finds no `logs` in it and stops. Otherwise it would write facts back without the parts that it does not know. For the same
//! reason facts with erasures have a format of their own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Erasure, Facts, LogFacts, Rejects};
use crate::catalog::RulesHash;
use crate::rejection::Reason;

/// The format of archives whose files name their rules.
const FORMAT: u32 = 2;
/// The format of archives of which events were erased.
const FORMAT_ERASED: u32 = 3;

/// Facts as JSON: either `format` and `facts`, or, in an archive to which no archiver that keeps bytes has come, what
/// was written before.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    facts: Option<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logs: Option<Vec<LogFacts>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rejects: BTreeMap<Reason, Rejects>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    logs: Vec<LogFacts>,
    #[serde(default)]
    rejects: BTreeMap<Reason, Rejects>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unnamed_rules: Option<RulesHash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    erasures: Vec<Erasure>,
}

impl TryFrom<Written> for Facts {
    type Error = String;

    fn try_from(written: Written) -> Result<Facts, String> {
        match written {
            Written { format: Some(FORMAT | FORMAT_ERASED), facts: Some(content), .. } => {
                let Content { logs, rejects, unnamed_rules, erasures } = content;
                Ok(Facts { logs, rejects, unnamed_rules, keeps_bytes: true, erasures })
            }
            Written { format: None, logs: Some(logs), rejects, .. } => {
                Ok(Facts { logs, rejects, unnamed_rules: None, keeps_bytes: false, erasures: Vec::new() })
            }
            Written { format, .. } => {
                Err(format!("facts of the format {format:?} instead of {FORMAT} or {FORMAT_ERASED}"))
            }
        }
    }
}

impl From<Facts> for Written {
    fn from(facts: Facts) -> Written {
        let Facts { logs, rejects, unnamed_rules, keeps_bytes, erasures } = facts;
        if keeps_bytes {
            let format = if erasures.is_empty() { FORMAT } else { FORMAT_ERASED };
            let facts = Some(Content { logs, rejects, unnamed_rules, erasures });
            Written { format: Some(format), facts, logs: None, rejects: BTreeMap::new() }
        } else {
            Written { format: None, facts: None, logs: Some(logs), rejects }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::PartitionId;

    /// What a program that was built before bytes were kept expects.
    #[derive(Deserialize)]
    struct Before {
        #[expect(dead_code, reason = "only whether it can be read matters")]
        logs: Vec<LogFacts>,
    }

    #[test]
    fn programs_that_keep_no_bytes_cannot_read_newer_facts() {
        let mut facts = Facts::default();
        facts.begin(&PartitionId::new("log", 0), 3);
        let first = serde_json::to_string(&facts).expect("written");
        assert!(serde_json::from_str::<Before>(&first).is_ok(), "{first}");
        assert_eq!(serde_json::from_str::<Facts>(&first).expect("read"), facts);

        facts.keep_bytes(&RulesHash::from("rules"));
        let current = serde_json::to_string(&facts).expect("written");
        assert!(serde_json::from_str::<Before>(&current).is_err(), "{current}");
        assert_eq!(serde_json::from_str::<Facts>(&current).expect("read"), facts);
        let later = current.replacen("\"format\":2", "\"format\":4", 1);
        assert_ne!(later, current);
        assert!(serde_json::from_str::<Facts>(&later).is_err());
    }
}
