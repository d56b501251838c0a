//! The handlers, one file per resource. Each reads its parameters strictly.
//!
//! - `metrics`: definitions, totals and series;
//! - `streams`: what streams have written, what they write from now on, and how far they have come;
//! - `tables`: tables, and the rows of their keys;
//! - `reconciliations`: what the last reconciles moved, and the drift that they measured;
//! - `reports`: what reports have written, and the rows of a day that still runs;
//! - `status`: how far every layer has come;
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
pub(crate) mod status;
pub(crate) mod streams;
pub(crate) mod tables;

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::app::App;
use crate::problem::Problem;
use crate::versions::Version;

/// The version that a request is about. It is the active one: no route has a parameter for another yet.
pub(crate) struct RequestedVersion(pub(crate) Arc<Version>);

impl FromRequestParts<Arc<App>> for RequestedVersion {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<RequestedVersion, Infallible> {
        Ok(RequestedVersion(Arc::clone(app.versions.active())))
    }
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
