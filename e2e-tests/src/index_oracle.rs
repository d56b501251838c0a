//! What a search index must hold: a map, into which everything that is sent is put, one change after the other. It shares no code with
//! what writes the index, and is compared with it document by document.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::kafka::Found;
use crate::search::Document;

/// The field that says in which slice of ids a document is, and how many slices there are.
const SLICE: &str = "braid_slice";
const SLICES: u64 = 64;
/// How many differences are named.
const NAMED: usize = 5;

/// The documents that an index must hold, by their ids.
#[derive(Debug, Clone, Default)]
pub struct IndexOracle {
    documents: BTreeMap<String, Map<String, Value>>,
}

impl IndexOracle {
    /// A change leaves this of an id.
    pub fn put(&mut self, id: &str, fields: Map<String, Value>) {
        self.documents.insert(id.to_owned(), fields);
    }

    /// A change deletes an id.
    pub fn delete(&mut self, id: &str) {
        self.documents.remove(id);
    }

    /// How many documents there must be.
    pub fn len(&self) -> u64 {
        self.documents.len() as u64
    }

    /// Whether there must be none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// An id's fields, if it must be there.
    pub fn of(&self, id: &str) -> Option<&Map<String, Value>> {
        self.documents.get(id)
    }

    /// The index holds exactly these documents: each id, and each field.
    ///
    /// # Errors
    /// The first ids that are missing, too many, or have other fields.
    pub fn is_held_by(&self, held: &BTreeMap<String, Document>) -> Result<()> {
        self.is_held_but_for(held, &[])
    }

    /// The same but for some ids that the server refuses, and of which nothing is said.
    ///
    /// # Errors
    /// As [`IndexOracle::is_held_by`].
    pub fn is_held_but_for(&self, held: &BTreeMap<String, Document>, refused: &[&str]) -> Result<()> {
        let mut wrong = Vec::new();
        for (id, fields) in self.documents.iter().filter(|(id, _)| !refused.contains(&id.as_str())) {
            match held.get(id) {
                None => wrong.push(format!("{id} is missing")),
                Some(document) if !says(document, fields) => {
                    wrong.push(format!("{id} is {document:?} instead of {fields:?}"));
                }
                Some(_) => {}
            }
        }
        let is_meant = |id: &str| self.documents.contains_key(id) || refused.contains(&id);
        wrong.extend(held.keys().filter(|id| !is_meant(id)).map(|id| format!("{id} should not be there")));
        let first = &wrong[..wrong.len().min(NAMED)];
        ensure!(wrong.is_empty(), "{} of {} ids differ: {first:#?}", wrong.len(), self.documents.len());
        Ok(())
    }
}

/// The version of every document is the offset of the last change of its id, plus one; of one that the index began with, nothing.
///
/// # Errors
/// The first document with another version.
pub fn versions_are_offsets(held: &BTreeMap<String, Document>, changes: &[Found]) -> Result<()> {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for change in changes {
        let key = std::str::from_utf8(change.key.as_deref().context("a change without a key")?)?;
        let offset = last.entry(key).or_insert(change.offset);
        *offset = change.offset.max(*offset);
    }
    for (id, document) in held {
        let offset = last.get(id.as_str()).with_context(|| format!("{id} was never sent"))?;
        let is_it = document.version == 0 || Some(document.version) == u64::try_from(*offset + 1).ok();
        ensure!(is_it, "{id} has version {}, and its last change is at {offset}", document.version);
    }
    Ok(())
}

/// Whether a document has these fields, and the one of its slice besides.
fn says(document: &Document, fields: &Map<String, Value>) -> bool {
    let mut said = document.fields.clone();
    let slice = said.remove(SLICE).and_then(|slice| slice.as_u64());
    slice.is_some_and(|slice| slice < SLICES) && said == *fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    fn held(documents: &[(&str, Value)]) -> BTreeMap<String, Document> {
        let document = |value: &Value| Document { version: 1, fields: fields(value.clone()) };
        documents.iter().map(|(id, value)| ((*id).to_owned(), document(value))).collect()
    }

    #[test]
    fn what_is_missing_too_many_or_different_is_named() {
        let mut oracle = IndexOracle::default();
        oracle.put("a", fields(json!({"n": 1})));
        oracle.put("b", fields(json!({"n": 2})));
        oracle.put("c", fields(json!({"n": 3})));
        oracle.delete("c");
        let (a, b) = (("a", json!({"n": 1, SLICE: 3})), ("b", json!({"n": 2, SLICE: 63})));
        assert!(oracle.is_held_by(&held(&[a.clone(), b.clone()])).is_ok());
        let wrong = [
            (held(std::slice::from_ref(&a)), "b is missing"),
            (held(&[a.clone(), ("b", json!({"n": 9, SLICE: 1}))]), "b is "),
            (held(&[a.clone(), ("b", json!({"n": 2, SLICE: 64}))]), "b is "),
            (held(&[a.clone(), b, ("c", json!({"n": 3, SLICE: 1}))]), "c should not be there"),
        ];
        for (held, says) in wrong {
            let error = oracle.is_held_by(&held).expect_err("it differs").to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(oracle.is_held_but_for(&held(&[a]), &["b"]).is_ok());
    }
}
