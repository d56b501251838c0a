//! How far the lanes of a build have written, and what the server refused (I2, I3).

use platform::failpoints;
use serde_json::{Value, json};
use shared_logic::contracts::index::{Progress, Refused, progress_id, progress_index, refused_id};
use shared_logic::log::PartitionId;

use super::http::{Ask, NO_INDEX, foreign, kind, of_all_shards, words};
use super::items::{Lines, Unless};
use super::read::KEPT;
use super::{SearchClient, SearchError};

/// How many documents of the progress index are read at once.
const PAGE: u64 = 500;
/// How many of them are forgotten by one request.
const AT_ONCE: usize = 1_000;

impl SearchClient {
    /// The progress of lanes of a build, in real time (`_mget`), in the order of `ids`; `None`: there is none.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn progress(
        &self,
        index: &str,
        build: u64,
        ids: &[PartitionId],
    ) -> Result<Vec<Option<Progress>>, SearchError> {
        const OPERATION: &str = "read the progress of an index";
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let name = progress_index(&self.deployment);
        let asked: Vec<String> = ids.iter().map(|id| progress_id(index, build, id)).collect();
        let path = [name.as_str(), "_mget"];
        let answer = self.http.ok(Ask::post(OPERATION, &path).json(&json!({"ids": asked}))).await?;
        let docs = answer["docs"].as_array().filter(|docs| docs.len() == ids.len());
        let docs = docs.ok_or_else(|| foreign(OPERATION, &answer))?;
        docs.iter().map(|doc| found(OPERATION, doc)).collect()
    }

    /// Notes the progress of a lane, unless a later one is there: `version_type=external_gte`, the cursor as the version. Returns whether it
    /// is there now; `false`: a later one was, so another worker goes on with the lane. Fail points: `search::before_progress`, `search::after_progress`.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn put_progress(
        &self,
        index: &str,
        build: u64,
        id: &PartitionId,
        progress: &Progress,
    ) -> Result<bool, SearchError> {
        let Ok(version) = u64::try_from(progress.cursor) else {
            let reason = format!("{} is no cursor", progress.cursor);
            return Err(SearchError::Refused { operation: "note the progress of an index", status: 400, reason });
        };
        let document = json!({"kind": "progress", "index": index, "build": build, "record": progress});
        let mut lines = Lines::default();
        let id = progress_id(index, build, id);
        lines.push(&id, Unless::Newer(version), Some(document.to_string().as_bytes()));
        failpoints::pass("search::before_progress");
        let name = progress_index(&self.deployment);
        let is_there = self.send_all("note the progress of an index", &name, lines).await? == [true];
        failpoints::pass("search::after_progress");
        Ok(is_there)
    }

    /// Keeps documents that were refused (`version_type=external_gte`, the version of the document).
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn keep_refused(&self, index: &str, build: u64, refused: &[Refused]) -> Result<(), SearchError> {
        let most = self.settings.max_bulk.as_usize();
        let mut rest = refused;
        while !rest.is_empty() {
            let (mut lines, mut number) = (Lines::default(), 0);
            while let Some(next) = rest.get(number).filter(|_| number == 0 || lines.bytes() < most) {
                push_refused(&mut lines, index, build, next);
                number += 1;
            }
            self.keep(index, build, lines, &rest[..number]).await?;
            rest = &rest[number..];
        }
        Ok(())
    }

    /// Sends the lines of these; one by one where they are too large together, and without the document where that alone is.
    async fn keep(&self, index: &str, build: u64, lines: Lines, refused: &[Refused]) -> Result<(), SearchError> {
        const OPERATION: &str = "keep documents that the search server has refused";
        let name = progress_index(&self.deployment);
        match self.send_all(OPERATION, &name, lines).await {
            Err(SearchError::TooLarge { .. }) => {}
            sent => return sent.map(drop),
        }
        for one in refused {
            let mut lines = Lines::default();
            push_refused(&mut lines, index, build, one);
            match self.send_all(OPERATION, &name, lines).await {
                Err(SearchError::TooLarge { .. }) => {}
                sent => {
                    sent?;
                    continue;
                }
            }
            let reason = format!("{} (its {} bytes are too many to be kept here)", one.reason, one.document.len());
            let mut lines = Lines::default();
            push_refused(&mut lines, index, build, &Refused { document: String::new(), reason, ..one.clone() });
            self.send_all(OPERATION, &name, lines).await?;
        }
        Ok(())
    }

    /// Removes what was kept of ids up to those versions (`version_type=external_gte` deletes): a later document of them was taken.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn forget_refused(&self, index: &str, build: u64, ids: &[(String, u64)]) -> Result<(), SearchError> {
        let name = progress_index(&self.deployment);
        for some in ids.chunks(AT_ONCE) {
            let mut lines = Lines::default();
            for (id, version) in some {
                lines.push(&refused_id(index, build, id), Unless::Newer(*version), None);
            }
            self.send_all("forget documents that the search server had refused", &name, lines).await?;
        }
        Ok(())
    }

    /// What was refused of a build, after a refresh of the progress index: at most so many, by id, and how many there are.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn refused(&self, index: &str, build: u64, limit: u64) -> Result<(Vec<Refused>, u64), SearchError> {
        let read = |document: &mut Value| serde_json::from_value(document["record"].take()).ok();
        self.refused_as(index, build, limit, &json!(true), read).await
    }

    /// The same without the documents, of which each may be large: ids and versions.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn refused_ids(
        &self,
        index: &str,
        build: u64,
        limit: u64,
    ) -> Result<(Vec<(String, u64)>, u64), SearchError> {
        let read = |document: &mut Value| {
            let record = &document["record"];
            Some((record["id"].as_str()?.to_owned(), record["version"].as_u64()?))
        };
        self.refused_as(index, build, limit, &json!(["record.id", "record.version"]), read).await
    }

    /// How many documents were refused of a build, after a refresh of the progress index.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn count_refused(&self, index: &str, build: u64) -> Result<u64, SearchError> {
        const OPERATION: &str = "count what the search server has refused";
        let name = progress_index(&self.deployment);
        if !self.is_refreshed(&name).await? {
            return Ok(0);
        }
        let (path, body) = ([name.as_str(), "_count"], json!({"query": about(index, build, &["refused"])}));
        let answer = of_all_shards(OPERATION, self.http.ok(Ask::post(OPERATION, &path).json(&body)).await?)?;
        answer["count"].as_u64().ok_or_else(|| foreign(OPERATION, &answer))
    }

    /// Makes everything visible that was written to the progress index. `false`: it was never created, and holds nothing.
    async fn is_refreshed(&self, name: &str) -> Result<bool, SearchError> {
        match self.refresh(name).await {
            Err(SearchError::NoIndex { .. }) => Ok(false),
            refreshed => refreshed.map(|()| true),
        }
    }

    /// What of documents that were refused of a build is read: these fields, by that.
    async fn refused_as<T>(
        &self,
        index: &str,
        build: u64,
        limit: u64,
        fields: &Value,
        read_one: impl Fn(&mut Value) -> Option<T>,
    ) -> Result<(Vec<T>, u64), SearchError> {
        const OPERATION: &str = "read what the search server has refused";
        let name = progress_index(&self.deployment);
        let body = json!({
            // A page has at least one.
            "size": limit.clamp(1, PAGE),
            "track_total_hits": true,
            "query": about(index, build, &["refused"]),
            "sort": [{"id": "asc"}],
            "_source": fields,
        });
        if !self.is_refreshed(&name).await? {
            return Ok((Vec::new(), 0));
        }
        let (mut scroll, total) = self.begin_scroll(OPERATION, &name, &body, KEPT).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut refused = Vec::new();
        let read = async {
            while !scroll.page.is_empty() && refused.len() < most {
                for (_, mut document) in std::mem::take(&mut scroll.page) {
                    refused.push(read_one(&mut document).ok_or_else(|| foreign(OPERATION, &document))?);
                }
                if refused.len() < most {
                    self.next_page(&mut scroll).await?;
                }
            }
            Ok(())
        };
        let read = read.await;
        // An error means that the server forgets it by itself, later.
        let _ = self.end_scroll(scroll).await;
        read.map(|()| {
            refused.truncate(most);
            (refused, total)
        })
    }

    /// Deletes all documents about a build (its progress, and what was refused).
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn forget_build(&self, index: &str, build: u64) -> Result<(), SearchError> {
        self.forget_found(about(index, build, &["progress", "refused"])).await
    }

    /// Deletes all documents about builds up to `begun` but the `known` ones: a process that did not know that a build has ended may have
    /// written them after it was forgotten, and they may hold what was erased.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn forget_others(&self, index: &str, known: &[u64], begun: u64) -> Result<(), SearchError> {
        let kinds = ["progress", "refused"];
        let of_index =
            json!([{"terms": {"kind": kinds}}, {"term": {"index": index}}, {"range": {"build": {"lte": begun}}}]);
        self.forget_found(json!({"bool": {"filter": of_index, "must_not": [{"terms": {"build": known}}]}})).await
    }

    async fn forget_found(&self, query: Value) -> Result<(), SearchError> {
        const OPERATION: &str = "delete the documents about a build";
        let name = progress_index(&self.deployment);
        if !self.is_refreshed(&name).await? {
            return Ok(());
        }
        let body = json!({"size": PAGE, "query": query, "sort": ["_doc"], "_source": false, "track_total_hits": true});
        let (mut scroll, _) = self.begin_scroll(OPERATION, &name, &body, KEPT).await?;
        let delete = async {
            while !scroll.page.is_empty() {
                let mut lines = Lines::default();
                for (id, _) in std::mem::take(&mut scroll.page) {
                    lines.push(&id, Unless::Never, None);
                }
                self.send_all(OPERATION, &name, lines).await?;
                self.next_page(&mut scroll).await?;
            }
            Ok(())
        };
        let deleted = delete.await;
        // An error means that the server forgets it by itself, later.
        let _ = self.end_scroll(scroll).await;
        deleted
    }
}

/// The documents about a build, of these kinds.
fn about(index: &str, build: u64, kinds: &[&str]) -> Value {
    json!({"bool": {"filter": [{"terms": {"kind": kinds}}, {"term": {"index": index}}, {"term": {"build": build}}]}})
}

fn push_refused(lines: &mut Lines, index: &str, build: u64, refused: &Refused) {
    let document = json!({"kind": "refused", "index": index, "build": build, "id": refused.id, "record": refused});
    let id = refused_id(index, build, &refused.id);
    lines.push(&id, Unless::Newer(refused.version), Some(document.to_string().as_bytes()));
}

/// The progress that a document of an answer holds.
fn found(operation: &'static str, doc: &Value) -> Result<Option<Progress>, SearchError> {
    let error = &doc["error"];
    if error.is_object() {
        // Here the index is told as missing for each document.
        if kind(error) == NO_INDEX {
            return Ok(None);
        }
        return Err(SearchError::Busy { operation, status: 503, reason: words(error) });
    }
    match doc["found"].as_bool() {
        Some(false) => Ok(None),
        Some(true) => {
            let record = serde_json::from_value(doc["_source"]["record"].clone());
            record.map(Some).map_err(|_| foreign(operation, doc))
        }
        None => Err(foreign(operation, doc)),
    }
}
