//! `GET /v1/versions`: every version that there is or was, how far it has come, and which of them answers.
//!
//! - `hosted`: what is known of a version that is served here.

mod hosted;

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use futures::future::join_all;
use serde::Serialize;
use shared_logic::time::format_rfc3339;
use shared_logic::version::{Promotion, Recorded, ReplayRecord, Verified};
use utoipa::ToSchema;

use super::parameters::Parameters;
use crate::app::App;
use crate::openapi::Unversioned;
use crate::problem::Problem;
use crate::versions::Hosted;
use hosted::HostedStatus;

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Versions)]
pub(crate) struct Body {
    /// The version that answers a request which names none.
    active: String,
    /// The one that was active before, if it is not retired.
    #[schema(required = true)]
    before: Option<String>,
    /// The number of the pointer that says so; 0 as long as no version was created.
    pointer: u64,
    /// When this process read the pointer last.
    #[schema(required = true, format = DateTime)]
    read_at: Option<String>,
    /// Why it could not be read since; absent if it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// In the order of their creation.
    versions: Vec<VersionStatus>,
    /// The newest 100, the newest last.
    promotions: Vec<PromotionStatus>,
}

/// What is known of a version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
struct VersionStatus {
    version: String,
    /// `created`, `counting`, `following`, `stopped`, `retiring` or `retired`.
    stage: &'static str,
    /// Whether it answers requests that name none.
    active: bool,
    #[schema(required = true, format = DateTime)]
    created_at: Option<String>,
    #[schema(required = true)]
    replay: Option<ReplayStatus>,
    /// The newest verification that found no difference.
    #[schema(required = true)]
    verified: Option<VerifiedStatus>,
    /// When it stopped being the active one.
    #[schema(required = true, format = DateTime)]
    last_active_at: Option<String>,
    /// Whether the schedule reconciles it. As long as it lives and is not reconciled, no days of its sources are retired and no large files of
    /// their archives are merged. Null: nothing is archived.
    #[schema(required = true)]
    reconciled: Option<bool>,
    #[serde(flatten)]
    hosted: HostedStatus,
}

/// From where a version counts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
struct ReplayStatus {
    /// `log` or `archive`.
    from: &'static str,
    #[schema(format = DateTime)]
    started_at: String,
}

/// That a version was verified.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verified)]
struct VerifiedStatus {
    #[schema(format = DateTime)]
    at: String,
    /// Where its report lies in the store, without the ending.
    report: String,
    /// The code that counted and compared.
    code: String,
}

/// That a version became the active one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Promotion)]
struct PromotionStatus {
    #[schema(format = DateTime)]
    at: String,
    /// Who took the step.
    by: String,
    from: String,
    to: String,
    #[schema(required = true, format = DateTime)]
    verified_at: Option<String>,
    /// Where the report of its verification lies in the store, without the ending.
    #[schema(required = true)]
    report: Option<String>,
    #[schema(required = true)]
    lag_ms: Option<u64>,
    /// What was overridden.
    forced: Vec<String>,
    rolled_back: bool,
}

/// All versions of the deployment, and which of them answers
///
/// Every version that there is or was, how far it has come, how fresh and complete its answers are, and what it takes. What is not known is
/// null; of a version that is retired nothing is known.
#[utoipa::path(
    get, path = "/v1/versions", operation_id = "listVersions", tag = "versions",
    responses((status = 200, description = "The versions, in the order of their creation.", body = Body), Unversioned),
)]
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
        replay: replay.map(ReplayStatus::new),
        verified: verified.map(VerifiedStatus::new),
        last_active_at: recorded.last_active_us.map(format_rfc3339),
        reconciled: keeps_archive.then(|| hosted.deployed.pointer.is_reconciled(name)),
        hosted: status,
    }
}

impl ReplayStatus {
    fn new(replay: &ReplayRecord) -> ReplayStatus {
        ReplayStatus { from: replay.from.word(), started_at: format_rfc3339(replay.started_at_us) }
    }
}

impl VerifiedStatus {
    fn new(verified: &Verified) -> VerifiedStatus {
        let (report, code) = (verified.report.clone(), verified.code.clone());
        VerifiedStatus { at: format_rfc3339(verified.at_us), report, code }
    }
}

fn promotion(promotion: &Promotion) -> PromotionStatus {
    let verified = promotion.verified.as_ref();
    PromotionStatus {
        at: format_rfc3339(promotion.at_us),
        by: promotion.by.clone(),
        from: promotion.from.clone(),
        to: promotion.to.clone(),
        verified_at: verified.map(|verified| format_rfc3339(verified.at_us)),
        report: verified.map(|verified| verified.report.clone()),
        lag_ms: promotion.lag_ms,
        forced: promotion.forced.clone(),
        rolled_back: promotion.rolled_back,
    }
}
