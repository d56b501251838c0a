//! The section `[registry]`.

use serde::{Deserialize, Serialize};
use url::Url;

use super::bounds::{at_least_one, not_zero};
use super::{Secret, SettingsError, Span};

/// The schema registry of the sources whose records name the schemas that they were written with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// Where the registry offers the API of Confluent's Schema Registry, such as `http://registry:8081`, or
    /// `https://apicurio/apis/ccompat/v7`. Default: none.
    pub url: String,
    /// The user, or API key, that the registry asks for. Default: none.
    pub user: String,
    /// The user's password, or the secret of the API key. Default: none.
    pub password: Secret,
    /// The longest that one answer may take. Default `5s`.
    pub request_timeout: Span,
    /// The wait before a failed request is tried again; doubled up to 32 times this. Default `200ms`.
    pub retry_backoff: Span,
    /// How long the registry may be late: a schema that it does not know is waited for so long before it is unknown for good, and
    /// its records are rejected. For as long after such a wait, records with older timestamps do not wait. Default `10s`.
    pub unknown_after: Span,
    /// How many schemas of a source a process keeps in memory. With more, it reads them again from the archive. Default 1,000.
    pub max_schemas: usize,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry {
            url: String::new(),
            user: String::new(),
            password: Secret::from(""),
            request_timeout: Span::from_secs(5),
            retry_backoff: Span::from_millis(200),
            unknown_after: Span::from_secs(10),
            max_schemas: 1_000,
        }
    }
}

impl Registry {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if !self.url.is_empty() {
            let url = Url::parse(&self.url);
            let url = url.ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let url =
                url.ok_or_else(|| SettingsError::invalid("registry.url", "must be http://host or https://host"))?;
            if !url.username().is_empty() || url.password().is_some() {
                let reason = "must name no user: set registry.user and registry.password instead";
                return Err(SettingsError::invalid("registry.url", reason));
            }
        }
        not_zero("registry.request_timeout", self.request_timeout)?;
        not_zero("registry.retry_backoff", self.retry_backoff)?;
        at_least_one("registry.max_schemas", self.max_schemas as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> bool {
        Registry { url: url.to_owned(), ..Registry::default() }.check().is_err()
    }

    #[test]
    fn an_address_is_that_of_a_web_server_and_holds_no_password() {
        for url in ["", "http://registry:8081", "https://registry.example.org/apis/ccompat/v7/"] {
            assert!(!refused(url), "{url}");
        }
        for url in ["registry:8081", "ftp://registry", "not an address", "http://user:secret@registry"] {
            assert!(refused(url), "{url}");
        }
    }
}
