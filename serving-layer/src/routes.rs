//! The handlers, one file per resource. Each reads its parameters strictly.
//!
//! - `metrics`: definitions, totals and series;
//! - `streams`: what streams have written, what they write from now on, and how far they have come;
//! - `tables`: tables, and the rows of their keys;
//! - `reconciliations`: what the last reconciles moved, and the drift that they measured;
//! - `rejected`: rejected records, with their bytes;
//! - `search`: searches of indexes;
//! - `reports`: what reports have written, and the rows of a day that still runs;
//! - `status`: how far every layer has come;
//! - `alerts`: the alerts, and what is known of each;
//! - `versions`: all versions of the deployment, and which of them answers;
//! - `live`: total, series and top for those who watch them;
//! - `health`: whether the process lives and can answer, and its own counters;
//! - `openapi`: the description of all routes, and `docs`: the page that shows it;
//! - `page`: the web page, and the files that it loads;
//! - `column`: what a query string says of a column of a group key;
//! - `declared`: a declared field, as lists show it;
//! - `parameters`: a query string as names and values.

pub(crate) mod alerts;
pub(crate) mod column;
pub(crate) mod declared;
pub(crate) mod docs;
pub(crate) mod health;
pub(crate) mod live;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod page;
mod parameters;
pub(crate) mod reconciliations;
pub(crate) mod rejected;
pub(crate) mod reports;
pub(crate) mod search;
pub(crate) mod status;
pub(crate) mod streams;
pub(crate) mod tables;
pub(crate) mod versions;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::{Problem, VERSION};
use crate::versions::{Hosted, Version};
use parameters::Parameters;

/// The version that a request is about: the one that it names, or the active one. Whatever the request needs is of this one (K1).
pub(crate) struct RequestedVersion(pub(crate) Arc<Version>);

impl FromRequestParts<Arc<App>> for RequestedVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<RequestedVersion, Problem> {
        Ok(RequestedVersion(requested(parts, &app.versions.hosted())?.0))
    }
}

/// The same, with all that the request says of its question. No extractor behind this one finds headers.
pub(crate) struct Requested {
    pub(crate) version: Arc<Version>,
    /// Which of them may be repeated is for the handler to say.
    pub(crate) parameters: Parameters,
    pub(crate) headers: HeaderMap,
}

impl FromRequestParts<Arc<App>> for Requested {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Requested, Problem> {
        let (version, parameters) = requested(parts, &app.versions.hosted())?;
        Ok(Requested { version, parameters, headers: std::mem::take(&mut parts.headers) })
    }
}

/// The version that a request is about, of those that are hosted, and its parameters.
fn requested(parts: &Parts, hosted: &Hosted) -> Result<(Arc<Version>, Parameters), Problem> {
    let parameters = Parameters::read_repeated(parts.uri.query())?;
    parameters.repeat_only(|name| name != VERSION)?;
    let version = Arc::clone(hosted.requested(parameters.version())?);
    Ok((version, parameters))
}

/// A body that says first which version it is of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfVersion<T> {
    /// The version of the deployment that answers.
    version: String,
    #[serde(flatten)]
    body: T,
}

/// The answer of a version.
pub(crate) fn of_version<T: Serialize>(version: &Version, body: T) -> Json<OfVersion<T>> {
    Json(OfVersion { version: version.version_name().to_owned(), body })
}

/// The name in the path, of a metric or a stream. There may be none of that name.
pub(crate) struct NameInPath<T = String>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for NameInPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<NameInPath<T>, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(name)| NameInPath(name)).map_err(|_| Problem::no_path(parts.uri.path()))
    }
}
