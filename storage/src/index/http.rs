//! Requests to the search server, and what its answers mean.
//!
//! Credentials stand in a header that prints as `Sensitive`, and addresses hold none, so no error can tell them.

use std::error::Error;
use std::path::Path;

use platform::settings;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::SearchError;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
/// How much of the server's words an error has.
const WORDS_MAX: usize = 500;
/// Kinds of errors that pass, whatever their status is: a block of the cluster may be a 403, and a closed index a 400.
const PASSING: [&str; 4] =
    ["cluster_block_exception", "index_closed_exception", "circuit_breaking_exception", "rejected_execution_exception"];

/// The connections to the server. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

/// A request.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// What it is for, as errors say it: `cannot …`.
    operation: &'static str,
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<(&'static str, Vec<u8>)>,
}

/// What the server has answered.
#[derive(Debug)]
pub(super) struct Answer {
    operation: &'static str,
    /// The status.
    pub(super) status: StatusCode,
    /// The answer, if it is JSON.
    pub(super) json: Option<Value>,
    /// How it begins, if it is not.
    begin: String,
}

impl<'a> Ask<'a> {
    /// Asks for what stands at a path, each part of which is percent-encoded.
    pub(super) fn get(operation: &'static str, path: &'a [&'a str]) -> Ask<'a> {
        Ask { operation, method: Method::GET, path, query: &[], body: None }
    }

    /// Posts to a path.
    pub(super) fn post(operation: &'static str, path: &'a [&'a str]) -> Ask<'a> {
        Ask { method: Method::POST, ..Ask::get(operation, path) }
    }

    /// Puts something at a path.
    pub(super) fn put(operation: &'static str, path: &'a [&'a str]) -> Ask<'a> {
        Ask { method: Method::PUT, ..Ask::get(operation, path) }
    }

    /// Deletes what stands at a path.
    pub(super) fn delete(operation: &'static str, path: &'a [&'a str]) -> Ask<'a> {
        Ask { method: Method::DELETE, ..Ask::get(operation, path) }
    }

    /// With these parameters.
    pub(super) fn query(self, query: &'a [(&'a str, &'a str)]) -> Ask<'a> {
        Ask { query, ..self }
    }

    /// With that body.
    pub(super) fn json(self, body: &Value) -> Ask<'a> {
        Ask { body: Some((JSON, body.to_string().into_bytes())), ..self }
    }

    /// With a body of JSON lines.
    pub(super) fn lines(self, body: Vec<u8>) -> Ask<'a> {
        Ask { body: Some((LINES, body)), ..self }
    }
}

impl Http {
    /// Connections as the settings want them. Nothing is asked yet.
    pub(super) fn new(settings: &settings::Search) -> Result<Http, SearchError> {
        let refused = |why: String| SearchError::Client { why };
        let url = Url::parse(&settings.url).map_err(|error| refused(format!("search.url: {error}")))?;
        let timeout = settings.request_timeout.get();
        // A redirected POST would become a GET.
        let mut client = Client::builder().timeout(timeout).connect_timeout(timeout).redirect(Policy::none());
        if let Some(path) = &settings.ca {
            for authority in
                authorities(path).map_err(|why| refused(format!("search.ca, {}: {why}", path.display())))?
            {
                client = client.add_root_certificate(authority);
            }
        }
        let client = client.build().map_err(|error| refused(reasons(&error)))?;
        Ok(Http { client, url, authorization: authorization(settings)? })
    }

    /// The answer, whatever it is.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, SearchError> {
        let Ask { operation, method, path, query, body } = ask;
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some((kind, body)) = body {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        let unreachable =
            |error: reqwest::Error| SearchError::Unreachable { operation, why: reasons(&error.without_url()) };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let json = serde_json::from_slice(&bytes).ok();
        let begin = if json.is_some() {
            String::new()
        } else {
            String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned()
        };
        Ok(Answer { operation, status, json, begin })
    }

    /// The answer to a request that succeeds.
    pub(super) async fn ok(&self, ask: Ask<'_>) -> Result<Value, SearchError> {
        self.ask(ask).await?.ok()
    }
}

impl Answer {
    /// What it says, if the request has succeeded.
    pub(super) fn ok(self) -> Result<Value, SearchError> {
        match self.json {
            Some(json) if self.status.is_success() => Ok(json),
            _ => Err(self.error()),
        }
    }

    /// What kind of error the server names, such as `index_not_found_exception`; empty if it names none.
    pub(super) fn kind(&self) -> &str {
        self.json.as_ref().map_or("", |json| kind(&json["error"]))
    }

    /// Why the request has not succeeded.
    pub(super) fn error(self) -> SearchError {
        let (operation, status) = (self.operation, self.status.as_u16());
        let error = self.json.as_ref().map(|json| &json["error"]);
        let reason = error.map_or_else(|| self.begin.clone(), words);
        let is_of_server = error.is_some_and(|error| !error.is_null());
        if is_passing(status, self.kind()) {
            return SearchError::Busy { operation, status, reason };
        }
        match status {
            401 | 403 => SearchError::NotAllowed { operation, status },
            404 if self.kind() == NO_INDEX => {
                let index = error.and_then(|error| error["index"].as_str()).unwrap_or_default().to_owned();
                SearchError::NoIndex { operation, index }
            }
            413 => SearchError::TooLarge { operation },
            _ if is_of_server => SearchError::Refused { operation, status, reason },
            _ => SearchError::Foreign { operation, what: format!("{status} {:?}", self.begin) },
        }
    }
}

/// What the server calls an index that it does not have.
pub(super) const NO_INDEX: &str = "index_not_found_exception";

/// Whether an answer says that waiting may help.
pub(super) fn is_passing(status: u16, kind: &str) -> bool {
    matches!(status, 408 | 429 | 500..) || PASSING.iter().any(|passing| kind.ends_with(passing))
}

/// The kind of an error.
pub(super) fn kind(error: &Value) -> &str {
    error["type"].as_str().unwrap_or_default()
}

/// An error in the server's words: its reason, and the last cause.
pub(super) fn words(error: &Value) -> String {
    let mut words = error["reason"].as_str().or_else(|| error.as_str()).unwrap_or_else(|| kind(error)).to_owned();
    let mut last = error;
    while last["caused_by"].is_object() {
        last = &last["caused_by"];
    }
    if let Some(cause) = last["reason"].as_str().filter(|cause| !words.contains(cause)) {
        words = format!("{words}: {cause}");
    }
    words.chars().take(WORDS_MAX).collect()
}

/// An answer that such a server does not give.
pub(super) fn foreign(operation: &'static str, answer: &Value) -> SearchError {
    SearchError::Foreign { operation, what: answer.to_string().chars().take(120).collect() }
}

/// A refresh is of use only if no shard has failed. Copies that no server holds are not refreshed, and need not be.
pub(super) fn of_all_copies(operation: &'static str, answer: Value) -> Result<Value, SearchError> {
    let shards = &answer["_shards"];
    match shards["failed"].as_u64() {
        Some(0) => Ok(answer),
        Some(failed) => {
            let why = words(&shards["failures"][0]["reason"]);
            let reason = format!("{failed} shards of the index did not answer: {why}");
            Err(SearchError::Busy { operation, status: 503, reason })
        }
        None => Err(foreign(operation, &answer)),
    }
}

/// A search or a count is of use only if all shards have taken part. The server does not count one as failed that nobody holds, as after a
/// restart: it answers without what is in that.
pub(super) fn of_all_shards(operation: &'static str, answer: Value) -> Result<Value, SearchError> {
    let answer = of_all_copies(operation, answer)?;
    let shards = &answer["_shards"];
    match (shards["total"].as_u64(), shards["successful"].as_u64()) {
        (Some(total), Some(successful)) if successful >= total => Ok(answer),
        (Some(total), Some(successful)) => {
            let reason = format!("{} of {total} shards of the index are not there", total - successful);
            Err(SearchError::Busy { operation, status: 503, reason })
        }
        _ => Err(foreign(operation, &answer)),
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| reasons(&error))?;
    if found.is_empty() { Err("it holds no certificate in PEM".to_owned()) } else { Ok(found) }
}

fn authorization(settings: &settings::Search) -> Result<Option<HeaderValue>, SearchError> {
    let key = settings.api_key.reveal();
    let mut value = if !key.is_empty() {
        let why = "search.api_key holds a letter that cannot stand in a header".to_owned();
        HeaderValue::from_str(&format!("ApiKey {key}")).map_err(|_| SearchError::Client { why })?
    } else if !settings.user.is_empty() {
        basic(&settings.user, settings.password.reveal())?
    } else {
        return Ok(None);
    };
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The header of basic authentication, as the client writes it.
fn basic(user: &str, password: &str) -> Result<HeaderValue, SearchError> {
    let refused = || SearchError::Client { why: "search.user and search.password give no header".to_owned() };
    let request = Client::new().get("http://localhost").basic_auth(user, Some(password));
    let request = request.build().map_err(|_| refused())?;
    request.headers().get(AUTHORIZATION).cloned().ok_or_else(refused)
}

/// An error with its causes.
fn reasons(error: &(dyn Error + 'static)) -> String {
    let (mut words, mut last) = (error.to_string(), error);
    while let Some(cause) = last.source() {
        words = format!("{words}: {cause}");
        last = cause;
    }
    words
}

#[cfg(test)]
mod tests {
    use platform::settings::Secret;
    use serde_json::json;

    use super::*;

    fn answered(status: u16, json: Option<Value>) -> SearchError {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { operation: "try", status, json, begin: "<html>".to_owned() }.error()
    }

    #[test]
    fn what_passes_is_waited_for_and_nothing_else() {
        let of = |kind: &str| Some(json!({"error": {"type": kind, "reason": "r", "index": "i"}, "status": 1}));
        assert!(answered(403, of("cluster_block_exception")).is_back_pressure());
        assert!(answered(400, of("index_closed_exception")).is_back_pressure());
        assert!(answered(429, of("opensearch_rejected_execution_exception")).is_back_pressure());
        assert!(answered(502, None).is_back_pressure() && answered(500, of("x")).is_back_pressure());
        assert!(matches!(answered(403, of("security_exception")), SearchError::NotAllowed { status: 403, .. }));
        assert!(matches!(answered(401, None), SearchError::NotAllowed { .. }));
        assert!(matches!(answered(404, of(NO_INDEX)), SearchError::NoIndex { index, .. } if index == "i"));
        assert!(matches!(answered(413, None), SearchError::TooLarge { .. }));
        assert!(matches!(answered(400, of("parse_exception")), SearchError::Refused { status: 400, .. }));
        assert!(matches!(answered(404, None), SearchError::Foreign { .. }));
        assert!(matches!(answered(200, None), SearchError::Foreign { what, .. } if what == "200 \"<html>\""));
    }

    #[test]
    fn an_answer_of_some_shards_is_none() {
        let of = |total, successful, failed| json!({"_shards": {"total": total, "successful": successful, "failed": failed}});
        assert!(of_all_shards("try", of(2, 2, 0)).is_ok());
        let some = json!({"_shards": {"failed": 1, "failures": [{"reason": {"type": "t", "reason": "lost"}}]}});
        assert!(of_all_shards("try", some).expect_err("one failed").is_back_pressure());
        let absent = of_all_shards("try", of(3, 1, 0)).expect_err("two are held by nobody");
        assert!(absent.is_back_pressure() && absent.to_string().contains("2 of 3 shards"), "{absent}");
        assert!(of_all_copies("try", of(2, 1, 0)).is_ok(), "a copy that nobody holds needs no refresh");
        assert!(matches!(of_all_shards("try", json!({})), Err(SearchError::Foreign { .. })));
    }

    #[test]
    fn words_have_the_last_cause() {
        let error = json!({"type": "t", "reason": "failed to parse", "caused_by": {"reason": "a", "caused_by": {"reason": "no number"}}});
        assert_eq!(words(&error), "failed to parse: no number");
        assert_eq!(words(&json!("alias [x] missing")), "alias [x] missing");
        assert_eq!(words(&json!({"type": "t"})), "t");
    }

    #[test]
    fn credentials_are_never_printed() {
        let named = settings::Search { url: "http://127.0.0.1:9".to_owned(), ..settings::Search::default() };
        let key = settings::Search { api_key: Secret::from("hidden-key"), ..named.clone() };
        let user = settings::Search { user: "me".to_owned(), password: Secret::from("hidden"), ..named.clone() };
        for settings in [key, user] {
            let http = Http::new(&settings).expect("a client");
            assert!(http.authorization.is_some() && !format!("{http:?}").contains("hidden"), "{http:?}");
        }
        let broken = settings::Search { api_key: Secret::from("hidden\nkey"), ..named };
        let refused = Http::new(&broken).expect_err("no header").to_string();
        assert!(refused.contains("search.api_key") && !refused.contains("hidden"), "{refused}");
    }

    #[test]
    fn authorities_are_read_or_the_setting_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let ca = Some(file.path().to_owned());
        let settings = settings::Search { url: "https://127.0.0.1:9".to_owned(), ca, ..settings::Search::default() };
        let refused = Http::new(&settings).expect_err("it is empty").to_string();
        assert!(refused.contains("search.ca, ") && refused.contains("no certificate"), "{refused}");
        std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\nnone\n").expect("written");
        assert!(Http::new(&settings).is_err());
    }
}
