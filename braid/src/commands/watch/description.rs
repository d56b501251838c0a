//! What the serving layer says of a stream, as far as a person is told its outputs.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::serving::{Reply, Serving};

/// A stream.
#[derive(Debug, Deserialize)]
pub(super) struct Description {
    pub(super) name: String,
    /// `map`, `window`, `session` or `detect`.
    pub(super) kind: String,
    /// The field that its records are keyed by.
    pub(super) key: Option<String>,
    pub(super) fields: Vec<Field>,
    /// Why it is not written, or why that is not known.
    pub(super) why: Option<String>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
}

/// A field of its outputs.
#[derive(Debug, Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
struct Streams {
    streams: Vec<Description>,
}

/// The stream of that name, in that version, or in the active one.
///
/// # Errors
/// If there is none, or no serving layer answers.
pub(super) async fn described(serving: &Serving, name: &str, version: Option<&str>) -> Result<Description> {
    let mut url = serving.url(&["v1", "streams"])?;
    if let Some(version) = version {
        url.query_pairs_mut().append_pair("version", version);
    }
    let body = match serving.get(&url).await? {
        Reply::Answer(body) => body,
        Reply::Refused(refusal) => return Err(refusal.into()),
    };
    let Streams { streams } = serde_json::from_str(&body).context("this is no answer of a serving layer")?;
    of_name(streams, name)
}

fn of_name(streams: Vec<Description>, name: &str) -> Result<Description> {
    let known: Vec<String> = streams.iter().map(|stream| stream.name.clone()).collect();
    if known.is_empty() {
        bail!("the catalog declares no streams");
    }
    let found = streams.into_iter().find(|stream| stream.name == name);
    found.with_context(|| format!("the catalog declares no stream {name}; it declares {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_found_by_its_name() {
        let body = r#"{"streams": [{"name": "alerts", "kind": "detect", "from": "payments", "key": "user_id", "why": null,
            "fields": [{"name": "output_id", "type": "string", "optional": false}], "warnings": [], "partitions": []}]}"#;
        let streams = || serde_json::from_str::<Streams>(body).expect("a list").streams;
        assert_eq!(of_name(streams(), "alerts").expect("known").fields[0].name, "output_id");
        let error = of_name(streams(), "alarms").expect_err("unknown").to_string();
        assert_eq!(error, "the catalog declares no stream alarms; it declares alerts");
        assert!(of_name(Vec::new(), "alerts").is_err());
    }
}
