//! The handlers, one file per resource. Each reads its parameters strictly.
//!
//! - `metrics`: definitions, totals and series;
//! - `reconciliations`: what the last reconciles moved, and the drift that they measured;
//! - `status`: how far every layer has come;
//! - `health`: whether the process lives and can answer, and its own counters;
//! - `openapi`: the description of all routes;
//! - `parameters`: a query string as names and values.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
mod parameters;
pub(crate) mod reconciliations;
pub(crate) mod status;

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::app::App;
use crate::versions::Version;

/// The version that a request is about. It is the active one: no route has a parameter for another yet.
pub(crate) struct RequestedVersion(pub(crate) Arc<Version>);

impl FromRequestParts<Arc<App>> for RequestedVersion {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<RequestedVersion, Infallible> {
        Ok(RequestedVersion(Arc::clone(app.versions.active())))
    }
}
