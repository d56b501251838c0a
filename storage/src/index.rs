//! The client of the search server: every request that writes, reads or searches an index.
//!
//! `shared_logic::contracts::index` says how everything is called, and what stands in it. A request whose reply was lost may have been
//! done: a document names its version, and a state names what it replaces, so a repeat changes nothing.
//!
//! - `bulk`: documents, and what became of each (I1, I3);
//! - `write`: documents, sent until each is written or refused for good (I3);
//! - `state`: the state of an index, and its builds (I4);
//! - `progress`: how far lanes have written, and what was refused (I2, I3);
//! - `read`: searches, and all documents of a slice (I5, I6);
//! - `http`: requests, and what answers mean;
//! - `items`: lines of a bulk request, and what became of each.

mod bulk;
mod http;
mod items;
mod progress;
mod read;
mod state;
mod write;

pub use bulk::BulkItem;
pub use items::BulkOutcome;
pub use read::{Hits, Scroll};
pub use state::{IndexInfo, Put, SeqNo, Stored};
pub use write::{NotWritten, Pace, Written};

use platform::settings;
use shared_logic::catalog::Deployment;

use self::http::{Ask, Http};

/// A search server, as the indexes of one deployment need it. A clone shares its connections. Nothing here tries again or waits: that is
/// for the caller, who knows what it means.
#[derive(Debug, Clone)]
pub struct SearchClient {
    deployment: Deployment,
    settings: settings::Search,
    http: Http,
}

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// `opensearch` or `elasticsearch`.
    pub distribution: String,
    /// Its version.
    pub version: String,
}

/// Why the server could not be asked, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// No server is named.
    #[error("no search server is named; set search.url")]
    NotNamed,
    /// The settings give no client.
    #[error("cannot set up a client for the search server: {why}")]
    Client {
        /// What is wrong, and with which setting.
        why: String,
    },
    /// The server cannot be reached, or did not answer in time. What was asked may have been done.
    #[error("cannot {operation}: the search server does not answer: {why}")]
    Unreachable {
        /// What was tried.
        operation: &'static str,
        /// Why, without credentials.
        why: String,
    },
    /// The server cannot do it now: it is full, blocked, or has too much to do (429, 5xx, a cluster block). Waiting may help.
    #[error("cannot {operation}: the search server cannot do that now ({status}): {reason}")]
    Busy {
        /// What was tried.
        operation: &'static str,
        /// The answer's status.
        status: u16,
        /// The server's words.
        reason: String,
    },
    /// The server does not know the user or key, or does not allow that.
    #[error(
        "cannot {operation}: the search server refuses that ({status}); check search.user, search.password and search.api_key"
    )]
    NotAllowed {
        /// What was tried.
        operation: &'static str,
        /// The answer's status.
        status: u16,
    },
    /// There is no such index.
    #[error("cannot {operation}: the search server has no index {index}")]
    NoIndex {
        /// What was tried.
        operation: &'static str,
        /// The index.
        index: String,
    },
    /// The request is larger than the server takes (413).
    #[error(
        "cannot {operation}: the request is larger than the search server takes; make search.max_bulk smaller, or the server's \
         http.max_content_length larger"
    )]
    TooLarge {
        /// What was tried.
        operation: &'static str,
    },
    /// The server refuses the request for good.
    #[error("cannot {operation}: the search server answers {status}: {reason}")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// The answer's status.
        status: u16,
        /// The server's words.
        reason: String,
    },
    /// The answer is none that such a server gives.
    #[error("cannot {operation}: the answer is not that of OpenSearch or Elasticsearch; check search.url: {what}")]
    Foreign {
        /// What was tried.
        operation: &'static str,
        /// What is wrong with it, or how it begins.
        what: String,
    },
}

impl SearchError {
    /// I3: whether to wait and try the same again.
    pub fn is_back_pressure(&self) -> bool {
        matches!(self, SearchError::Unreachable { .. } | SearchError::Busy { .. })
    }
}

impl SearchClient {
    /// A client; `None` if no server is named. Nothing is asked yet.
    ///
    /// # Errors
    /// [`SearchError::Client`].
    pub fn new(settings: &settings::Search, deployment: &Deployment) -> Result<Option<SearchClient>, SearchError> {
        if !settings.is_named() {
            return Ok(None);
        }
        let http = Http::new(settings)?;
        Ok(Some(SearchClient { deployment: deployment.clone(), settings: settings.clone(), http }))
    }

    /// The deployment whose indexes these are.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The settings.
    pub fn settings(&self) -> &settings::Search {
        &self.settings
    }

    /// What the server says of itself.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn info(&self) -> Result<ServerInfo, SearchError> {
        const OPERATION: &str = "ask for the version of the search server";
        let answer = self.http.ok(Ask::get(OPERATION, &[])).await?;
        let version = &answer["version"];
        let Some(number) = version["number"].as_str() else {
            return Err(http::foreign(OPERATION, &answer));
        };
        let distribution = version["distribution"].as_str().unwrap_or("elasticsearch");
        Ok(ServerInfo { distribution: distribution.to_owned(), version: number.to_owned() })
    }
}
