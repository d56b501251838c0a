//! The values of an alert's windows, from merged answers of the active version, and what follows from them.

use std::time::Duration;

use platform::settings;
use serde_json::{Map, Value as Json};
use shared_logic::alert::{AlertState, Rule, Verdict, due_ends, newest_end, verdict};
use shared_logic::catalog::{Alert, Metric};
use shared_logic::measure::Value;
use shared_logic::time::{TimeRange, format_rfc3339};

use crate::answer::{OfKey, of_key};
use crate::versions::Version;

/// What an alert is judged by.
pub(super) struct Asking<'a> {
    pub(super) version: &'a Version,
    pub(super) http: &'a settings::Http,
    /// How old answers may be.
    pub(super) stale_after_us: i64,
    /// How long all of it may take.
    pub(super) within: Duration,
    pub(super) now_us: i64,
    /// Why it may be earlier than that: then nothing is judged.
    pub(super) doubt: Option<String>,
}

/// The values of one window.
struct Answered {
    values: Vec<Value>,
    as_of_us: i64,
}

impl Asking<'_> {
    /// The states that follow one after the other, once all windows were judged that are due; at least one.
    pub(super) async fn judge(&self, alert: &Alert, before: &AlertState) -> Vec<AlertState> {
        let Some(metric) = self.version.catalog.metrics.get(&alert.metric) else { return Vec::new() };
        if let Some(doubt) = &self.doubt {
            return vec![before.interrupted(doubt.clone())];
        }
        // What was judged in time stays. Otherwise the next round would begin with the same windows, and might never come to the newest.
        let mut states = Vec::new();
        let judged = tokio::time::timeout(self.within, self.judged(alert, metric, before, &mut states)).await;
        let unknown = match judged {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some(format!("answers take longer than {:?}", self.within)),
        };
        let last = match unknown {
            Some(reason) => Some(states.last().unwrap_or(before).not_known(reason)),
            None if states.is_empty() => Some(before.clone()),
            None => None,
        };
        states.extend(last);
        states
    }

    /// Adds the states after each window that is due.
    ///
    /// # Errors
    /// Why the next one is not known.
    async fn judged(
        &self,
        alert: &Alert,
        metric: &Metric,
        before: &AlertState,
        states: &mut Vec<AlertState>,
    ) -> Result<(), String> {
        // As of when answers are, only an answer says. Mostly it is about the window that is to be judged.
        let guess_us = newest_end(self.now_us, alert.lateness_us, metric.grain_us);
        let guessed = self.ask(alert, metric, alert.window(guess_us)).await?;
        // The clock of a machine that counts may be ahead. What has not come yet is not counted, whatever that clock says.
        let as_of_us = guessed.as_of_us.min(self.now_us);
        let before = &before.as_of(self.now_us);
        if self.now_us - as_of_us > self.stale_after_us {
            return Err(format!("nothing that arrived after {} is counted yet", format_rfc3339(as_of_us)));
        }
        let newest_us = newest_end(as_of_us, alert.lateness_us, metric.grain_us);
        let rule = Rule { for_us: alert.for_us, grain_us: metric.grain_us };
        for end_us in due_ends(before.end_us, newest_us, metric.grain_us, alert.for_us) {
            let known = if end_us == guess_us { Some(&guessed) } else { None };
            let (verdict, values) = self.verdict(alert, metric, end_us, known).await?;
            states.push(states.last().unwrap_or(before).judged(rule, end_us, verdict, values));
        }
        Ok(())
    }

    /// What merged values say of the window that ends there. `known`: its values, if they were asked for.
    async fn verdict(
        &self,
        alert: &Alert,
        metric: &Metric,
        end_us: i64,
        known: Option<&Answered>,
    ) -> Result<(Verdict, Map<String, Json>), String> {
        let asked;
        let newest = match known {
            Some(known) => known,
            None => {
                asked = self.ask(alert, metric, alert.window(end_us)).await?;
                &asked
            }
        };
        let before = match alert.before(end_us) {
            Some(window) => Some(self.ask(alert, metric, window).await?.values),
            None => None,
        };
        Ok(verdict(alert, metric, &newest.values, before.as_deref()))
    }

    /// The complete answer about a window; or why there is none.
    async fn ask(&self, alert: &Alert, metric: &Metric, window: TimeRange) -> Result<Answered, String> {
        let answer = of_key(self.version, metric, &alert.key(), window, self.http).await;
        let OfKey { values, gaps, as_of_us } = answer.map_err(|problem| problem.detail)?;
        if let Some(gap) = gaps.first() {
            return Err(format!("answers are not complete: {}", gap.text()));
        }
        let as_of_us = as_of_us.ok_or("it is not known as of when answers are complete")?;
        let nothing = || metric.measures.iter().map(|measure| measure.kind.identity()).collect();
        Ok(Answered { values: values.unwrap_or_else(nothing), as_of_us })
    }
}
