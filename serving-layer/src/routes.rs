//! The handlers, one file per resource. Each reads its parameters strictly.
//!
//! - `metrics`: definitions, totals and series;
//! - `streams`: what streams have written, what they write from now on, and how far they have come;
//! - `tables`: tables, and the rows of their keys;
//! - `reconciliations`: what the last reconciles moved, and the drift that they measured;
//! - `search`: searches of indexes;
//! - `reports`: what reports have written, and the rows of a day that still runs;
//! - `status`: how far every layer has come;
//! - `versions`: all versions of the deployment, and which of them answers;
//! - `health`: whether the process lives and can answer, and its own counters;
//! - `openapi`: the description of all routes;
//! - `column`: what a query string says of a column of a group key;
//! - `parameters`: a query string as names and values.

pub(crate) mod column;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
mod parameters;
pub(crate) mod reconciliations;
pub(crate) mod reports;
pub(crate) mod search;
pub(crate) mod status;
pub(crate) mod streams;
pub(crate) mod tables;
pub(crate) mod versions;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Serialize;

use crate::app::App;
use crate::problem::Problem;
use crate::versions::Version;
use parameters::Parameters;

/// The version that a request is about: the one that it names, or the active one. Whatever the request needs is of this one (K1).
pub(crate) struct RequestedVersion(pub(crate) Arc<Version>);

impl FromRequestParts<Arc<App>> for RequestedVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<RequestedVersion, Problem> {
        let parameters = Parameters::read(parts.uri.query())?;
        let hosted = app.versions.hosted();
        hosted.requested(parameters.version()).map(|version| RequestedVersion(Arc::clone(version)))
    }
}

/// A body that says first which version it is of.
#[derive(Debug, Serialize)]
pub(crate) struct OfVersion<T> {
    version: String,
    #[serde(flatten)]
    body: T,
}

/// The answer of a version.
pub(crate) fn of_version<T: Serialize>(version: &Version, body: T) -> Json<OfVersion<T>> {
    Json(OfVersion { version: version.version_name().to_owned(), body })
}

/// The name in the path, of a metric or a stream. There may be none of that name.
pub(crate) struct NameInPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for NameInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<NameInPath, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| NameInPath(name)).map_err(|_| Problem::no_path(parts.uri.path()))
    }
}
