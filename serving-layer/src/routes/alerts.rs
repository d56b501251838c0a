//! `GET /v1/alerts`: the alerts of the active version, what is known of each, and who judges them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::{Map, Value};
use shared_logic::alert::{AlertState, StateWord};
use shared_logic::catalog::{Alert, Metric};
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use super::parameters::Parameters;
use crate::alert::Standing;
use crate::answer::duration_text;
use crate::app::App;
use crate::openapi::Unversioned;
use crate::problem::Problem;

/// The body of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alerts)]
pub(crate) struct Body {
    /// The active version, whose alerts are judged.
    version: String,
    judge: JudgeStatus,
    webhook: WebhookStatus,
    /// In the order of their names.
    alerts: Vec<AlertStatus>,
}

/// Who judges.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertJudge)]
struct JudgeStatus {
    /// What the process that answers does: it is `judging`, `following` another one that judges, `idle` without alerts, or `starting`.
    state: &'static str,
    /// Why it does not judge although it has tried to; absent if it has not failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How long ago it has heard of the process that judges; null if of none.
    #[schema(required = true)]
    heard_ms: Option<u64>,
}

/// How notifications go out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertWebhook)]
struct WebhookStatus {
    /// Whether a receiver is named.
    configured: bool,
    /// How many notifications it has not taken yet.
    undelivered: usize,
    /// Why the last one was not delivered, as far as the process knows that answers; absent if nothing failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How an alert is declared, and what is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alert)]
struct AlertStatus {
    name: String,
    metric: String,
    /// The group key, by column; columns that are not named are summed over.
    #[schema(value_type = Object)]
    keys: Map<String, Value>,
    /// The length of the window.
    window: String,
    /// How much earlier the window lies with which it is compared; null if it is compared with none.
    #[schema(required = true)]
    against: Option<String>,
    when: String,
    /// For how long the condition has to hold.
    #[serde(rename = "for")]
    holds_for: String,
    /// How long late events are waited for.
    lateness: String,
    labels: BTreeMap<String, String>,
    #[schema(required = true)]
    summary: Option<String>,
    /// `ok`, `pending`, `firing` or `unknown`.
    state: &'static str,
    /// Why the state is unknown; null if it is known.
    #[schema(required = true)]
    reason: Option<String>,
    /// The end of the first window of which the condition held, and has held since; null if it does not.
    #[schema(required = true, format = DateTime)]
    since: Option<String>,
    /// The end of the window that was judged last.
    #[schema(required = true, format = DateTime)]
    judged_to: Option<String>,
    /// What the condition looked at, by the names that it has for it.
    #[schema(value_type = Object)]
    values: Map<String, Value>,
    /// How often its state has changed.
    changes: u64,
}

/// The alerts, and what is known of each
///
/// Alerts of the active version are judged every few seconds by one serving process, on complete answers alone. The state of an alert is `ok`,
/// `pending` (its condition holds, not for long enough yet), `firing`, or `unknown`, with the reason: as long as answers may lack something
/// no alert begins or ceases to fire.
#[utoipa::path(
    get, path = "/v1/alerts", operation_id = "listAlerts", tag = "alerts",
    responses((status = 200, description = "The alerts; none if the catalog declares none.", body = Body), Unversioned),
)]
pub(crate) async fn all(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<Body>, Problem> {
    Parameters::refuse_any(query.as_deref())?;
    let (hosted, standing) = (app.versions.hosted(), app.alerts.now());
    let catalog = &hosted.active().catalog;
    let alerts = catalog.alerts.values().filter_map(|alert| {
        let metric = catalog.metrics.get(&alert.metric)?;
        let definition = catalog.alert_definition(alert);
        // What is known of another alert of that name says nothing of this one.
        let known = standing.alerts.get(&alert.name).filter(|known| known.definition == definition);
        Some(AlertStatus::new(alert, metric, known, &standing))
    });
    let heard_ms = standing.heard.map(|heard| u64::try_from(heard.elapsed().as_millis()).unwrap_or(u64::MAX));
    Ok(Json(Body {
        version: hosted.active().version_name().to_owned(),
        alerts: alerts.collect(),
        judge: JudgeStatus { state: standing.role.word(), reason: standing.failure.clone(), heard_ms },
        webhook: WebhookStatus {
            configured: !app.alerts.settings().webhook_url.reveal().is_empty(),
            undelivered: standing.undelivered,
            error: standing.webhook_error.clone(),
        },
    }))
}

impl AlertStatus {
    fn new(alert: &Alert, metric: &Metric, known: Option<&AlertState>, standing: &Standing) -> AlertStatus {
        let columns = metric.by.iter().zip(&alert.keys);
        let reason = match known {
            Some(known) => known.unknown.clone(),
            None => Some(standing.failure.clone().unwrap_or_else(|| "it has not been judged yet".to_owned())),
        };
        AlertStatus {
            name: alert.name.clone(),
            metric: alert.metric.clone(),
            keys: columns.filter_map(|(column, part)| Some((column.clone(), part.to_json()?))).collect(),
            window: duration_text(alert.window_us),
            against: alert.shift_us.map(duration_text),
            when: alert.when_text.clone(),
            holds_for: duration_text(alert.for_us),
            lateness: duration_text(alert.lateness_us),
            labels: alert.labels.clone(),
            summary: alert.summary.clone(),
            state: known.map_or(StateWord::Unknown, AlertState::word).as_str(),
            reason,
            since: known.and_then(AlertState::since_us).map(format_rfc3339),
            judged_to: known.and_then(|known| known.end_us).map(format_rfc3339),
            values: known.map(|known| known.values.clone()).unwrap_or_default(),
            changes: known.map_or(0, |known| known.changes),
        }
    }
}
