//! What is watched, by what the serving layer says of streams and metrics.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Args;
use crate::serving::{Reply, Serving};

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Watched {
    Stream(Description),
    Metric,
}

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

#[derive(Debug, Deserialize)]
struct Metrics {
    metrics: Vec<Metric>,
}

#[derive(Debug, Deserialize)]
struct Metric {
    name: String,
}

/// What the name stands for in that version, or in the active one.
///
/// # Errors
/// If it stands for nothing or for two things, or no serving layer answers.
pub(super) async fn watched(args: &Args, serving: &Serving) -> Result<Watched> {
    let version = args.in_version.as_deref();
    if args.metric {
        return Ok(Watched::Metric);
    }
    if args.stream {
        return described(serving, &args.name, version).await.map(Watched::Stream);
    }
    let Streams { streams } = listed(serving, "streams", version).await?;
    let Metrics { metrics } = listed(serving, "metrics", version).await?;
    let metrics = metrics.into_iter().map(|metric| metric.name).collect();
    of_either(streams, metrics, &args.name)
}

/// The stream of that name, in that version, or in the active one.
///
/// # Errors
/// If there is none, or no serving layer answers.
pub(super) async fn described(serving: &Serving, name: &str, version: Option<&str>) -> Result<Description> {
    let Streams { streams } = listed(serving, "streams", version).await?;
    of_name(streams, name)
}

/// What the path lists.
async fn listed<T: DeserializeOwned>(serving: &Serving, path: &str, version: Option<&str>) -> Result<T> {
    let mut url = serving.url(&["v1", path])?;
    if let Some(version) = version {
        url.query_pairs_mut().append_pair("version", version);
    }
    let body = match serving.get(&url).await? {
        Reply::Answer(body) => body,
        Reply::Refused(refusal) => return Err(refusal.into()),
    };
    serde_json::from_str(&body).context("this is no answer of a serving layer")
}

fn of_either(streams: Vec<Description>, metrics: Vec<String>, name: &str) -> Result<Watched> {
    let known: Vec<String> = streams.iter().map(|stream| stream.name.clone()).collect();
    let stream = streams.into_iter().find(|stream| stream.name == name);
    match (stream, metrics.iter().any(|metric| metric == name)) {
        (Some(_), true) => bail!("{name} is a stream and a metric: say which of them by --stream or --metric"),
        (Some(stream), false) => Ok(Watched::Stream(stream)),
        (None, true) => Ok(Watched::Metric),
        (None, false) => {
            let named = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            bail!(
                "the catalog declares no stream and no metric {name}; its streams: {}; its metrics: {}",
                named(&known),
                named(&metrics)
            )
        }
    }
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

    fn streams() -> Vec<Description> {
        let body = r#"{"streams": [{"name": "alerts", "kind": "detect", "from": "payments", "key": "user_id", "why": null,
            "fields": [{"name": "output_id", "type": "string", "optional": false}], "warnings": [], "partitions": []}]}"#;
        serde_json::from_str::<Streams>(body).expect("a list").streams
    }

    #[test]
    fn a_stream_is_found_by_its_name() {
        assert_eq!(of_name(streams(), "alerts").expect("known").fields[0].name, "output_id");
        let error = of_name(streams(), "alarms").expect_err("unknown").to_string();
        assert_eq!(error, "the catalog declares no stream alarms; it declares alerts");
        assert!(of_name(Vec::new(), "alerts").is_err());
    }

    #[test]
    fn a_name_is_that_of_a_stream_or_of_a_metric() {
        let of = |metrics: &[&str], name: &str| {
            of_either(streams(), metrics.iter().map(|metric| (*metric).to_owned()).collect(), name)
        };
        assert!(matches!(of(&["views"], "alerts"), Ok(Watched::Stream(stream)) if stream.name == "alerts"));
        assert!(matches!(of(&["views"], "views"), Ok(Watched::Metric)));
        let error = of(&["alerts"], "alerts").expect_err("both").to_string();
        assert_eq!(error, "alerts is a stream and a metric: say which of them by --stream or --metric");
        let error = of(&["views", "visits"], "veiws").expect_err("neither").to_string();
        assert_eq!(
            error,
            "the catalog declares no stream and no metric veiws; its streams: alerts; its metrics: views, visits"
        );
        assert!(of(&[], "veiws").expect_err("neither").to_string().ends_with("its metrics: none"));
    }
}
