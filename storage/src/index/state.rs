//! The state of an index, its builds in the server, and the alias (I4).

use serde_json::Value;
use shared_logic::contracts::index::IndexState;

use super::{SearchClient, SearchError};

/// What the server calls one writing of a document, so that it is replaced only by who has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqNo {
    /// `_seq_no`.
    pub seq_no: i64,
    /// `_primary_term`.
    pub primary_term: i64,
}

/// The state of an index as it was read; the empty state and no number where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The state.
    pub state: IndexState,
    /// What it is replaced by; `None`: it is not there yet.
    pub at: Option<SeqNo>,
}

/// What became of a put of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It stands.
    Done,
    /// Another process has replaced what was read.
    Overtaken,
}

/// An index that there is in the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// What tells it from another of the same name.
    pub uuid: String,
}

impl SearchClient {
    /// The state of an index, read in real time (`GET _doc`). Without the progress index or the document it is empty.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn state(&self, index: &str) -> Result<Stored, SearchError> {
        todo!("A: {index}")
    }

    /// Puts a state in the place of the one that was read, and nothing else; creates the progress index first where it is missing (strict
    /// mapping: `kind`, `index` keywords, `build` long, `record` an object with `enabled: false`).
    ///
    /// # Errors
    /// [`SearchError`]. It may stand all the same; who reads it then sees his own step.
    pub async fn put_state(&self, index: &str, read: &Stored, next: &IndexState) -> Result<Put, SearchError> {
        todo!("A: {index} {read:?} {next:?}")
    }

    /// Takes a step on the newest state, anew after another process was faster (20 times at most), and returns the state behind it. If it changes nothing, nothing is put.
    ///
    /// # Errors
    /// What the step says, or [`SearchError`]; [`SearchError::Busy`] after too many others.
    pub async fn step<E: From<SearchError>>(
        &self,
        index: &str,
        step: impl Fn(&IndexState) -> Result<IndexState, E>,
    ) -> Result<IndexState, E> {
        const ATTEMPTS: u32 = 20;
        for _ in 0..ATTEMPTS {
            let read = self.state(index).await?;
            let next = step(&read.state)?;
            if next == read.state || self.put_state(index, &read, &next).await? == Put::Done {
                return Ok(next);
            }
        }
        let reason = format!("other processes changed the state of {index} first {ATTEMPTS} times");
        Err(SearchError::Busy { operation: "change the state of an index", status: 409, reason }.into())
    }

    /// Creates an index, and says what tells it from others. One of that name that is there already is no error only if `body` was sent by
    /// an earlier try of the same call: names of builds are never used twice, so it is deleted and created again.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn create_index(&self, name: &str, body: &Value) -> Result<IndexInfo, SearchError> {
        todo!("A: {name} {body}")
    }

    /// The index of that name; `None` if there is none.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn index(&self, name: &str) -> Result<Option<IndexInfo>, SearchError> {
        todo!("A: {name}")
    }

    /// All builds of an index that there are, whether a state names them or not.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn indexes_of(&self, index: &str) -> Result<Vec<IndexInfo>, SearchError> {
        todo!("A: {index}")
    }

    /// Deletes an index. It has no effect where there is none.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn delete_index(&self, name: &str) -> Result<(), SearchError> {
        todo!("A: {name}")
    }

    /// Makes the alias of an index name exactly that build, in one step of the server; `None`: no build.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn align_alias(&self, index: &str, build: Option<u64>) -> Result<(), SearchError> {
        todo!("A: {index} {build:?}")
    }
}
