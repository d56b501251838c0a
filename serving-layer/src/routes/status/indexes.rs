//! How far each search index is.

use futures::future::join_all;
use platform::telemetry::error_text;
use serde::Serialize;
use shared_logic::catalog::Index;
use shared_logic::contracts::index::{Build, BuildStage, IndexCheck, Refused, Why};
use shared_logic::contracts::reconciliation::Reconciliation;
use shared_logic::time::format_rfc3339;
use storage::RowsOf;
use utoipa::ToSchema;

use crate::search_read::{Known, SearchReader};
use crate::versions::Version;

/// What the status says of a search index.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IndexStatus {
    index: String,
    /// The hash of what decides which documents it is to have.
    definition: String,
    /// The build that searches ask; null if none serves.
    #[schema(required = true)]
    serving: Option<u64>,
    builds: Vec<BuildStatus>,
    /// How many records of the log are not in it; null if that is not known.
    #[schema(required = true)]
    records_behind: Option<i64>,
    /// What the search server has refused of the build that searches ask; null if that is not known.
    #[schema(required = true)]
    refused: Option<RefusedStatus>,
    /// What the last check has found; null before the first.
    #[schema(required = true)]
    last_check: Option<CheckStatus>,
    /// Why the search server, or the table of reconciles, could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// A build of an index.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IndexBuild)]
pub(crate) struct BuildStatus {
    number: u64,
    /// The hash of what decides which documents it has.
    definition: String,
    #[schema(value_type = BuildStage)]
    stage: &'static str,
    /// Why it was begun: `none` served, the one before did not have all `partitions` or may hold what was `erased`, a check found that one
    /// `different` from its table, or an operator has `asked` for it.
    #[schema(value_type = Why)]
    why: &'static str,
    /// How many rows it begins with.
    rows: u64,
    /// How many of them were written.
    loaded: u64,
    /// When a check last found it equal to its table.
    #[schema(required = true, format = DateTime)]
    equal_at: Option<String>,
}

/// What the search server has refused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IndexRefused)]
pub(crate) struct RefusedStatus {
    count: u64,
    /// The first of them.
    first: Vec<RefusedDocument>,
}

/// A document that the search server has refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedDocument {
    id: String,
    /// The kind of the error, and the field: what the server said may quote values.
    reason: String,
}

/// What the last check has found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastIndexCheck)]
pub(crate) struct CheckStatus {
    #[schema(format = DateTime)]
    at: String,
    #[serde(flatten)]
    check: IndexCheck,
}

/// What the status says of every index of a version.
pub(super) async fn of_all(version: &Version) -> Vec<IndexStatus> {
    join_all(version.searches.values().map(|reader| of_index(version, reader))).await
}

async fn of_index(version: &Version, reader: &SearchReader) -> IndexStatus {
    let name = &reader.index.name;
    let (last_check, unread) = match version.reconciliations.newest(RowsOf::Index(name), 1).await {
        Ok(rows) => (rows.into_iter().next().and_then(CheckStatus::new), None),
        Err(error) => (None, Some(error_text(&error))),
    };
    let is_named = reader.known().is_some();
    let Known { state, error, build, behind, refused, .. } = reader.known().unwrap_or_default();
    let error = if is_named { error.or(unread) } else { Some("no search server is named; set search.url".to_owned()) };
    let builds = state.iter().flat_map(|state| &state.builds).map(|(number, build)| BuildStatus::new(*number, build));
    IndexStatus {
        index: name.clone(),
        definition: reader.definition.to_string(),
        serving: build,
        builds: builds.collect(),
        records_behind: behind.records,
        refused: refused.map(|(count, first)| RefusedStatus {
            count,
            first: first.into_iter().map(|one| RefusedDocument::new(one, &reader.index)).collect(),
        }),
        last_check,
        error,
    }
}

impl RefusedDocument {
    fn new(refused: Refused, index: &Index) -> RefusedDocument {
        RefusedDocument { reason: refused.in_short(index), id: refused.id }
    }
}

impl BuildStatus {
    fn new(number: u64, build: &Build) -> BuildStatus {
        BuildStatus {
            number,
            definition: build.definition.to_string(),
            stage: build.stage.name(),
            why: build.why.name(),
            rows: build.rows,
            loaded: build.loaded,
            equal_at: build.equal_at_us.map(format_rfc3339),
        }
    }
}

impl CheckStatus {
    fn new(row: Reconciliation) -> Option<CheckStatus> {
        Some(CheckStatus { at: format_rfc3339(row.reconciled_at_us), check: row.index_check? })
    }
}
