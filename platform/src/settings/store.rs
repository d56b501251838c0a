//! The section `[store]`.

use serde::{Deserialize, Serialize};
use url::Url;

use super::bounds::not_zero;
use super::{Properties, Secret, SettingsError, Span};

/// The archive and the batch views. Files on S3 that are imported are read with the same server and keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// A folder (absolute or relative to the working directory, also as `file:///path`), or an S3 bucket with or without a prefix
    /// in it, `s3://bucket/prefix`. Default `./data`. Deployments may share it: each has a folder of its name in it.
    pub url: String,
    /// Where the S3 server answers, such as `http://seaweedfs:8333`. Default: Amazon's, for the region.
    pub endpoint: String,
    /// The S3 bucket's region. Default: `us-east-1`; without an access key here, what `AWS_REGION` says.
    pub region: String,
    /// The id of the access key. Default: what the surroundings of the process give, as for every program that uses Amazon's
    /// libraries: `AWS_ACCESS_KEY_ID`, or the role of a pod, task or instance.
    pub access_key: Secret,
    /// The access key's secret; set both or none.
    pub secret_key: Secret,
    /// Whether the S3 bucket's name stands in the path of a request, and not in its host name. With false, `endpoint` names the
    /// S3 bucket's own host. Default true.
    pub path_style: bool,
    /// Whether requests may go over plain HTTP. Default false.
    pub allow_http: bool,
    /// The longest that one request to S3 may take, its body included. A put that took longer may still have been done;
    /// repeating it changes nothing. Default `30s`.
    pub request_timeout: Span,
    /// How long a request to S3 is tried again after errors that may pass, before the operation fails. Default `1m`.
    pub retry_for: Span,
    /// More options of the client for S3, such as `aws_session_token`; in the environment
    /// `BRAID__STORE__OPTIONS__AWS_SESSION_TOKEN`.
    pub options: Properties,
    /// How long log entries of a table are kept that its checkpoints make superfluous. A process, or another engine, that
    /// wants to go on from an older version after that reads the table anew. Default `1h`.
    pub log_retention: Span,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            url: "./data".to_owned(),
            endpoint: String::new(),
            region: String::new(),
            access_key: Secret::from(""),
            secret_key: Secret::from(""),
            path_style: true,
            allow_http: false,
            request_timeout: Span::from_secs(30),
            retry_for: Span::from_secs(60),
            options: Properties::default(),
            log_retention: Span::from_secs(3600),
        }
    }
}

impl Store {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if let Some(url) = Url::parse(&self.url).ok().filter(|url| url.scheme() == "s3") {
            if has_user(&url) {
                return Err(SettingsError::invalid("store.url", KEYS_ELSEWHERE));
            }
            if url.query().is_some() || url.fragment().is_some() {
                let reason = "holds ? or #, and everything from there on would be left out: name a prefix without them";
                return Err(SettingsError::invalid("store.url", reason));
            }
        }
        if !self.endpoint.is_empty() {
            let url = Url::parse(&self.endpoint).ok();
            if url.as_ref().is_some_and(has_user) {
                return Err(SettingsError::invalid("store.endpoint", KEYS_ELSEWHERE));
            }
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let url =
                url.ok_or_else(|| SettingsError::invalid("store.endpoint", "must be http://host or https://host"))?;
            if url.scheme() == "http" && !self.allow_http {
                let reason = "is plain HTTP: set store.allow_http as well, or use https://";
                return Err(SettingsError::invalid("store.endpoint", reason));
            }
        }
        if self.access_key.reveal().is_empty() != self.secret_key.reveal().is_empty() {
            return Err(SettingsError::invalid("store.access_key", "and store.secret_key must be set together"));
        }
        not_zero("store.request_timeout", self.request_timeout)?;
        not_zero("store.log_retention", self.log_retention)
    }
}

/// Both addresses stand in messages.
const KEYS_ELSEWHERE: &str =
    "names a user or a password, which would be printed and not used: set store.access_key and store.secret_key";

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(store: Store) -> Option<String> {
        store.check().err().map(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_over_plain_http_is_asked_for() {
        let at = |endpoint: &str, allow_http| Store { endpoint: endpoint.to_owned(), allow_http, ..Store::default() };
        assert_eq!(refusal(at("https://minio.example.org:9000", false)), None);
        assert_eq!(refusal(at("http://seaweedfs:8333", true)), None);
        let text = refusal(at("http://seaweedfs:8333", false)).expect("refused");
        assert!(text.contains("store.allow_http"), "{text}");
        for endpoint in ["seaweedfs:8333", "s3://bucket", "not an address"] {
            assert!(refusal(at(endpoint, true)).is_some(), "{endpoint}");
        }
    }

    #[test]
    fn an_address_holds_no_keys_and_nothing_that_would_be_left_out() {
        let at = |url: &str| Store { url: url.to_owned(), ..Store::default() };
        for url in ["s3://bucket", "s3://bucket/a/b c", "./data", "/data/a#1?", "file:///data/a?b"] {
            assert_eq!(refusal(at(url)), None, "{url}");
        }
        for url in ["s3://bucket/a#1", "s3://bucket/a?b=c", "s3://AKIA:hunter2@bucket/a"] {
            let text = refusal(at(url)).expect("refused");
            assert!(text.contains("store.url") && !text.contains("hunter2"), "{text}");
        }
        let endpoint = "https://AKIA:hunter2@minio.example.org".to_owned();
        let text = refusal(Store { endpoint, ..Store::default() }).expect("refused");
        assert!(text.contains("store.endpoint") && text.contains("store.access_key"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn an_access_key_has_a_secret_and_neither_is_printed() {
        let with = |access: &str, secret: &str| Store {
            access_key: Secret::from(access),
            secret_key: Secret::from(secret),
            ..Store::default()
        };
        assert_eq!(refusal(with("", "")), None);
        assert_eq!(refusal(with("AKIA", "hunter2")), None);
        assert!(refusal(with("AKIA", "")).is_some() && refusal(with("", "hunter2")).is_some());
        let printed = format!("{:?}", with("AKIA", "hunter2"));
        assert!(!printed.contains("AKIA") && !printed.contains("hunter2"), "{printed}");
    }
}
