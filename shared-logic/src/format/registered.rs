//! Payloads that name the schema that they were written with, in the framing of Confluent's schema registry: a zero byte,
//! the schema's id in four bytes (big-endian), and the datum.
//!
//! A reader of such payloads knows the writers' schemas that it was taught, each as a [`Plan`]. It does no
//! I/O: it says which schema it lacks, and a layer teaches it that one. What a schema's id means never changes, so a payload is the same
//! event at any time.
//!
//! - `value`: a value whose type the schema tells → a token of the declared type.

#[cfg(test)]
pub(super) mod tests;
#[cfg(feature = "registry")]
pub(super) mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::rejection::Reason;

/// The first byte of a payload.
const MAGIC: u8 = 0;
/// Where the datum begins.
const DATUM: usize = 5;

/// Names a schema in its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

/// A schema as its registry knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterSchema {
    /// `AVRO`, `PROTOBUF`, or another word for how the schema is written.
    pub kind: String,
    /// The schema.
    pub text: String,
    /// All schemas that it refers to, and those that these refer to; a schema comes after those that it refers to.
    pub references: Vec<SchemaReference>,
}

/// A schema that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaReference {
    /// The name that it is referred to by: of Protobuf, the path in an `import`.
    pub name: String,
    /// The schema.
    pub text: String,
}

/// Why payloads of a schema cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct UnusableSchema {
    /// What is wrong with it.
    pub why: String,
}

/// How to read the payloads of one schema.
pub(super) trait Plan: fmt::Debug + Send + Sync {
    /// Fills the record's tokens and texts from a payload, whose datum begins at `at`.
    ///
    /// # Errors
    /// If the datum is not of the schema.
    fn tokenize(&self, payload: &[u8], at: usize, record: &mut Record) -> Result<(), Reason>;
}

/// The schemas that a reader was taught, and the reasons to reject the payloads of those that cannot be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Writers {
    known: BTreeMap<SchemaId, Result<Arc<dyn Plan>, Reason>>,
}

impl Writers {
    /// Fills the record's tokens and texts from a payload. One that is not framed is rejected as `malformed`.
    pub(super) fn tokenize(&self, payload: &[u8], record: &mut Record, malformed: Reason) -> Result<(), Reason> {
        let id = named(payload).ok_or(malformed)?;
        match self.known.get(&id) {
            Some(Ok(plan)) => plan.tokenize(payload, DATUM, record),
            Some(Err(reason)) => Err(*reason),
            None => Err(Reason::UnknownSchema),
        }
    }

    /// Takes in what a schema's id means.
    pub(super) fn learn(&mut self, id: SchemaId, plan: Result<Arc<dyn Plan>, Reason>) {
        self.known.insert(id, plan);
    }

    /// The schema that a payload names, if it is none of the known.
    pub(super) fn missing(&self, payload: &[u8]) -> Option<SchemaId> {
        named(payload).filter(|id| !self.known.contains_key(id))
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl UnusableSchema {
    pub(super) fn new(why: impl fmt::Display) -> UnusableSchema {
        // Some compilers draw pictures over several lines.
        let why = why.to_string();
        UnusableSchema { why: why.split_whitespace().collect::<Vec<_>>().join(" ") }
    }
}

impl WriterSchema {
    /// Refuses a schema of another kind.
    pub(super) fn expect_kind(&self, kind: &str) -> Result<(), UnusableSchema> {
        if self.kind == kind {
            return Ok(());
        }
        Err(UnusableSchema::new(format_args!("it is of the type {}, and the source's records are {kind}", self.kind)))
    }
}

/// The schema that a payload names; `None` if it is not framed.
fn named(payload: &[u8]) -> Option<SchemaId> {
    let id = payload.strip_prefix(&[MAGIC])?.first_chunk::<4>()?;
    Some(SchemaId(u32::from_be_bytes(*id)))
}
