//! How facts are written down.
//!
//! Since bytes are kept, facts are wrapped in an object that names its format. A program that was built before then
//! finds no `logs` in it and stops. Otherwise it would write facts back without the parts that it does not know. For the same
//! reason facts that name erasures or retired days have a format of their own, and so have those that name the older layout.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Erasure, Facts, LogFacts, OlderLayout, Rejects};
use crate::catalog::RulesHash;
use crate::rejection::Reason;

/// The format of archives whose files name their rules.
const FORMAT: u32 = 2;
/// The same, of archives out of which rows were taken: days are retired, or events erased. A program that does not know of these would
/// take what is left for everything.
const FORMAT_TAKEN_OUT: u32 = 3;
/// The same, of archives of which some rows are of the older layout. A program that does not read these under other rules would
/// count views without them.
const FORMAT_OLDER_LAYOUT: u32 = 4;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    older_layout: Option<OlderLayout>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired_before: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    erasures: Vec<Erasure>,
}

impl TryFrom<Written> for Facts {
    type Error = String;

    fn try_from(written: Written) -> Result<Facts, String> {
        match written {
            Written { format: Some(FORMAT..=FORMAT_OLDER_LAYOUT), facts: Some(content), .. } => {
                let Content { logs, rejects, unnamed_rules, older_layout, retired_before, erasures } = content;
                Ok(Facts { logs, rejects, unnamed_rules, older_layout, keeps_bytes: true, retired_before, erasures })
            }
            Written { format: None, logs: Some(logs), rejects, .. } => Ok(Facts { logs, rejects, ..Facts::default() }),
            Written { format, .. } => {
                Err(format!("facts of the format {format:?} instead of {FORMAT} to {FORMAT_OLDER_LAYOUT}"))
            }
        }
    }
}

impl From<Facts> for Written {
    fn from(facts: Facts) -> Written {
        let Facts { logs, rejects, unnamed_rules, older_layout, keeps_bytes, retired_before, erasures } = facts;
        if keeps_bytes {
            let is_whole = retired_before.is_none() && erasures.is_empty();
            let format = if is_whole { FORMAT } else { FORMAT_TAKEN_OUT };
            let format = if older_layout.is_some() { FORMAT_OLDER_LAYOUT } else { format };
            let facts = Some(Content { logs, rejects, unnamed_rules, older_layout, retired_before, erasures });
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

        facts.keep_bytes(&RulesHash::from("rules"), None);
        let current = serde_json::to_string(&facts).expect("written");
        assert!(serde_json::from_str::<Before>(&current).is_err(), "{current}");
        assert_eq!(serde_json::from_str::<Facts>(&current).expect("read"), facts);
        let later = current.replacen("\"format\":2", "\"format\":5", 1);
        assert_ne!(later, current);
        assert!(serde_json::from_str::<Facts>(&later).is_err());
    }

    #[test]
    fn programs_that_do_not_know_of_retired_days_cannot_read_facts_that_name_them() {
        let id = PartitionId::new("log", 0);
        let mut facts = Facts::default();
        facts.keep_bytes(&RulesHash::from("rules"), None);
        facts.begin(&id, 3);
        facts.retire(20_000, &[(id, 9)].into_iter().collect());
        let written = serde_json::to_string(&facts).expect("written");
        assert!(written.starts_with("{\"format\":3,"), "{written}");
        assert_eq!(serde_json::from_str::<Facts>(&written).expect("read"), facts);
    }
}
