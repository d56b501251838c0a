//! `GET /v1/versions`: every version that there is or was, how far it has come, and which of them answers.
//!
//! - `hosted`: what is known of a version that is served here.

mod hosted;

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use futures::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use shared_logic::time::format_rfc3339;
use shared_logic::version::{Promotion, Recorded};

use super::parameters::Parameters;
use crate::app::App;
use crate::problem::Problem;
use crate::versions::Hosted;
use hosted::HostedStatus;

/// The body of the response.
#[derive(Debug, Serialize)]
pub(crate) struct Body {
    /// The version that answers a request which names none.
    active: String,
    before: Option<String>,
    /// The pointer's number; 0 if there is none.
    pointer: u64,
    /// When the pointer was read last.
    read_at: Option<String>,
    /// Why it could not be read since.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// In the order of their creation.
    versions: Vec<VersionStatus>,
    /// The newest last.
    promotions: Vec<Value>,
}

/// What is known of a version.
#[derive(Debug, Serialize)]
struct VersionStatus {
    version: String,
    stage: &'static str,
    active: bool,
    created_at: Option<String>,
    replay: Option<Value>,
    verified: Option<Value>,
    last_active_at: Option<String>,
    /// Whether the schedule reconciles it. `None`: nothing is archived, so none is.
    reconciled: Option<bool>,
    #[serde(flatten)]
    hosted: HostedStatus,
}

/// All versions.
pub(crate) async fn all(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<Body>, Problem> {
    Parameters::refuse_any(query.as_deref())?;
    let (hosted, read) = (app.versions.hosted(), app.followed.read());
    let pointer = &hosted.deployed.pointer;
    let versions = pointer.in_order().into_iter().map(|(name, recorded)| described(&app, &hosted, name, recorded));
    Ok(Json(Body {
        active: hosted.active().version_name().to_owned(),
        before: pointer.before.clone(),
        pointer: hosted.deployed.number,
        read_at: read.at_us.map(format_rfc3339),
        error: read.error,
        versions: join_all(versions).await,
        promotions: pointer.promotions.iter().map(promotion).collect(),
    }))
}

async fn described(app: &App, hosted: &Hosted, name: &str, recorded: &Recorded) -> VersionStatus {
    let status = match hosted.version(name) {
        Some(version) => HostedStatus::of(app, version).await,
        None => HostedStatus::none(hosted.failure(name)),
    };
    let replay = recorded.replay.as_ref();
    let verified = recorded.verified.as_ref();
    let keeps_archive = hosted.active().catalog.deployment.keeps_archive;
    VersionStatus {
        version: name.to_owned(),
        stage: recorded.stage.word(),
        active: hosted.active().version_name() == name,
        // Without a pointer nobody knows that of the only one.
        created_at: (hosted.deployed.number > 0).then(|| format_rfc3339(recorded.created_at_us)),
        replay: replay
            .map(|replay| json!({"from": replay.from.word(), "started_at": format_rfc3339(replay.started_at_us)})),
        verified: verified.map(
            |verified| json!({"at": format_rfc3339(verified.at_us), "report": verified.report, "code": verified.code}),
        ),
        last_active_at: recorded.last_active_us.map(format_rfc3339),
        reconciled: keeps_archive.then(|| hosted.deployed.pointer.is_reconciled(name)),
        hosted: status,
    }
}

fn promotion(promotion: &Promotion) -> Value {
    json!({
        "at": format_rfc3339(promotion.at_us),
        "by": promotion.by,
        "from": promotion.from,
        "to": promotion.to,
        "verified_at": promotion.verified.as_ref().map(|verified| format_rfc3339(verified.at_us)),
        "report": promotion.verified.as_ref().map(|verified| verified.report.as_str()),
        "lag_ms": promotion.lag_ms,
        "forced": promotion.forced,
        "rolled_back": promotion.rolled_back,
    })
}
