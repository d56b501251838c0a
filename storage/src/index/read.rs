//! Searches, and all documents of a slice (I5, I6).

use std::time::Duration;

use serde_json::{Value, json};
use shared_logic::catalog::SLICE;

use super::http::{Ask, foreign, of_all_copies, of_all_shards};
use super::{SearchClient, SearchError};

/// For how long the server keeps a scroll after each page, unless more is asked for.
pub(super) const KEPT: Duration = Duration::from_secs(5 * 60);
/// The longest time for which servers keep one.
const KEPT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// For how long the server keeps it after each page.
    kept: String,
    /// Ids and documents of the page; an empty page is the end.
    pub page: Vec<(String, Value)>,
}

impl SearchClient {
    /// Searches a build.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn search(&self, index: &str, body: &Value) -> Result<Hits, SearchError> {
        const OPERATION: &str = "search an index";
        let path = [index, "_search"];
        let mut answer = of_all_shards(OPERATION, self.http.ok(Ask::post(OPERATION, &path).json(body)).await?)?;
        let (total, timed_out) = (answer["hits"]["total"]["value"].as_u64(), answer["timed_out"].as_bool());
        let (Some(total), Some(timed_out)) = (total, timed_out) else { return Err(foreign(OPERATION, &answer)) };
        let hits = hits(OPERATION, &mut answer)?.into_iter().map(|mut hit| {
            let (version, score) = (hit["_version"].as_u64().unwrap_or_default(), hit["_score"].as_f64());
            (id_of(&mut hit), version, score, hit["_source"].take())
        });
        Ok(Hits { total, timed_out, hits: hits.collect() })
    }

    /// Makes everything that was written to an index visible to searches.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn refresh(&self, index: &str) -> Result<(), SearchError> {
        const OPERATION: &str = "refresh an index";
        let path = [index, "_refresh"];
        of_all_copies(OPERATION, self.http.ok(Ask::post(OPERATION, &path)).await?).map(drop)
    }

    /// How many documents an index has that can be found.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn count(&self, index: &str) -> Result<u64, SearchError> {
        const OPERATION: &str = "count the documents of an index";
        let path = [index, "_count"];
        let answer = of_all_shards(OPERATION, self.http.ok(Ask::get(OPERATION, &path)).await?)?;
        answer["count"].as_u64().ok_or_else(|| foreign(OPERATION, &answer))
    }

    /// Begins to read a slice of a build (`scroll`, sorted by `_doc`): what it holds is as of now. The server keeps it for so long after each
    /// page, and at least for five minutes. The field of the slice is left out of no document.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn scroll(&self, index: &str, slice: u32, page: u64, kept: Duration) -> Result<Scroll, SearchError> {
        let body = json!({
            "size": page,
            "sort": ["_doc"],
            "query": {"term": {SLICE: slice}},
            "track_total_hits": true,
        });
        Ok(self.begin_scroll("read a slice of an index", index, &body, kept).await?.0)
    }

    /// Begins to read what a search finds, and how much that is.
    pub(super) async fn begin_scroll(
        &self,
        operation: &'static str,
        index: &str,
        body: &Value,
        kept: Duration,
    ) -> Result<(Scroll, u64), SearchError> {
        let kept = format!("{}s", kept.clamp(KEPT, KEPT_MAX).as_secs());
        let (path, query) = ([index, "_search"], [("scroll", kept.as_str())]);
        let ask = Ask::post(operation, &path).query(&query).json(body);
        let mut answer = of_all_shards(operation, self.http.ok(ask).await?)?;
        let total = answer["hits"]["total"]["value"].as_u64().ok_or_else(|| foreign(operation, &answer))?;
        let (id, page) = (scroll_id(operation, &answer)?, page_of(operation, &mut answer)?);
        Ok((Scroll { id, kept, page }, total))
    }

    /// Reads the next page.
    ///
    /// # Errors
    /// [`SearchError`]; above all [`SearchError::Refused`] if the server has let it go.
    pub async fn next_page(&self, scroll: &mut Scroll) -> Result<(), SearchError> {
        const OPERATION: &str = "read the next page of an index";
        let body = json!({"scroll": scroll.kept, "scroll_id": scroll.id});
        let ask = Ask::post(OPERATION, &["_search", "scroll"]).json(&body);
        let mut answer = of_all_shards(OPERATION, self.http.ok(ask).await?)?;
        scroll.id = scroll_id(OPERATION, &answer)?;
        scroll.page = page_of(OPERATION, &mut answer)?;
        Ok(())
    }

    /// Lets the server forget it.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn end_scroll(&self, scroll: Scroll) -> Result<(), SearchError> {
        let body = json!({"scroll_id": [scroll.id]});
        let ask = Ask::delete("end the reading of an index", &["_search", "scroll"]).json(&body);
        let answer = self.http.ask(ask).await?;
        // The server has forgotten it by itself.
        if answer.status == 404 { Ok(()) } else { answer.ok().map(drop) }
    }
}

fn scroll_id(operation: &'static str, answer: &Value) -> Result<String, SearchError> {
    let id = answer["_scroll_id"].as_str().ok_or_else(|| foreign(operation, answer))?;
    Ok(id.to_owned())
}

/// Ids and documents of a page, which is a whole one or the last. A server that has a limit of its own for searches gives them up in the middle.
fn page_of(operation: &'static str, answer: &mut Value) -> Result<Vec<(String, Value)>, SearchError> {
    if answer["timed_out"] != false {
        let reason = "the search server gave the reading up (search.default_search_timeout?)".to_owned();
        return Err(SearchError::Busy { operation, status: 503, reason });
    }
    let hits = hits(operation, answer)?;
    Ok(hits.into_iter().map(|mut hit| (id_of(&mut hit), hit["_source"].take())).collect())
}

fn hits(operation: &'static str, answer: &mut Value) -> Result<Vec<Value>, SearchError> {
    match answer["hits"]["hits"].take() {
        Value::Array(hits) if hits.iter().all(|hit| hit["_id"].is_string()) => Ok(hits),
        _ => Err(foreign(operation, answer)),
    }
}

/// The id of a hit, which has one.
fn id_of(hit: &mut Value) -> String {
    match hit["_id"].take() {
        Value::String(id) => id,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_the_server_gave_up_is_none() {
        let answer = |timed_out| json!({"timed_out": timed_out, "hits": {"hits": [{"_id": "a", "_source": {"n": 1}}]}});
        assert_eq!(page_of("try", &mut answer(false)).expect("whole"), [("a".to_owned(), json!({"n": 1}))]);
        assert!(page_of("try", &mut answer(true)).expect_err("a part").is_back_pressure());
    }
}
