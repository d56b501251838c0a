//! The section `[search]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::bounds::{at_least_one, at_least_one_kibibyte, not_zero};
use super::{Secret, SettingsError, Size, Span};

/// The search server that holds the indexes of the catalog: OpenSearch or Elasticsearch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// Where the server is, such as `https://search:9200`. Without it, no index is kept, and searches are refused. Default: none.
    pub url: String,
    /// The user, for basic authentication. Default: none.
    pub user: String,
    /// The user's password. Default: none.
    pub password: Secret,
    /// An API key, instead of a user. Default: none.
    pub api_key: Secret,
    /// A file with the certificates, in PEM, of the authorities that are trusted besides those of the system. Default: none.
    pub ca: Option<PathBuf>,
    /// The longest that one answer may take. Default `30s`.
    pub request_timeout: Span,
    /// The wait before a failed request is tried again; doubled up to 32 times this. Default `200ms`.
    pub retry_backoff: Span,
    /// The most bytes of one bulk request. Lanes send less where the server asks for it. Default `5MiB`.
    pub max_bulk: Size,
    /// How often the server makes what was written visible to searches; for indexes that are built from then on. Default `1s`.
    pub refresh: Span,
    /// Primary shards of an index; for indexes that are built from then on. Default 1.
    pub shards: u32,
    /// Copies of each shard on other nodes; for indexes that are built from then on. Default 0.
    pub replicas: u32,
}

impl Default for Search {
    fn default() -> Search {
        Search {
            url: String::new(),
            user: String::new(),
            password: Secret::from(""),
            api_key: Secret::from(""),
            ca: None,
            request_timeout: Span::from_secs(30),
            retry_backoff: Span::from_millis(200),
            max_bulk: Size::from_mib(5),
            refresh: Span::from_secs(1),
            shards: 1,
            replicas: 0,
        }
    }
}

impl Search {
    /// Whether a server is named.
    pub fn is_named(&self) -> bool {
        !self.url.is_empty()
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.is_named() {
            let url = Url::parse(&self.url).ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let url = url.ok_or_else(|| SettingsError::invalid("search.url", "must be http://host or https://host"))?;
            if !url.username().is_empty() || url.password().is_some() {
                let reason = "must name no user: set search.user and search.password instead";
                return Err(SettingsError::invalid("search.url", reason));
            }
        }
        if !self.user.is_empty() && !self.api_key.reveal().is_empty() {
            return Err(SettingsError::invalid(
                "search.api_key",
                "must not be set beside search.user: set one of both",
            ));
        }
        not_zero("search.request_timeout", self.request_timeout)?;
        not_zero("search.retry_backoff", self.retry_backoff)?;
        not_zero("search.refresh", self.refresh)?;
        at_least_one_kibibyte("search.max_bulk", self.max_bulk)?;
        at_least_one("search.shards", u64::from(self.shards))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_no_password_and_one_way_to_log_in_is_enough() {
        let of = |url: &str| Search { url: url.to_owned(), ..Search::default() };
        for url in ["", "http://search:9200", "https://search.example.org/path"] {
            assert!(of(url).check().is_ok(), "{url}");
        }
        for url in ["search:9200", "ftp://search", "http://user:secret@search"] {
            assert!(of(url).check().is_err(), "{url}");
        }
        let both = Search { user: "u".to_owned(), api_key: Secret::from("k"), ..of("http://search") };
        assert!(both.check().is_err());
        assert!(!format!("{both:?}").contains("\"k\""), "a key is never printed");
    }
}
