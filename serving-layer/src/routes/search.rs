//! `GET /v1/search/{index}`: searches an index, and says how far that is behind the log.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use shared_logic::catalog::SLICE;
use shared_logic::index::Search;
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use super::parameters::Parameters;
use super::{NameInPath, OfVersion, RequestedVersion, of_version};
use crate::app::App;
use crate::openapi::{Document, Fields, Refusals, WhichVersion};
use crate::problem::Problem;
use crate::search_read::{Found, SearchReader};

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchResult)]
pub(crate) struct Body {
    index: String,
    /// The number of the build that was searched.
    build: u64,
    /// The hash of what decides which documents it has.
    definition: String,
    /// Whether it is to be replaced: it is of another definition than the version's, or lacks partitions of the topic.
    rebuilding: bool,
    /// How many documents there are in all.
    total: u64,
    /// Whether the search server gave up before it had looked at all of them.
    timed_out: bool,
    hits: Vec<Hit>,
    /// How many documents the search server has refused, so that they cannot be found; null if that is not known yet.
    #[schema(required = true)]
    refused: Option<u64>,
    behind: BehindLog,
}

/// A document that was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchHit)]
pub(crate) struct Hit {
    id: String,
    /// How well it fits; null where `sort` says the order.
    #[schema(required = true)]
    score: Option<f64>,
    /// The fields of the index that it has.
    #[schema(value_type = Document)]
    document: Value,
}

/// How far the index is behind the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchBehind)]
pub(crate) struct BehindLog {
    /// How many records are not in it; null if Kafka does not say.
    #[schema(required = true)]
    records: Option<i64>,
    /// Everything that was in the log by then can be found; null as long as that is not known.
    #[schema(required = true, format = DateTime)]
    as_of: Option<String>,
    /// How often what was written becomes visible, in milliseconds.
    refresh_ms: u64,
}

/// Search an index
///
/// Documents of a search index of the catalog, and how far that is behind the log. Each field of the index is a parameter: `plan=pro` is an exact
/// value (of a text: all its words), `age=18..65` a range with both ends, of which one may be left out. Each comes once. There is no answer as long
/// as nothing serves that was found equal to its table, or the deployment names no search server (`search.url`).
#[utoipa::path(
    get, path = "/v1/search/{index}", operation_id = "search", tag = "search",
    params(
        ("index" = String, Path, description = "A search index of the catalog."),
        ("q" = Option<String>, Query, description = "What is searched in all texts (or, where an index has none, in its keywords), at most 512 \
            bytes: all words, with `\"phrases\"`, `-word`, `a | b`, `(…)` and `word*`.", max_length = 512, example = "ada"),
        Fields,
        ("sort" = Option<Vec<String>>, Query, description = "Fields, with commas between them, each with `-` before it for descending. Texts that \
            are taken apart into words are no order. Default: how well a document fits.", style = Form, explode = false),
        ("limit" = Option<u64>, Query, description = "How many documents at most. Default: 20.", minimum = 1, maximum = 100, example = 10),
        ("offset" = Option<u64>, Query, description = "How many are passed over. Default: none.", minimum = 0, maximum = 1000, example = 10),
        WhichVersion,
    ),
    responses((status = 200, description = "What was found.", body = OfVersion<Body>), Refusals),
)]
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    RequestedVersion(version): RequestedVersion,
    NameInPath(name): NameInPath,
    RawQuery(query): RawQuery,
) -> Result<Json<OfVersion<Body>>, Problem> {
    let parameters = Parameters::read(query.as_deref())?;
    let reader = version.search(&name)?;
    let search = Search::parse(&reader.index, parameters.of_path())
        .map_err(|error| Problem::parameter(&error.parameter, error.to_string()))?;
    let is_active = Arc::ptr_eq(&version, app.versions.hosted().active());
    let found = reader.search(&search, is_active).await?;
    Ok(of_version(&version, Body::new(reader, found)))
}

impl Body {
    fn new(reader: &SearchReader, found: Found) -> Body {
        let Found { served, definition, hits, behind, refused } = found;
        Body {
            index: reader.index.name.clone(),
            build: served.number,
            definition: definition.to_string(),
            rebuilding: !served.is_own || behind.lacks_partitions,
            total: hits.total,
            timed_out: hits.timed_out,
            hits: hits.hits.into_iter().map(|(id, _, score, document)| Hit::new(id, score, document)).collect(),
            refused,
            behind: BehindLog {
                records: behind.records,
                as_of: behind.as_of_us.map(format_rfc3339),
                refresh_ms: reader.refresh_ms(),
            },
        }
    }
}

impl Hit {
    fn new(id: String, score: Option<f64>, mut document: Value) -> Hit {
        // It says in which slice the id is, which is for the check alone.
        if let Some(document) = document.as_object_mut() {
            document.shift_remove(SLICE);
        }
        Hit { id, score, document }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_has_the_fields_of_the_index_alone() {
        let hit = Hit::new("u-7".to_owned(), Some(0.5), json!({"name": "Ada", "braid_slice": 7, "plan": "pro"}));
        let hit = serde_json::to_string(&hit).expect("plain data");
        assert_eq!(hit, r#"{"id":"u-7","score":0.5,"document":{"name":"Ada","plan":"pro"}}"#);
    }
}
