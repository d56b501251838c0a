//! Search indexes over the source: which of them may still hold what was erased.

use platform::telemetry::error_text;
use serde::Serialize;

use crate::index::LeftInIndex;

/// A search index that may still hold what was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasedIndex {
    /// The index.
    pub index: String,
    /// Its builds that may hold the events. Empty if the search server does not say which there are: then any may.
    pub builds: Vec<u64>,
    /// Why that is not known; `None`: it is, and the builds are to be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<LeftInIndex> for ErasedIndex {
    fn from(left: LeftInIndex) -> ErasedIndex {
        let LeftInIndex { index, builds } = left;
        match builds {
            Ok(builds) => ErasedIndex { index, builds, error: None },
            Err(error) => ErasedIndex::unknown(index, error_text(&error)),
        }
    }
}

impl ErasedIndex {
    /// An index of which it could not be asked, and why not.
    pub(super) fn unknown(index: String, error: String) -> ErasedIndex {
        ErasedIndex { index, builds: Vec::new(), error: Some(error) }
    }

    /// What of it may hold the events, and what to do.
    pub(super) fn said(&self) -> String {
        let ErasedIndex { index, builds, error } = self;
        let what = match builds.as_slice() {
            [] => format!("the documents of index {index} may still hold them"),
            builds => {
                let builds: Vec<String> = builds.iter().map(ToString::to_string).collect();
                format!("documents of index {index} may still hold them, in its builds {}", builds.join(", "))
            }
        };
        let why = error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        format!(
            "{what}{why}: no search is answered from them; `batch-layer schedule` deletes them as soon as the search server can be reached, or \
             call this again then"
        )
    }
}

/// What is out of reach where a search server is not named, or names what no version has any more.
pub(super) fn out_of_reach(indexes: impl IntoIterator<Item = String>, is_named: bool) -> Vec<String> {
    let indexes: Vec<String> = indexes.into_iter().collect();
    if is_named {
        return vec![
            "search indexes that no version has any more, until `braid index retire NAME`, and snapshots of the search server".to_owned(),
        ];
    }
    if indexes.is_empty() {
        return Vec::new();
    }
    let indexes = indexes.join(", ");
    vec![format!(
        "documents of the search indexes {indexes}, as no search server is named here: if the deployment has one, `batch-layer schedule` \
         deletes them, or call this again with search.url"
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_in_an_index_is_said_with_the_way_on() {
        let known = ErasedIndex { index: "users".to_owned(), builds: vec![3, 4], error: None };
        assert!(known.said().contains("index users may still hold them, in its builds 3, 4:"), "{}", known.said());
        let unknown = ErasedIndex::unknown("users".to_owned(), "it is away".to_owned());
        let said = unknown.said();
        assert!(said.contains("(it is away)") && said.contains("call this again"), "{said}");
    }

    #[test]
    fn without_a_server_only_indexes_of_the_source_are_named() {
        assert!(out_of_reach([], false).is_empty());
        assert!(out_of_reach(["users".to_owned()], false)[0].contains("search.url"));
        assert!(out_of_reach(["users".to_owned()], true)[0].contains("braid index retire"));
    }
}
