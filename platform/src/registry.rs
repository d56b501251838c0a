//! A schema registry, asked for schemas by the API of Confluent's Schema Registry, which others speak too.
//!
//! A schema's id means the same schema for ever. Only the registry's own word for it, the error 40403, says that it does not know
//! an id. Any other answer may be that of a proxy, of another server, or of a registry that is not well, and is an error.

use std::collections::BTreeSet;
use std::sync::Arc;

use metrics::counter;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use url::Url;

use crate::settings;

/// What the registry calls an id that it does not know.
const NOT_KNOWN: i64 = 40_403;
/// The form of the answers.
const ACCEPTED: &str = "application/vnd.schemaregistry.v1+json, application/json";
/// The largest answer that is read.
const ANSWER_MAX: usize = 4 << 20;
/// The most schemas that one schema may refer to, with all that these refer to.
const REFERENCES_MAX: usize = 200;

/// A schema and all that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// `AVRO`, `PROTOBUF`, `JSON` or another word for how it is written.
    pub kind: String,
    /// The schema.
    pub text: String,
    /// Names and texts of the schemas that it refers to, and of those that these refer to; each after those that it refers to.
    pub references: Vec<(String, String)>,
}

/// Why the registry could not be asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No registry is named.
    #[error("no schema registry is named; set registry.url")]
    NotNamed,
    /// There is no client.
    #[error("cannot set up a client for the schema registry")]
    Client(#[source] reqwest::Error),
    /// The registry cannot be reached, or did not answer in time.
    #[error("cannot reach the schema registry at {url}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The client's error.
        source: reqwest::Error,
    },
    /// The registry knows neither the user nor the password, or they are not set.
    #[error("the schema registry refuses {url} ({status}); check registry.user and registry.password")]
    Refused {
        /// What was asked for.
        url: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The answer is none that a registry gives.
    #[error(
        "{url} answers {status}, but not as a schema registry does: {text:?}; is registry.url the address of Confluent's API?"
    )]
    NotARegistry {
        /// What was asked for.
        url: String,
        /// The answer's status.
        status: StatusCode,
        /// How the answer begins.
        text: String,
    },
    /// The registry reports an error of its own.
    #[error("the schema registry answers {url} with error {code}: {message}")]
    Failed {
        /// What was asked for.
        url: String,
        /// The registry's code.
        code: i64,
        /// The registry's words.
        message: String,
    },
    /// The answer is larger than any schema should be.
    #[error("the schema registry answers {url} with more than {ANSWER_MAX} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
    },
    /// A schema refers to too many others.
    #[error("schema {id} refers to more than {REFERENCES_MAX} schemas")]
    TooManyReferences {
        /// The schema's id.
        id: u32,
    },
}

/// A schema registry. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Registry {
    settings: settings::Registry,
    /// Made when it is first needed.
    client: Arc<OnceCell<Client>>,
}

/// What the registry says of a schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: String,
    /// Not told where it is `AVRO`.
    schema_type: Option<String>,
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

/// What the registry says instead of a schema.
#[derive(Deserialize)]
struct Fault {
    error_code: i64,
    #[serde(default)]
    message: String,
}

impl Registry {
    /// The registry of the settings. Nothing is asked yet.
    pub fn new(settings: &settings::Registry) -> Registry {
        Registry { settings: settings.clone(), client: Arc::default() }
    }

    /// The settings.
    pub fn settings(&self) -> &settings::Registry {
        &self.settings
    }

    /// The schema of that id; `None`: the registry does not know it.
    ///
    /// # Errors
    /// If the registry cannot be asked, or does not answer as one.
    pub async fn schema(&self, id: u32) -> Result<Option<RegisteredSchema>, RegistryError> {
        let asked = self.ask(id).await;
        let answer = match &asked {
            Ok(Some(_)) => "schema",
            Ok(None) => "unknown",
            Err(_) => "none",
        };
        counter!("braid_registry_requests_total", "answer" => answer).increment(1);
        asked
    }

    async fn ask(&self, id: u32) -> Result<Option<RegisteredSchema>, RegistryError> {
        let url = self.url(&["schemas", "ids", &id.to_string()])?;
        let answer = match self.get::<Answer>(url).await {
            Err(RegistryError::Failed { code: NOT_KNOWN, .. }) => return Ok(None),
            answer => answer?,
        };
        let references = self.references(id, answer.references.unwrap_or_default()).await?;
        let kind = answer.schema_type.unwrap_or_else(|| "AVRO".to_owned());
        Ok(Some(RegisteredSchema { kind, text: answer.schema, references }))
    }

    /// Everything that these lead to; each after those that it refers to.
    async fn references(&self, id: u32, named: Vec<Reference>) -> Result<Vec<(String, String)>, RegistryError> {
        /// A schema to ask for, or one whose own references come first.
        enum Task {
            Ask(Reference),
            Add(String, String),
        }
        let (mut tasks, mut asked, mut found) = (Vec::new(), BTreeSet::new(), Vec::new());
        tasks.extend(named.into_iter().rev().map(Task::Ask));
        while let Some(task) = tasks.pop() {
            match task {
                Task::Add(name, text) => found.push((name, text)),
                Task::Ask(reference) => {
                    if !asked.insert(reference.name.clone()) {
                        continue;
                    }
                    if asked.len() > REFERENCES_MAX {
                        return Err(RegistryError::TooManyReferences { id });
                    }
                    let version = reference.version.to_string();
                    let mut url = self.url(&["subjects", &reference.subject, "versions", &version])?;
                    // A subject that was deleted is still what the schema refers to.
                    url.query_pairs_mut().append_pair("deleted", "true");
                    let answer = self.get::<Answer>(url).await?;
                    tasks.push(Task::Add(reference.name, answer.schema));
                    tasks.extend(answer.references.unwrap_or_default().into_iter().rev().map(Task::Ask));
                }
            }
        }
        Ok(found)
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, RegistryError> {
        let settings = &self.settings;
        let client = self.client.get_or_try_init(async || {
            let timeout = settings.request_timeout.get();
            Client::builder().timeout(timeout).connect_timeout(timeout).build().map_err(RegistryError::Client)
        });
        let mut request = client.await?.get(url.clone()).header("accept", ACCEPTED);
        if !settings.user.is_empty() {
            request = request.basic_auth(&settings.user, Some(settings.password.reveal()));
        }
        let url = url.to_string();
        let unreachable =
            |error: reqwest::Error| RegistryError::Unreachable { url: url.clone(), source: error.without_url() };
        let mut response = request.send().await.map_err(unreachable)?;
        let (status, mut body) = (response.status(), Vec::new());
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_MAX {
                return Err(RegistryError::TooLarge { url });
            }
        }
        if status.is_success()
            && let Ok(answer) = serde_json::from_slice(&body)
        {
            return Ok(answer);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(RegistryError::Refused { url, status });
        }
        match serde_json::from_slice(&body) {
            Ok(Fault { error_code, message }) if !status.is_success() => {
                Err(RegistryError::Failed { url, code: error_code, message })
            }
            _ => {
                let text = String::from_utf8_lossy(&body).chars().take(120).collect();
                Err(RegistryError::NotARegistry { url, status, text })
            }
        }
    }

    fn url(&self, path: &[&str]) -> Result<Url, RegistryError> {
        let mut url = Url::parse(&self.settings.url).map_err(|_| RegistryError::NotNamed)?;
        url.path_segments_mut().map_err(|()| RegistryError::NotNamed)?.pop_if_empty().extend(path);
        Ok(url)
    }
}
