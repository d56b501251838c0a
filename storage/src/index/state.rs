//! The state of an index, its builds in the server, and the alias (I4).

use serde_json::{Value, json};
use shared_logic::contracts::index::{IndexState, alias, build_name, progress_index, state_id, writes};
use shared_logic::index::GC_DELETES_S;

use super::http::{Ask, NO_INDEX, foreign};
use super::{SearchClient, SearchError};

/// What the server says of an index that is there already.
const EXISTS: &str = "resource_already_exists_exception";
const UUID: &str = "index.uuid";

/// What the server calls one writing of a document, so that it is replaced only by who has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqNo {
    /// `_seq_no`.
    pub seq_no: i64,
    /// `_primary_term`.
    pub primary_term: i64,
}

/// The state of an index as it was read; the empty state and no number where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The state.
    pub state: IndexState,
    /// What it is replaced by; `None`: it is not there yet.
    pub at: Option<SeqNo>,
}

/// What became of a put of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It stands.
    Done,
    /// Another process has replaced what was read.
    Overtaken,
}

/// An index that there is in the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// What tells it from another of the same name.
    pub uuid: String,
}

impl SearchClient {
    /// The state of an index, read in real time (`GET _doc`). Without the progress index or the document it is empty.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn state(&self, index: &str) -> Result<Stored, SearchError> {
        const OPERATION: &str = "read the state of an index";
        let (name, id) = (progress_index(&self.deployment), state_id(index));
        let path = [name.as_str(), "_doc", id.as_str()];
        let answer = self.http.ask(Ask::get(OPERATION, &path)).await?;
        let is_unknown = answer.json.as_ref().is_some_and(|json| json["found"] == false);
        if answer.status == 404 && (is_unknown || answer.kind() == NO_INDEX) {
            return Ok(Stored { state: IndexState::default(), at: None });
        }
        let mut answer = answer.ok()?;
        let (seq_no, primary_term) = (answer["_seq_no"].as_i64(), answer["_primary_term"].as_i64());
        let state = serde_json::from_value(answer["_source"]["record"].take()).ok();
        let (Some(state), Some(seq_no), Some(primary_term)) = (state, seq_no, primary_term) else {
            return Err(foreign(OPERATION, &answer));
        };
        Ok(Stored { state, at: Some(SeqNo { seq_no, primary_term }) })
    }

    /// Puts a state in the place of the one that was read, and nothing else; creates the progress index first where it is missing (strict
    /// mapping: `kind`, `index` keywords, `build` long, `id` a keyword, `record` an object with `enabled: false`).
    ///
    /// # Errors
    /// [`SearchError`]. It may stand all the same; who reads it then sees his own step.
    pub async fn put_state(&self, index: &str, read: &Stored, next: &IndexState) -> Result<Put, SearchError> {
        const OPERATION: &str = "put the state of an index";
        let (progress, id) = (progress_index(&self.deployment), state_id(index));
        let name = writes(&progress);
        let document = json!({"kind": "state", "index": index, "record": next});
        let mut was_created = false;
        loop {
            let (path, mut query) = ([name.as_str(), "_doc", id.as_str()], vec![("require_alias", "true".to_owned())]);
            match read.at {
                None => query.push(("op_type", "create".to_owned())),
                Some(SeqNo { seq_no, primary_term }) => {
                    query.push(("if_seq_no", seq_no.to_string()));
                    query.push(("if_primary_term", primary_term.to_string()));
                }
            }
            let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = self.http.ask(Ask::put(OPERATION, &path).query(&query).json(&document)).await?;
            match answer.status.as_u16() {
                409 => return Ok(Put::Overtaken),
                // What was read is lost, with the whole progress index.
                404 if answer.kind() == NO_INDEX && read.at.is_some() => return Ok(Put::Overtaken),
                404 if answer.kind() == NO_INDEX && !was_created => {
                    self.create_progress_index(&progress).await?;
                    was_created = true;
                }
                404 if answer.kind() == NO_INDEX => {
                    let reason = format!(
                        "{progress} is not an index that Braid has created, as it has no alias {name}: delete it"
                    );
                    return Err(SearchError::Refused { operation: OPERATION, status: 404, reason });
                }
                _ => return answer.ok().map(|_| Put::Done),
            }
        }
    }

    /// Creates the progress index, unless another process has done so.
    async fn create_progress_index(&self, name: &str) -> Result<(), SearchError> {
        let body = json!({
            "settings": {"index": {
                "number_of_shards": 1,
                "number_of_replicas": self.settings.replicas,
                "gc_deletes": format!("{GC_DELETES_S}s"),
            }},
            "mappings": {"dynamic": "strict", "properties": {
                "kind": {"type": "keyword"},
                "index": {"type": "keyword"},
                "build": {"type": "long"},
                // Terms are bounded; the id of a document need not be.
                "id": {"type": "keyword", "ignore_above": 8_000},
                "record": {"type": "object", "enabled": false},
            }},
        });
        let answer =
            self.http.ask(Ask::put("create the progress index", &[name]).json(&with_writes(name, &body))).await?;
        if answer.kind() == EXISTS { Ok(()) } else { answer.ok().map(drop) }
    }

    /// Takes a step on the newest state, anew after another process was faster (20 times at most), and returns the state behind it. If it changes nothing, nothing is put.
    ///
    /// # Errors
    /// What the step says, or [`SearchError`]; [`SearchError::Busy`] after too many others.
    pub async fn step<E: From<SearchError>>(
        &self,
        index: &str,
        step: impl Fn(&IndexState) -> Result<IndexState, E>,
    ) -> Result<IndexState, E> {
        const ATTEMPTS: u32 = 20;
        for _ in 0..ATTEMPTS {
            let read = self.state(index).await?;
            let next = step(&read.state)?;
            if next == read.state || self.put_state(index, &read, &next).await? == Put::Done {
                return Ok(next);
            }
        }
        let reason = format!("other processes changed the state of {index} first {ATTEMPTS} times");
        Err(SearchError::Busy { operation: "change the state of an index", status: 409, reason }.into())
    }

    /// Creates an index, and says what tells it from others. One of that name that is there already is no error only if `body` was sent by
    /// an earlier try of the same call: names of builds are never used twice, so it is deleted and created again.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn create_index(&self, name: &str, body: &Value) -> Result<IndexInfo, SearchError> {
        const OPERATION: &str = "create an index";
        let body = with_writes(name, body);
        let mut answer = self.http.ask(Ask::put(OPERATION, &[name]).json(&body)).await?;
        if answer.kind() == EXISTS {
            self.delete_index(name).await?;
            answer = self.http.ask(Ask::put(OPERATION, &[name]).json(&body)).await?;
        }
        answer.ok()?;
        let gone = || SearchError::NoIndex { operation: OPERATION, index: name.to_owned() };
        self.index(name).await?.ok_or_else(gone)
    }

    /// The index of that name; `None` if there is none.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn index(&self, name: &str) -> Result<Option<IndexInfo>, SearchError> {
        Ok(self.named(name).await?.into_iter().find(|info| info.name == name))
    }

    /// All builds of an index that there are, whether a state names them or not.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn indexes_of(&self, index: &str) -> Result<Vec<IndexInfo>, SearchError> {
        let prefix = format!("{}.", alias(&self.deployment, index));
        let mut found = self.named(&format!("{prefix}*")).await?;
        found.retain(|info| info.name.strip_prefix(&prefix).is_some_and(|number| number.parse::<u64>().is_ok()));
        Ok(found)
    }

    /// The indexes of a name, or of a pattern.
    async fn named(&self, pattern: &str) -> Result<Vec<IndexInfo>, SearchError> {
        const OPERATION: &str = "look for an index";
        let (path, query) =
            ([pattern, "_settings", UUID], [("flat_settings", "true"), ("expand_wildcards", "open,closed")]);
        let answer = self.http.ask(Ask::get(OPERATION, &path).query(&query)).await?;
        if answer.status == 404 && answer.kind() == NO_INDEX {
            return Ok(Vec::new());
        }
        let answer = answer.ok()?;
        let found = answer.as_object().ok_or_else(|| foreign(OPERATION, &answer))?;
        let infos = found.iter().map(|(name, index)| {
            let uuid = index["settings"][UUID].as_str().ok_or_else(|| foreign(OPERATION, &answer))?;
            Ok(IndexInfo { name: name.clone(), uuid: uuid.to_owned() })
        });
        infos.collect()
    }

    /// Deletes an index. It has no effect where there is none.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn delete_index(&self, name: &str) -> Result<(), SearchError> {
        let answer = self.http.ask(Ask::delete("delete an index", &[name])).await?;
        if answer.status == 404 && answer.kind() == NO_INDEX { Ok(()) } else { answer.ok().map(drop) }
    }

    /// Makes the alias of an index name exactly that build, in one step of the server; `None`: no build.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn align_alias(&self, index: &str, build: Option<u64>) -> Result<(), SearchError> {
        const OPERATION: &str = "move the alias of an index";
        let alias = alias(&self.deployment, index);
        let wanted = build.map(|number| build_name(&self.deployment, index, number));
        let path = ["_alias", alias.as_str()];
        let answer = self.http.ask(Ask::get(OPERATION, &path)).await?;
        let named = match answer.status.as_u16() {
            404 if answer.json.as_ref().is_some_and(|json| !json["error"].is_null()) => Vec::new(),
            _ => {
                let answer = answer.ok()?;
                let named = answer.as_object().ok_or_else(|| foreign(OPERATION, &answer))?;
                named.keys().cloned().collect()
            }
        };
        let others = named.iter().filter(|name| Some(*name) != wanted.as_ref());
        let mut actions: Vec<Value> = others.map(|name| json!({"remove": {"index": name, "alias": alias}})).collect();
        if let Some(wanted) = wanted.filter(|wanted| !named.contains(wanted)) {
            actions.push(json!({"add": {"index": wanted, "alias": alias}}));
        }
        if actions.is_empty() {
            return Ok(());
        }
        let body = json!({"actions": actions});
        self.http.ok(Ask::post(OPERATION, &["_aliases"]).json(&body)).await.map(drop)
    }
}

/// What an index is created with, and the alias by which it is written.
fn with_writes(name: &str, body: &Value) -> Value {
    let mut body = body.clone();
    body["aliases"][writes(name)] = json!({"is_hidden": true});
    body
}
