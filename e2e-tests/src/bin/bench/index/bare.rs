//! The bare loader: one bulk request after the other by each of some lanes, of documents that are at hand, and nothing else.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::search::Plain;
use futures::future::try_join_all;
use serde_json::Value;

/// As many as the topic has partitions.
pub(crate) const LANES: u64 = 4;
/// The most bytes of a request: the default of `search.max_bulk`.
const MAX_BULK: usize = 5 << 20;

/// Creates that index, and loads what `documents` gives for each lane, ids and documents. How long the loading took.
pub(crate) async fn load<D>(
    plain: &Plain,
    index: &str,
    mapping: Value,
    documents: impl Fn(u64) -> D,
) -> Result<Duration>
where
    D: Iterator<Item = (String, String)>,
{
    plain.put(&format!("/{index}"), &mapping).await?;
    // Written down before anything is measured.
    let lanes: Vec<Vec<String>> = (0..LANES).map(|lane| requests(documents(lane))).collect::<Result<_>>()?;
    let began = Instant::now();
    try_join_all(lanes.into_iter().map(|requests| async move {
        for request in requests {
            let answer = plain.bulk(index, request).await?;
            ensure!(answer["errors"] == false, "a document was not taken");
        }
        Ok(())
    }))
    .await?;
    Ok(began.elapsed())
}

/// The bodies of bulk requests, whose documents have versions as Braid's have.
fn requests(documents: impl Iterator<Item = (String, String)>) -> Result<Vec<String>> {
    let mut requests = vec![String::new()];
    for (version, (id, document)) in documents.enumerate() {
        if requests.last().is_some_and(|request| request.len() + document.len() > MAX_BULK) {
            requests.push(String::new());
        }
        let request = requests.last_mut().context("there is one")?;
        let version = version + 1;
        writeln!(request, r#"{{"index":{{"_id":"{id}","version":{version},"version_type":"external"}}}}"#)?;
        writeln!(request, "{document}")?;
    }
    Ok(requests)
}
