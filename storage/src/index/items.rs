//! Lines of a bulk request, and what became of each.

use serde_json::{Value, json};
use shared_logic::contracts::index::writes;

use super::http::{Ask, NO_INDEX, foreign, is_passing, kind, words};
use super::{SearchClient, SearchError};

/// The longest id that servers take, in bytes.
const ID_MAX: usize = 512;
/// What is not asked for is not answered: an answer is small.
const ANSWERED: &str = "items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by";

/// A server creates an index for the delete of a document, although an alias is required; it does not where the request holds something else
/// as well. This is the update of a document that is not there, to which nothing is added.
const GUARD: &[u8] = b"{\"update\":{\"_id\":\"braid/guard\"}}\n{\"doc\":{}}\n";

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkOutcome {
    /// It was written or deleted, or there was nothing to delete (2xx, and 404 of a delete).
    Done,
    /// A document of that version or a later one was there: 409, which counts as done.
    Newer,
    /// The server cannot do it now (429, 5xx, a cluster block, which may be a 403): to be sent again.
    Later(String),
    /// The server refuses it for good (400 of the document): to be kept with the reason.
    Refused(String),
    /// The index is gone.
    NoIndex,
}

/// When a document stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unless {
    /// One of an equal or greater version is there.
    EqualOrNewer(u64),
    /// One of a greater version is there.
    Newer(u64),
    /// Never.
    Never,
}

/// The lines of a bulk request.
#[derive(Debug, Default)]
pub(super) struct Lines {
    body: Vec<u8>,
    items: usize,
    /// Whether a document is among them, and not only deletes.
    has_documents: bool,
}

impl Lines {
    /// Lines of about so many bytes.
    pub(super) fn of(bytes: usize) -> Lines {
        Lines { body: Vec::with_capacity(bytes), ..Lines::default() }
    }

    /// How many bytes they have.
    pub(super) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Adds a document, or the delete of one.
    pub(super) fn push(&mut self, id: &str, unless: Unless, document: Option<&[u8]>) {
        let action = if document.is_some() { "index" } else { "delete" };
        let meta = match unless {
            Unless::EqualOrNewer(version) => json!({"_id": id, "version": version, "version_type": "external"}),
            Unless::Newer(version) => json!({"_id": id, "version": version, "version_type": "external_gte"}),
            Unless::Never => json!({"_id": id}),
        };
        self.body.extend_from_slice(json!({action: meta}).to_string().as_bytes());
        self.body.push(b'\n');
        if let Some(document) = document {
            self.body.extend_from_slice(document);
            self.body.push(b'\n');
        }
        self.items += 1;
        self.has_documents |= document.is_some();
    }

    /// The body of the request, and how many items it has: those of the lines, and then the guard if it is needed.
    fn guarded(mut self) -> (Vec<u8>, usize) {
        if self.has_documents {
            return (self.body, self.items);
        }
        self.body.extend_from_slice(GUARD);
        (self.body, self.items + 1)
    }
}

/// Why a document of that id is not even sent, as the server would refuse the whole request.
pub(super) fn unfit(id: &str) -> Option<BulkOutcome> {
    let refused = |why: &str| Some(BulkOutcome::Refused(why.to_owned()));
    match id.len() {
        0 => refused("id_empty: an id is not empty"),
        bytes if bytes > ID_MAX => refused("id_too_long: an id has at most 512 bytes"),
        _ => None,
    }
}

impl SearchClient {
    /// Sends lines to an index, by the alias for writes, so that no index comes to be; what became of each.
    pub(super) async fn send(
        &self,
        operation: &'static str,
        index: &str,
        lines: Lines,
    ) -> Result<Vec<BulkOutcome>, SearchError> {
        if lines.items == 0 {
            return Ok(Vec::new());
        }
        // The server gives up when we do.
        let (index, timeout) = (writes(index), format!("{}ms", self.settings.request_timeout.millis()));
        let (path, query) = (
            [index.as_str(), "_bulk"],
            [("require_alias", "true"), ("timeout", timeout.as_str()), ("filter_path", ANSWERED)],
        );
        let asked = lines.items;
        let (body, sent) = lines.guarded();
        let answer = self.http.ok(Ask::post(operation, &path).query(&query).lines(body)).await?;
        let items = answer["items"].as_array().filter(|items| items.len() == sent);
        let items = items.ok_or_else(|| foreign(operation, &answer))?;
        items.iter().take(asked).map(|item| outcome(item).ok_or_else(|| foreign(operation, item))).collect()
    }

    /// Sends lines to an index, all of which are to be taken; those for which a later document is there are named.
    pub(super) async fn send_all(
        &self,
        operation: &'static str,
        index: &str,
        lines: Lines,
    ) -> Result<Vec<bool>, SearchError> {
        let outcomes = self.send(operation, index, lines).await?;
        let taken = outcomes.into_iter().map(|outcome| match outcome {
            BulkOutcome::Done => Ok(true),
            BulkOutcome::Newer => Ok(false),
            BulkOutcome::Later(reason) => Err(SearchError::Busy { operation, status: 503, reason }),
            BulkOutcome::Refused(reason) => Err(SearchError::Refused { operation, status: 400, reason }),
            BulkOutcome::NoIndex => Err(SearchError::NoIndex { operation, index: index.to_owned() }),
        });
        taken.collect()
    }
}

/// What became of an item; `None` if it is none.
fn outcome(item: &Value) -> Option<BulkOutcome> {
    let result = item.as_object()?.values().next()?;
    let status = u16::try_from(result["status"].as_u64()?).ok()?;
    let (kind, words) = (kind(&result["error"]), words(&result["error"]));
    Some(match status {
        200..=299 => BulkOutcome::Done,
        404 if kind == NO_INDEX => BulkOutcome::NoIndex,
        // There was nothing to delete.
        404 if kind.is_empty() => BulkOutcome::Done,
        409 if kind == "version_conflict_engine_exception" => BulkOutcome::Newer,
        _ if is_passing(status, kind) => BulkOutcome::Later(words),
        // What a user may write is not for the document to mend.
        401 | 403 => BulkOutcome::Later(format!(
            "{words}; check search.user, search.password and search.api_key, and what they may write"
        )),
        400..=499 => BulkOutcome::Refused(format!("{kind}: {words}")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_has_an_outcome() {
        let of = |status: u16, kind: &str| match kind {
            "" => outcome(&json!({"delete": {"status": status}})),
            kind => outcome(&json!({"index": {"status": status, "error": {"type": kind, "reason": "why"}}})),
        };
        let later = BulkOutcome::Later("why".to_owned());
        assert_eq!(of(201, ""), Some(BulkOutcome::Done));
        assert_eq!(of(404, ""), Some(BulkOutcome::Done));
        assert_eq!(of(404, NO_INDEX), Some(BulkOutcome::NoIndex));
        assert_eq!(of(409, "version_conflict_engine_exception"), Some(BulkOutcome::Newer));
        for (status, kind) in [
            (429, "cluster_block_exception"),
            (403, "cluster_block_exception"),
            (400, "index_closed_exception"),
            (503, "unavailable_shards_exception"),
            (500, "i_o_exception"),
        ] {
            assert_eq!(of(status, kind), Some(later.clone()), "{status} {kind}");
        }
        let refused = of(403, "security_exception");
        assert!(
            matches!(&refused, Some(BulkOutcome::Later(why)) if why.contains("why; check search.user")),
            "{refused:?}"
        );
        for kind in ["mapper_parsing_exception", "strict_dynamic_mapping_exception", "illegal_argument_exception"] {
            assert_eq!(of(400, kind), Some(BulkOutcome::Refused(format!("{kind}: why"))), "{kind}");
        }
        assert_eq!(outcome(&json!({"index": {}})), None);
        assert_eq!(of(302, ""), None);
    }

    #[test]
    fn lines_name_the_version_of_documents_and_of_deletes() {
        let mut lines = Lines::default();
        lines.push("a\n", Unless::EqualOrNewer(7), Some(b"{}"));
        lines.push("b", Unless::Newer(8), None);
        lines.push("c", Unless::Never, None);
        let text = String::from_utf8(lines.body.clone()).expect("text");
        let expected = r#"{"index":{"_id":"a\n","version":7,"version_type":"external"}}
{}
{"delete":{"_id":"b","version":8,"version_type":"external_gte"}}
{"delete":{"_id":"c"}}
"#;
        assert_eq!((text.as_str(), lines.items), (expected, 3));
        assert_eq!(lines.guarded().1, 3);
        let mut deletes = Lines::default();
        deletes.push("b", Unless::Newer(8), None);
        let (body, sent) = deletes.guarded();
        assert!(body.ends_with(GUARD) && sent == 2);
        assert!(unfit("").is_some() && unfit(&"x".repeat(513)).is_some() && unfit(&"x".repeat(512)).is_none());
    }
}
