//! Searches, and all documents of a slice (I5, I6).

use serde_json::Value;

use super::{SearchClient, SearchError};

/// What a search has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hits {
    /// How many documents there are in all.
    pub total: u64,
    /// Whether the server gave up before it had looked at all of them.
    pub timed_out: bool,
    /// Id, version, score and document of each, in order. The document is as the server returns it.
    pub hits: Vec<(String, u64, Option<f64>, Value)>,
}

/// The documents of a slice as of one moment, read a page at a time.
#[derive(Debug)]
pub struct Scroll {
    /// The server's name for it.
    pub id: String,
    /// Ids and documents of the page; an empty page is the end.
    pub page: Vec<(String, Value)>,
}

impl SearchClient {
    /// Searches a build.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn search(&self, index: &str, body: &Value) -> Result<Hits, SearchError> {
        todo!("A: {index} {body}")
    }

    /// Makes everything that was written to an index visible to searches.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn refresh(&self, index: &str) -> Result<(), SearchError> {
        todo!("A: {index}")
    }

    /// How many documents an index has that can be found.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn count(&self, index: &str) -> Result<u64, SearchError> {
        todo!("A: {index}")
    }

    /// Begins to read a slice of a build (`scroll`, sorted by `_doc`): what it holds is as of now. The server keeps it for five minutes
    /// after each page. The field of the slice is left out of no document.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn scroll(&self, index: &str, slice: u32, page: u64) -> Result<Scroll, SearchError> {
        todo!("A: {index} {slice} {page}")
    }

    /// Reads the next page.
    ///
    /// # Errors
    /// [`SearchError`]; above all [`SearchError::Refused`] if the server has let it go.
    pub async fn next_page(&self, scroll: &mut Scroll) -> Result<(), SearchError> {
        todo!("A: {}", scroll.id)
    }

    /// Lets the server forget it.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn end_scroll(&self, scroll: Scroll) -> Result<(), SearchError> {
        todo!("A: {}", scroll.id)
    }
}
